"""Everything that changes while training, in one place that can be saved and restored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from orderdp_theory.common.errors import InputError
from orderdp_train.rules import SelectionRule
from orderdp_train.training.optim import build_optimizer
from orderdp_train.training.processes import gather_objects, rank, world_size
from orderdp_train.training.recipe import Recipe

if TYPE_CHECKING:  # timm takes a second to import, which most trainings can save
    from timm.utils.model_ema import ModelEmaV3


class TrainState:
    """Model, rule, optimizer, every generator and the counters of one training.

    Three streams of random numbers, all from one seed: `draws` (selection and order, the same in
    every process), `pixels` (augmentation and mixing, one a process) and torch's global generator
    (dropout, one a process), which is seeded here. The learning rate is a function of `epoch`.
    """

    def __init__(self, model: nn.Module, rule: SelectionRule, recipe: Recipe, seed: int) -> None:
        self.model = model
        self.rule = rule
        self.device = next(model.parameters()).device
        if recipe.precision == "fp16" and self.device.type != "cuda":
            raise InputError("fp16 needs a CUDA device for its loss scaling: use bf16 here")
        self.optimizer = build_optimizer(model, recipe)
        self.steps = 0
        self.ema = _moving_average(model, recipe) if recipe.ema else None
        self.scaler = torch.amp.GradScaler("cuda", enabled=recipe.precision == "fp16")
        streams = torch.Generator().manual_seed(check_seed(seed))
        seeds = torch.randint(2**62, (1 + 2 * world_size(),), generator=streams).tolist()
        self.draws = torch.Generator().manual_seed(seeds[0])
        self.pixels = torch.Generator().manual_seed(seeds[1 + 2 * rank()])
        torch.manual_seed(seeds[2 + 2 * rank()])
        self.epoch = 0
        self.usage = torch.zeros(rule.n, dtype=torch.int32, device=self.device)
        self.previous = torch.zeros(rule.n, dtype=torch.bool, device=self.device)

    @property
    def evaluated(self) -> nn.Module:
        """The model whose test accuracy counts: the moving average, if there is one."""
        return self.model if self.ema is None else self.ema.module

    def count_step(self) -> None:
        """The optimizer has made a step."""
        self.steps += 1
        if self.ema is not None:
            self.ema.update(self.model, self.steps)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, not copied; of several processes all must call it."""
        return {
            "epoch": self.epoch,
            "steps": self.steps,
            "ema": None if self.ema is None else self.ema.module.state_dict(),
            "model": self.model.state_dict(),
            "rule": self.rule.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "usage": self.usage,
            "previous": self.previous,
            "random": gather_objects(self._random_state()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, with as many processes as there were then.

        `ValueError` if it is not such a state.
        """
        try:
            self._load(state)
        except (LookupError, TypeError, AttributeError, RuntimeError) as error:
            raise InputError(f"this is not the state of a training: {error!r}") from None

    def _load(self, state: dict[str, Any]) -> None:
        if len(state["random"]) != world_size():
            raise InputError(
                f"the state is of {len(state['random'])} processes and there are {world_size()} "
                "now: continue with the number it was started with"
            )
        if state["usage"].shape != self.usage.shape:
            raise InputError(
                f"the state is of {len(state['usage'])} samples and there are {len(self.usage)} now"
            )
        try:
            self.model.load_state_dict(state["model"])
        except RuntimeError:
            raise InputError("the state is of another model: its parameters do not fit") from None
        self.epoch = state["epoch"]
        self.steps = state.get("steps", 0)  # which states before moving averages have not
        if self.ema is not None:
            self.ema.module.load_state_dict(state["ema"])
        self.rule.load_state_dict(state["rule"])
        self.rule.set_epoch(self.epoch)
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.usage.copy_(state["usage"])
        self.previous.copy_(state["previous"])
        mine = state["random"][rank()]
        self.draws.set_state(mine["draws"])
        self.pixels.set_state(mine["pixels"])
        torch.set_rng_state(mine["global"])
        if self.device.type != "cuda":
            return
        if "cuda" in mine:
            torch.cuda.set_rng_state(mine["cuda"], self.device)
        else:  # saved where there is none: dropout gets a stream that follows from the state
            torch.cuda.manual_seed(_derived_seeds(mine["global"], 1)[0])

    def _random_state(self) -> dict[str, Tensor]:
        states = {
            "draws": self.draws.get_state(),
            "pixels": self.pixels.get_state(),
            "global": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states


def _moving_average(model: nn.Module, recipe: Recipe) -> ModelEmaV3:
    from timm.utils.model_ema import ModelEmaV3

    return ModelEmaV3(model, recipe.ema, use_warmup=True)


def check_seed(seed: int) -> int:
    """The seed itself; `ValueError` unless it is one that a CPU's generator tells from others."""
    if not 0 <= seed < 2**32:
        raise InputError(
            f"a seed must lie in 0 ... 2^32 - 1, got {seed}: torch reads its last 32 bits alone, "
            "so two others would give the same numbers"
        )
    return seed


def next_draws(state: dict[str, Any]) -> torch.Generator:
    """The generator of the selection that comes after a stored state; the state keeps its own."""
    draws = torch.Generator()
    draws.set_state(state["random"][0]["draws"])
    return draws


def shared_by(state: dict[str, Any], processes: int) -> dict[str, Any]:
    """A stored state for another number of processes: the same selections, to be looked at.

    Augmentation and dropout go on where they were in the processes that the state has; more of them
    get streams that follow from the first one's. So a training can be audited from wherever it
    comes, but it would not be continued bit for bit.
    """
    random = list(state["random"])
    seeds = _derived_seeds(random[0]["pixels"], 2 * processes)
    for pixels, other in zip(seeds[::2], seeds[1::2], strict=True):
        streams = {
            "pixels": torch.Generator().manual_seed(pixels).get_state(),
            "global": torch.Generator().manual_seed(other).get_state(),
        }
        random.append({"draws": random[0]["draws"], **streams})
    return {**state, "random": random[:processes]}


def _derived_seeds(stream: Tensor, count: int) -> list[int]:
    generator = torch.Generator()
    generator.set_state(stream)
    return torch.randint(2**62, (count,), generator=generator).tolist()
