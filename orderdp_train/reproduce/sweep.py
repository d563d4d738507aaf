"""Many trainings, each in a run folder of its own, started once and finished whenever."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from orderdp_train.checkpoint import LATEST
from orderdp_train.data import ImageData, load_data
from orderdp_train.reproduce.gradients import (
    Cosines,
    measure_cosines,
    moments,
    read_cosines,
)
from orderdp_train.run import RunConfig, pick_device, run


@dataclass(frozen=True)
class Cell:
    """One training of a sweep, with or without gradient cosines on the way."""

    config: RunConfig
    cosines: bool = False

    def folder(self, root: Path) -> Path:
        """Its run folder: readable, and different for whatever may change the result."""
        c = self.config
        digest = hashlib.sha256(c.to_json().encode()).hexdigest()[:8]
        kind = "-cosines" if self.cosines else ""
        return root / f"{c.data}-{c.model}-{c.rule}-{c.keep:g}-{c.seed}-{digest}{kind}"


@dataclass(frozen=True)
class History:
    """What a finished training left behind.

    `rows`: metrics of each epoch, as in `metrics.jsonl`; `usage` int32 `(n,)`: how often each
    sample was trained on.
    """

    rows: list[dict[str, Any]]
    usage: NDArray[np.int32]
    cosines: list[Cosines]


@dataclass(frozen=True)
class Environment:
    """Where and how to train, which has no part in the result; see `run`."""

    device: str = "auto"
    root: Path = Path("data")
    num_workers: int = 2


def with_seeds(cells: Sequence[Cell], seeds: int) -> list[Cell]:
    """Each distinct cell once for every seed 0 … seeds − 1, one seed after the other."""
    distinct = list(dict.fromkeys(cells))
    return [
        replace(cell, config=replace(cell.config, seed=seed))
        for seed in range(seeds)
        for cell in distinct
    ]


def sweep(cells: Sequence[Cell], root: Path, environment: Environment, jobs: int) -> Iterator[Cell]:
    """Train every cell that is not finished below `root`, `jobs` at a time; yield each when it is.

    A cell is a run folder, so an interrupted one continues from its last epoch.
    """
    waiting = []
    for cell in cells:
        if _finished(cell, root):
            yield cell
        else:
            waiting.append(cell)
    train = partial(_train, root=root, environment=environment)
    if jobs == 1:
        for cell in waiting:
            train(cell)
            yield cell
        return
    # Models this small gain nothing from a second thread, so processes share the cores.
    with ProcessPoolExecutor(
        min(jobs, max(len(waiting), 1)),
        mp_context=_workers(),
        initializer=torch.set_num_threads,
        initargs=(1,),
    ) as pool:
        running = {pool.submit(train, cell): cell for cell in waiting}
        try:
            for future in as_completed(running):
                future.result()
                yield running[future]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _workers() -> BaseContext:
    """Fresh processes; where the system can, they share the seconds that the imports take."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def read_history(cell: Cell, root: Path) -> History:
    """The results of a finished cell."""
    folder = cell.folder(root)
    rows = _rows(folder)
    return History(rows, np.load(folder / "usage.npy"), read_cosines(folder))


def _rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _finished(cell: Cell, root: Path) -> bool:
    folder, epochs = cell.folder(root), cell.config.recipe.epochs
    trained = len(_rows(folder)) == epochs and (folder / "usage.npy").exists()
    measured = {c.epoch for c in read_cosines(folder)} if cell.cosines else moments(epochs)
    return trained and measured == moments(epochs)


def _train(cell: Cell, root: Path, environment: Environment) -> None:
    folder = cell.folder(root)
    data = _load(cell.config, environment) if cell.cosines else None
    if data and (folder / LATEST).exists():
        # A kill may have come between an epoch and its cosines.
        measure_cosines(cell.config, folder, data)
    options = vars(environment)
    resume = (folder / "config.json").exists()
    for _ in run(cell.config, folder, resume=resume, checkpoints=1, **options):
        if data:
            measure_cosines(cell.config, folder, data)
    (folder / LATEST).unlink(missing_ok=True)  # hundreds of them would fill a disk


def _load(config: RunConfig, environment: Environment) -> ImageData:
    return load_data(
        config.data,
        device=pick_device(environment.device),
        root=environment.root,
        num_workers=environment.num_workers,
    )
