"""Proxies of a training: the same model, data and recipe, without pruning, for static methods."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from orderdp_theory.common.errors import InputError
from orderdp_train.data import DataSet, StreamedDataSet, TextDataSet, TrainTestData, fingerprint
from orderdp_train.models import head_of, model_for
from orderdp_train.rules import FixedSubset, FullData, RuleConfig, Scorer, SelectionRule
from orderdp_train.scores import ModelProxy, Recording, Schedule, record
from orderdp_train.training.loop import train
from orderdp_train.training.mixing import sample_losses
from orderdp_train.training.processes import world_size
from orderdp_train.training.recipe import Recipe

RECORDINGS = Path("recordings")
BATCH = 256
HALF = 0.5
PROXIES = 2 * 10**6  # their seeds are not those of trainings, nor of what is drawn once


class Training(Protocol):
    """What a run and an audit of trainings say of a training."""

    @property
    def model(self) -> str: ...
    @property
    def recipe(self) -> Recipe: ...
    @property
    def label_noise(self) -> float: ...
    @property
    def seed(self) -> int: ...


def rule_of(
    training: Training,
    rule: RuleConfig,
    data: TrainTestData,
    scorer: Scorer,
    folder: Path,
    *,
    show_progress: bool,
) -> SelectionRule:
    """The rule that a training on `data` begins with; `folder` keeps its proxies, if it has any."""
    proxies = Proxies(
        data,
        training.model,
        training.recipe,
        seed=training.seed,
        label_noise=training.label_noise,
        folder=folder,
        show_progress=show_progress,
    )
    return rule.build(
        data.num_train,
        scorer=scorer,
        recorder=proxies.recording,
        holdout=proxies.holdout_losses,
        epochs=training.recipe.epochs,
        seed=training.seed,
        device=data.device,
    )


@dataclass(frozen=True)
class Proxies:
    """Trainings beside one of this `seed`: its model, data and recipe, without pruning.

    They have initial weights and draws of their own, and keep no state of the training's
    generators. What is recorded of them stays in `folder`; see `record`.
    """

    data: TrainTestData
    model: str
    recipe: Recipe
    seed: int
    label_noise: float
    folder: Path
    show_progress: bool = True

    def recording(self, schedule: Schedule, held_out: float = 0.0) -> Recording:
        """Of the proxies that a schedule asks for, with a share of each class only validated on."""
        return self._recorded(schedule, held_out)

    def holdout_losses(self) -> Float[Tensor, "n"]:
        """The loss of every sample, in eval mode, by a proxy that was trained on the other half.

        The samples of each class are halved at random, and a proxy is trained on either half.
        """
        schedule = Schedule(self.recipe.epochs, proxies=1, el2n=(), grand=())
        first, second = (
            self._recorded(schedule, HALF, other=other).last_layer for other in (False, True)
        )
        smoothing = self.recipe.label_smoothing
        unseen, others = (sample_losses(x.logits, x.targets, smoothing) for x in (first, second))
        rows = _stratified(first.targets, HALF, self._draws())
        return others.index_copy(0, rows, unseen[rows])

    def _draws(self) -> torch.Generator:
        return torch.Generator().manual_seed(PROXIES + self.seed)

    def _recorded(self, schedule: Schedule, held_out: float, *, other: bool = False) -> Recording:
        """With `other`, held out is the rest of the samples."""
        data = self.data
        configuration = {
            "data": data.name,
            "content": fingerprint(data) if isinstance(data, DataSet | StreamedDataSet) else None,
            "label_noise": self.label_noise,
            "model": self.model,
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "held_out": held_out,
            **({"other": True} if other else {}),
        }
        with torch.random.fork_rng([data.device] if data.device.type == "cuda" else []):
            return record(
                partial(self._trained, held_out, other),
                configuration,
                schedule,
                self.folder,
                show_progress=self.show_progress,
            )

    def _trained(self, held_out: float, other: bool, number: int) -> Iterator[ModelProxy]:
        """Train proxy `number` and yield it after every epoch."""
        data, recipe = self.data, self.recipe
        if world_size() > 1:
            raise InputError(
                "static methods and RHO-loss record their proxies in one process: give the same "
                "command without torchrun once, for an epoch and with another --out; the recording "
                "is found then"
            )
        if isinstance(data, TextDataSet):
            raise InputError(f"static methods and RHO-loss need classes, which {data.name} has not")
        n = data.num_train
        labels = torch.cat([y for _, _, y in data.batches(torch.arange(n).split(BATCH))])
        draws = self._draws()
        validation = _stratified(labels, held_out, draws)
        own_seed = int(torch.randint(2**62, (number + 1,), generator=draws)[number]) % 2**32
        torch.manual_seed(own_seed)
        model = model_for(self.model, data, recipe.drop_path)
        held = torch.zeros(n, dtype=torch.bool).index_fill(0, validation, True) ^ other
        training, validation = ((~held).nonzero().flatten(), held.nonzero().flatten())
        rule = FixedSubset(n, training, device=data.device) if held_out else FullData(n)

        def batches(indices: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
            return ((x, y) for _, x, y in data.batches(indices.split(BATCH)))

        seen = Presentations(model, labels)
        proxy = ModelProxy(
            model,
            head_of(model, data.num_classes),
            partial(batches, torch.arange(n)),
            partial(batches, validation) if held_out else None,
            seen.correct,
        )
        epochs = train(
            model, data, rule, recipe, seed=own_seed, evaluated=False, on_step=seen.announce
        )
        return (proxy for _ in epochs)


def _stratified(
    labels: Int64[Tensor, "n"], share: float, generator: torch.Generator
) -> Int64[Tensor, "v"]:
    """The share of the samples of each class, drawn at random, int64 and ascending."""
    labels = labels.cpu()
    drawn = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        rows = (labels == label).nonzero().flatten()
        order = torch.randperm(len(rows), generator=generator)
        drawn[rows[order[: round(share * len(rows))]]] = True
    return drawn.nonzero().flatten()


class Presentations:
    """Which samples a model in training classified correctly when it was last trained on them."""

    def __init__(self, model: nn.Module, labels: Int64[Tensor, "n"]) -> None:
        self.labels = labels
        self.correct = torch.zeros_like(labels, dtype=torch.bool)
        self._batch: Tensor | None = None
        model.register_forward_hook(self._watch)

    def announce(self, indices: Int64[Tensor, "b"]) -> None:
        """The batch that the model is about to see."""
        self._batch = indices

    def _watch(self, model: nn.Module, given: tuple[Tensor, ...], logits: Tensor) -> None:
        if self._batch is not None and model.training:
            self.correct[self._batch] = logits.argmax(1) == self.labels[self._batch]
            self._batch = None
