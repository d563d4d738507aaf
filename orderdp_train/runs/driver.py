"""Train in a folder, so that an interruption costs at most an epoch."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import nn

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.files import read_file
from orderdp_train.data import fingerprint, load_data
from orderdp_train.models import load_encoder, model_for
from orderdp_train.runs.config import RunConfig
from orderdp_train.runs.folder import RunFolder, load_run, milestones
from orderdp_train.runs.readable import check_readable
from orderdp_train.runs.recording import RECORDINGS, rule_of
from orderdp_train.training.finite import NonFiniteLossError
from orderdp_train.training.loop import Epoch, fresh_scorer, train
from orderdp_train.training.processes import gather_objects, processes, rank


def run(
    config: RunConfig,
    folder: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    root: Path | str = "data",
    download: bool = False,
    num_workers: int = 2,
    unreadable: str = "unchecked",
    checkpoints: int = 5,
    start: Path | None = None,
    pretrained: Path | None = None,
    recordings: Path = RECORDINGS,
    show_progress: bool = True,
) -> Iterator[dict[str, Any]]:
    """Train as `config` says and yield each epoch's row of metrics once it is safely stored.

    `folder` must be new or empty, or with `resume` hold a run of just this configuration.
    `root`, `download` and `num_workers` are those of `load_data`; `device` is auto, cpu or cuda.
    `unreadable` is what happens to images on disk that cannot be decoded, see `check_readable`.
    `checkpoints` of the run, evenly spaced and the last among them, stay in the folder.
    `start` is the checkpoint of another run to begin from; of the configuration only `max_lr`,
    `epochs` and `batch_size` may be others than there. `pretrained` is the checkpoint of a run of a
    masked autoencoder, whose encoder the model, one of the same size, begins with. A run remembers
    its data and is continued on no other. `recordings` keeps the proxies of static methods, for all
    runs that have the same, and `show_progress` draws a bar while they are trained.

    Raises `ValueError` for bad input, a folder that another process writes to, a damaged or foreign
    checkpoint, a non-finite loss and an epoch that ends with non-finite weights, `OSError` for
    files that cannot be read or written. The last good checkpoint stays in any case.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> config = RunConfig(data="digits", recipe=Recipe(epochs=1, batch_size=64))
        >>> with TemporaryDirectory() as folder:
        ...     rows = list(run(config, Path(folder)))
        >>> [(row["epoch"], row["kept"]) for row in rows]
        [(1, 450)]
    """
    if checkpoints < 1:
        raise InputError(f"a run keeps at least its last checkpoint, got {checkpoints}")
    place = RunFolder(folder)
    if pretrained is not None:
        config = replace(config, pretrained=_digest(pretrained))
    if resume:
        if differences := place.config().differences(config):
            raise InputError(f"{folder} holds another run: {differences}")
    else:
        place.check_empty()
    beginning = None
    if start is not None:
        config, beginning = begin_from(start, config)
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
        data = check_readable(data, unreadable)
        torch.manual_seed(config.seed)
        model = model_for(config.model, data, config.recipe.drop_path)
        recipe, n, content = config.recipe, data.num_train, fingerprint(data)
        scorer = fresh_scorer(model, data, recipe)
        per_step, steps = config.per_step(n)
        bar = show_progress and rank() == 0
        rule = rule_of(config, per_step, data, scorer, recordings, show_progress=bar)
        with _only_writer(place):
            stored = place.load() if resume else beginning
            if stored and stored.get("data", content) != content:
                raise InputError(
                    f"{start or folder} is of other data of the name {config.data}: give --root "
                    "the files that it began with"
                )
            # Also makes sure that nobody writes before everybody has looked.
            if len(set(gather_objects(len(stored["metrics"]) if stored else 0))) > 1:
                raise InputError(f"the processes see different states of {folder}: is it shared?")
            if stored is None:
                begin_with_encoder(model, config, pretrained)
                rule.prepare()
            if rank() == 0:
                place.write_start(config, stored)
            if stored is None:
                per_step.score_first(rule, scorer)
            rows: list[dict[str, Any]] = stored["metrics"] if stored else []
            keep = set(milestones(recipe.epochs, checkpoints)) - {recipe.epochs}
            epochs = train(
                model,
                data,
                rule,
                recipe,
                seed=config.seed,
                steps_per_epoch=steps,
                resume=stored["state"] if stored else None,
            )
            while (epoch := _next(epochs, place)) is not None:
                rows.append(_row(epoch))
                state = epoch.state.state_dict()
                _check_finite(rows[-1], place)
                if rank() == 0:
                    checkpoint = {"config": config.as_dict(), "data": content}
                    checkpoint |= {"metrics": rows, "state": state}
                    place.write_epoch(checkpoint, keep=epoch.number in keep)
                yield rows[-1]


def begin_from(path: Path, config: RunConfig) -> tuple[RunConfig, dict[str, Any]]:
    """`config` as that of a run that begins at a checkpoint, and the checkpoint as its first.

    `ValueError` unless it is one of the same data, model, rule and optimizer, and has epochs left.
    """
    stored = load_run(path)
    origin = RunConfig.from_dict(stored["config"], path)
    config = replace(config, start=_digest(path))
    free = {name: getattr(config.recipe, name) for name in ("max_lr", "epochs", "batch_size")}
    same = replace(origin, recipe=replace(origin.recipe, **free), start=config.start)
    if differences := same.differences(config):
        raise InputError(f"{path} is of another run than the one asked for: {differences}")
    if len(stored["metrics"]) >= config.recipe.epochs:
        raise InputError(
            f"{path} has {len(stored['metrics'])} epochs and the run only {config.recipe.epochs}: "
            "raise --epochs, or start from an earlier checkpoint"
        )
    return config, {**stored, "config": config.as_dict()}


def begin_with_encoder(model: nn.Module, config: RunConfig, pretrained: Path | None) -> None:
    """Give the model the encoder that its run fine-tunes, if it does."""
    if pretrained is not None:
        load_encoder(model, load_run(pretrained)["state"]["model"])
    elif config.pretrained:
        raise InputError(
            "the run stopped before its first epoch and needs the encoder that it fine-tunes: "
            "give --pretrained again"
        )


def _digest(path: Path) -> str:
    return hashlib.sha256(read_file(path)).hexdigest()


def _next(epochs: Iterator[Epoch], place: RunFolder) -> Epoch | None:
    """The next epoch; a loss that is not finite says how to go on."""
    try:
        return next(epochs, None)
    except NonFiniteLossError as error:
        raise NonFiniteLossError(f"{error}; {way_on(place)}") from None


def _check_finite(row: dict[str, Any], place: RunFolder) -> None:
    """`NonFiniteLossError` for metrics that are no numbers; weights are looked at by `train`."""
    unknown = [name for name, value in row.items() if value is not None and not isfinite(value)]
    if unknown:
        raise NonFiniteLossError(
            f"epoch {row['epoch']} ended with numbers that are not finite, in "
            f"{', '.join(unknown[:3])}: {way_on(place)}"
        )


def way_on(place: RunFolder) -> str:
    """How to go on from a run whose weights or losses are not finite any more."""
    kept = place.path / "checkpoint.pt"
    if not kept.is_file():
        return "lower the learning rate, --max-lr"
    return (
        f"{kept} is the last good checkpoint; begin a new run there at a lower rate, with "
        f"--start={kept} --max-lr=…"
    )


def _only_writer(folder: RunFolder) -> AbstractContextManager[None]:
    """The folder's lock for the process that writes; no other takes it."""
    return folder.locked() if rank() == 0 else nullcontext()


def pick_device(name: str) -> torch.device:
    """`auto` is a GPU if there is one; `ValueError` for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise InputError(f"unknown device {name!r}: choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device was found: use --device cpu")
    return torch.device(name)


def limit_threads(model: str) -> None:
    """One thread for the small CNN, in commands: layers that small are not worth sharing.

    Results on the CPU then do not depend on the number of cores either.
    """
    if model == "cnn":
        torch.set_num_threads(1)


def _row(epoch: Epoch) -> dict[str, Any]:
    numbers = {f.name: getattr(epoch, f.name) for f in fields(epoch) if f.name != "state"}
    return {"epoch": numbers.pop("number"), **numbers, "time": time.time()}
