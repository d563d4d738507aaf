"""Train in a folder, so that an interruption costs at most an epoch."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from orderdp_theory.common.errors import InputError
from orderdp_train.data import load_data
from orderdp_train.models import model_for
from orderdp_train.runs.config import RunConfig
from orderdp_train.runs.folder import RunFolder, milestones
from orderdp_train.runs.readable import check_readable
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
) -> Iterator[dict[str, Any]]:
    """Train as `config` says and yield each epoch's row of metrics once it is safely stored.

    `folder` must be new or empty, or with `resume` hold a run of just this configuration.
    `root`, `download` and `num_workers` are those of `load_data`; `device` is auto, cpu or cuda.
    `unreadable` is what happens to images on disk that cannot be decoded, see `check_readable`.
    `checkpoints` of the run, evenly spaced and the last among them, stay in the folder.

    Raises `ValueError` for bad input, a folder that another process writes to, a damaged or foreign
    checkpoint and a non-finite loss, `OSError` for files that cannot be read or written. The last
    good checkpoint stays in any case.
    """
    if checkpoints < 1:
        raise InputError(f"a run keeps at least its last checkpoint, got {checkpoints}")
    place = RunFolder(folder)
    if resume:
        if differences := place.config().differences(config):
            raise InputError(f"{folder} holds another run: {differences}")
    else:
        place.check_empty()
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
        model = model_for(config.model, data)
        recipe, n = config.recipe, data.num_train
        scorer = fresh_scorer(model, data, recipe)
        per_step, steps = config.per_step(n)
        rule = per_step.build(n, scorer=scorer, epochs=recipe.epochs, device=own_device)
        with _only_writer(place):
            stored = place.load() if resume else None
            # Also makes sure that nobody writes before everybody has looked.
            if len(set(gather_objects(len(stored["metrics"]) if stored else 0))) > 1:
                raise InputError(f"the processes see different states of {folder}: is it shared?")
            if rank() == 0:
                place.write_start(config, stored)
            if stored is None and per_step.options.get("initial_score") == "first-pass":
                everything = torch.arange(n, device=own_device)
                rule.update(everything, scorer(everything))
            rows: list[dict[str, Any]] = stored["metrics"] if stored else []
            keep = set(milestones(recipe.epochs, checkpoints)) - {recipe.epochs}
            for epoch in train(
                model,
                data,
                rule,
                recipe,
                seed=config.seed,
                steps_per_epoch=steps,
                resume=stored["state"] if stored else None,
            ):
                rows.append(_row(epoch))
                state = epoch.state.state_dict()
                if rank() == 0:
                    checkpoint = {"config": config.as_dict(), "metrics": rows, "state": state}
                    place.write_epoch(checkpoint, keep=epoch.number in keep)
                yield rows[-1]


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
