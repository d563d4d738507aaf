"""A run: one training in a folder that survives interruptions.

The folder holds `config.json`, `checkpoint.pt` (model, optimizer, scores, generators, counters and
all metrics so far), and what is derived from it after every epoch: `metrics.jsonl`, `usage.npy`
(how often each sample was used, int32 `(n,)`) and a TensorBoard event file. Each file is replaced
whole, the checkpoint first, so a run killed at any moment continues from its last finished epoch.
Along the way some checkpoints are kept for audits, as `checkpoint-0012.pt` after epoch 12.
"""

import io
import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from orderdp_theory.files import write_atomically
from orderdp_train.checkpoint import (
    LATEST,
    load_checkpoint,
    milestone,
    milestones,
    save_checkpoint,
)
from orderdp_train.data import load_data
from orderdp_train.distributed import gather_objects, processes, rank
from orderdp_train.events import event_file
from orderdp_train.models import model_for
from orderdp_train.recipe import Recipe
from orderdp_train.rules import SelectionRule, build_rule
from orderdp_train.train import Epoch, fresh_scorer, train

Selection = Literal["epoch", "iteration"]


@dataclass(frozen=True)
class RunConfig:
    """All that determines a run's result.

    `initial_score`: "unused-first", "first-pass" (losses of a first pass over the data) or a
    number. `anneal`: the last part of the epochs that InfoBatch trains on everything. `selection`
    "iteration" is Algorithm 1: every step selects a batch of its own, in proportion s : q to the
    epoch's, and an epoch has as many steps as with "epoch".
    """

    data: str = "digits"
    model: str = "cnn"
    rule: str = "orderdp"
    keep: float = 0.3
    explore: float = 0.5
    initial_score: str = "unused-first"
    anneal: float = 0.0
    selection: Selection = "epoch"
    label_noise: float = 0.0
    seed: int = 0
    recipe: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        if self.selection not in get_args(Selection):
            raise ValueError(f"unknown selection {self.selection!r}: choose epoch or iteration")
        if not 0 <= self.anneal < 1:
            raise ValueError(f"the annealed fraction must lie in [0, 1), got {self.anneal}")
        if self.anneal and self.rule != "infobatch":
            raise ValueError(f"only infobatch anneals, not {self.rule}")
        if self.selection == "iteration" and self.rule in ("full", "infobatch"):
            raise ValueError(f"{self.rule} has no fixed budget to split: use selection epoch")
        if self.initial_score != "first-pass":
            _number(self.initial_score)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, source: Path) -> "RunConfig":
        """Read `to_json` back; `ValueError` naming `source` if it is something else."""
        try:
            values = json.loads(text)
            return cls(**{**values, "recipe": Recipe(**values["recipe"])})
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{source} is not the configuration of a run: {error}") from None


def run(
    config: RunConfig,
    folder: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    root: Path | str = "data",
    download: bool = False,
    num_workers: int = 2,
    checkpoints: int = 5,
) -> Iterator[dict[str, Any]]:
    """Train as `config` says and yield each epoch's row of metrics once it is safely stored.

    `folder` must be new or empty, or with `resume` hold a run of just this configuration.
    `root`, `download` and `num_workers` are those of `load_data`; `device` is auto, cpu or cuda.
    `checkpoints` of the run, evenly spaced and the last among them, stay in the folder.

    Raises `ValueError` for bad input, a damaged or foreign checkpoint and a non-finite loss,
    `OSError` for files that cannot be read or written. The last good checkpoint stays in any case.
    """
    if checkpoints < 1:
        raise ValueError(f"a run keeps at least its last checkpoint, got {checkpoints}")
    stored = _stored_run(config, folder) if resume else _nothing_stored(folder)
    with processes(pick_device(device)) as own_device:
        data = load_data(
            config.data,
            label_noise=config.label_noise,
            seed=config.seed,
            device=own_device,
            root=root,
            download=download,
            num_workers=num_workers,
        )
        torch.manual_seed(config.seed)
        model = model_for(config.model, data)
        recipe, n = config.recipe, data.num_train
        scorer = fresh_scorer(model, data, recipe)
        rule, steps = rule_of_run(config, n, scorer, own_device)
        recipe = Recipe(**{**asdict(recipe), "steps_per_epoch": steps})
        if config.initial_score == "first-pass" and stored is None:
            everything = torch.arange(n, device=own_device)
            rule.update(everything, scorer(everything))

        rows: list[dict[str, Any]] = stored["metrics"] if stored else []
        # Also makes sure that nobody writes before everybody has looked.
        if len(set(gather_objects(len(rows)))) > 1:
            raise ValueError(f"the processes see different states of {folder}: is it shared?")
        if rank() == 0:
            with _writing(folder, len(rows)):
                folder.mkdir(parents=True, exist_ok=True)
                write_atomically(folder / "config.json", config.to_json())
                if stored:
                    _write_metrics(folder, rows)
        state = stored["state"] if stored else None
        keep = set(milestones(recipe.epochs, checkpoints)) - {recipe.epochs}
        for epoch in train(model, data, rule, recipe, seed=config.seed, resume=state):
            rows.append(_row(epoch))
            checkpoint = {
                "config": asdict(config),
                "metrics": rows,
                "state": epoch.state.state_dict(),
            }
            if rank() == 0:
                with _writing(folder, len(rows) - 1):
                    # First the one to keep: the latest says that all before it is done.
                    if epoch.number in keep:
                        save_checkpoint(folder / milestone(epoch.number), checkpoint)
                    save_checkpoint(folder / LATEST, checkpoint)
                    _write_metrics(folder, rows)
                    write_atomically(folder / "usage.npy", _npy(epoch.state.usage))
            yield rows[-1]


def pick_device(name: str) -> torch.device:
    """`auto` is a GPU if there is one; `ValueError` for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise ValueError(f"unknown device {name!r}: choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device was found: use --device cpu")
    return torch.device(name)


def limit_threads(model: str) -> None:
    """One thread for the small CNN, in commands: layers that small are not worth sharing.

    Results on the CPU then do not depend on the number of cores either.
    """
    if model == "cnn":
        torch.set_num_threads(1)


def rule_of_run(
    config: RunConfig, n: int, scorer: Any, device: torch.device
) -> tuple[SelectionRule, int | None]:
    """The rule and, for per-iteration selection, how many selections make an epoch."""
    keep, explore, steps = config.keep, config.explore, None
    if config.selection == "iteration":
        epoch_budget = max(round(keep * n), 1)
        batch = min(config.recipe.batch_size, epoch_budget)
        steps = -(-epoch_budget // batch)
        keep, explore = batch / n, min(max(explore / keep, 1.0) * batch / n, 1.0)
    unused = config.initial_score
    rule = build_rule(
        config.rule,
        n,
        keep,
        explore=explore,
        initial_score=math.inf if unused == "first-pass" else _number(unused),
        anneal_from=round((1 - config.anneal) * config.recipe.epochs) if config.anneal else None,
        scorer=scorer,
        device=device,
    )
    return rule, steps


def _number(initial_score: str) -> float:
    if initial_score == "unused-first":
        return math.inf
    try:
        return float(initial_score)
    except ValueError:
        raise ValueError(
            f"unknown initial score {initial_score!r}: give unused-first, first-pass or a number"
        ) from None


def _row(epoch: Epoch) -> dict[str, Any]:
    numbers = {f.name: getattr(epoch, f.name) for f in fields(epoch) if f.name != "state"}
    return {"epoch": numbers.pop("number"), **numbers, "time": time.time()}


def _write_metrics(folder: Path, rows: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    write_atomically(folder / "metrics.jsonl", lines)
    write_atomically(folder / "events.out.tfevents.run", event_file(rows))


def _npy(tensor: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, tensor.cpu().numpy())
    return buffer.getvalue()


def _nothing_stored(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: give a new folder, or --resume its run")


def _stored_run(config: RunConfig, folder: Path) -> dict[str, Any] | None:
    """The checkpoint of the run in `folder`; None if it was interrupted before the first."""
    path = folder / LATEST
    stored = read_config(folder)
    if stored != config:
        raise ValueError(f"{folder} holds another run: {_differences(stored, config)}")
    if not path.exists():
        return None
    checkpoint = load_checkpoint(path)
    if checkpoint["config"] != asdict(config):
        raise ValueError(f"{path} is of another run than the config.json beside it")
    return checkpoint


def read_config(folder: Path) -> RunConfig:
    """The configuration of the run in `folder`; `ValueError` if there is none."""
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder} holds no run to continue: {path} is missing")
    return RunConfig.from_json(path.read_text(encoding="utf-8"), path)


def _differences(stored: RunConfig, asked: RunConfig) -> str:
    old, new = (asdict(c) | asdict(c.recipe) for c in (stored, asked))
    return ", ".join(
        f"its {name} is {old[name]!r} and not {new[name]!r}"
        for name in old
        if name != "recipe" and old[name] != new[name]
    )


@contextmanager
def _writing(folder: Path, epochs: int) -> Iterator[None]:
    """Say what a failed write means for the run."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        kept = f"epoch {epochs} is safe there, continue with --resume" if epochs else "nothing lost"
        raise OSError(f"cannot write to {folder} ({reason}): {kept}") from None
