"""Many trainings, each in a run folder of its own, started once and finished whenever."""

import hashlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import active_children, get_all_start_methods, get_context, parent_process
from multiprocessing.context import BaseContext
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_room
from orderdp_train.data import TrainTestData, load_data
from orderdp_train.reproduce.gradients import looked_at, measure_gradients
from orderdp_train.runs import History, RunConfig, RunFolder, run
from orderdp_train.runs.driver import pick_device
from orderdp_train.training.processes import gather_objects, rank, world_size


@dataclass(frozen=True)
class Cell:
    """One training of a sweep, with or without a look at its gradients on the way.

    With a `pretraining`, of a masked autoencoder, it fine-tunes the encoder that comes out of that.
    """

    config: RunConfig
    gradients: bool = False
    pretraining: RunConfig | None = None

    @property
    def stages(self) -> list[RunConfig]:
        """Its trainings in their order; the method is that of the first."""
        return [stage for stage in (self.pretraining, self.config) if stage]

    def folder(self, root: Path) -> RunFolder:
        """Its run folder: readable, and different for whatever may change the result."""
        c = self.config
        whole = "".join(stage.to_json() for stage in self.stages[::-1])
        digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
        kind = "-gradients" if self.gradients else ""
        name = f"{c.data}-{c.model}-{c.rule.name}-{c.rule.keep:g}-{c.seed}-{digest}{kind}"
        return RunFolder(root / name)

    def folders(self, root: Path) -> list[RunFolder]:
        """The run folders of its stages, in their order."""
        before = [Cell(self.pretraining).folder(root)] if self.pretraining else []
        return [*before, self.folder(root)]


@dataclass(frozen=True)
class Environment:
    """Where and how to train, which has no part in the result; see `run`."""

    device: str = "auto"
    root: Path = Path("data")
    num_workers: int = 2


def with_seeds(cells: Sequence[Cell], seeds: int) -> list[Cell]:
    """Each distinct cell once for every seed 0 … seeds − 1, one seed after the other."""
    distinct = list(dict.fromkeys(cells))
    require_room("--seeds", seeds, len(distinct) * CELL)

    def seeded(cell: Cell, seed: int) -> Cell:
        before = cell.pretraining and replace(cell.pretraining, seed=seed)
        return replace(cell, config=replace(cell.config, seed=seed), pretraining=before)

    return [seeded(cell, seed) for seed in range(seeds) for cell in distinct]


CELL = 10_000  # bytes of memory of a training that waits, with its future
Ended = tuple[Cell, Exception | None]


def sweep(
    cells: Sequence[Cell],
    root: Path,
    environment: Environment,
    jobs: int,
    *,
    cluster: str | None = None,
    on_failure: Callable[[Cell, str], Any] = lambda cell, reason: None,
) -> Iterator[Cell]:
    """Train every cell that is not finished below `root`, and yield each when it is.

    A cell is a run folder, so an interrupted one continues from its last epoch. `jobs` train at a
    time here, or as many as there is room for in the Ray `cluster` of that address. A training
    that fails does not stop the others: `on_failure` is told its one-line reason, and in the end an
    `InputError` names those that failed. Under `torchrun` all processes share each training.
    """
    waiting = []
    for cell in cells:
        if _finished(cell, root):
            yield cell
        else:
            waiting.append(cell)
    train = partial(train_cell, root=root, environment=environment)
    if cluster is not None:
        from orderdp_train.reproduce.cluster import on_cluster

        ended = on_cluster(waiting, root, environment, cluster)
    elif jobs == 1 or world_size() > 1:
        ended = _one_by_one(waiting, train)
    else:
        ended = _in_processes(waiting, train, jobs)
    failed = {}
    for cell, error in ended:
        if error is None:
            yield cell
            continue
        failed[cell] = _one_line(error)
        on_failure(cell, failed[cell])
    if failed:
        named = [f"{c.folder(root).path.name}: {why}" for c, why in failed.items()]
        raise InputError(
            f"{len(failed)} of {len(cells)} trainings failed and the others are kept; the same "
            f"command tries again. {'; '.join(named[:NAMED])}{'; …' if named[NAMED:] else ''}"
        )


NAMED = 3  # failed trainings that the error names


def _one_line(error: Exception) -> str:
    text = (str(error).splitlines() or [""])[0]
    return text if isinstance(error, InputError | OSError) else f"{type(error).__name__}: {text}"


def _one_by_one(cells: Sequence[Cell], train: Callable[[Cell], None]) -> Iterator[Ended]:
    for cell in cells:
        try:
            train(cell)
        except Exception as error:
            if world_size() > 1:  # the others may be waiting for this process
                raise
            yield cell, error
        else:
            yield cell, None


def _in_processes(
    cells: Sequence[Cell], train: Callable[[Cell], None], jobs: int
) -> Iterator[Ended]:
    # Models this small gain nothing from a second thread, so processes share the cores.
    with ProcessPoolExecutor(
        min(jobs, max(len(cells), 1)),
        mp_context=_workers(),
        initializer=_prepare,
    ) as pool:
        try:
            running = {pool.submit(partial(_alone, train), cell): cell for cell in cells}
            for future in as_completed(running):
                error = future.exception()
                if error is not None and not isinstance(error, Exception):
                    raise error
                yield running[future], error
        except BaseException as error:
            if not isinstance(error, Exception):  # a signal: do not wait for the trainings
                for child in active_children():
                    child.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _prepare() -> None:
    """Of a worker: one thread of torch's, and it ends when this process says so, or with it,
    cleaning up on the way."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    Thread(target=_end_with, args=(parent_process(),), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _alone(train: Callable[[Cell], None], cell: Cell) -> None:
    """Train in a worker; one that is told to end begins no other cell, as its pool would."""
    try:
        train(cell)
    except SystemExit as ended:
        os._exit(ended.code if isinstance(ended.code, int) else 1)


def _workers() -> BaseContext:
    """Fresh processes; where the system can, they share the seconds that the imports take."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def read_history(cell: Cell, root: Path) -> History:
    """The results of a finished cell."""
    watched = replace(cell, gradients=True)
    return (watched if _complete(watched, root) else cell).folder(root).history()


def _finished(cell: Cell, root: Path) -> bool:
    """Whether its results are there; a training whose gradients are looked at is the same one."""
    return _complete(cell, root) or _complete(replace(cell, gradients=True), root)


def _complete(cell: Cell, root: Path) -> bool:
    folder, epochs = cell.folder(root), cell.config.recipe.epochs
    try:
        history = folder.history()
    except ValueError:  # not begun, or killed between two files of an epoch
        return False
    wanted = looked_at(epochs) if cell.gradients else set()
    return len(history.rows) == epochs and wanted <= {g.epoch for g in history.gradients}


def train_cell(cell: Cell, root: Path, environment: Environment) -> None:
    """Train a cell to its end, from wherever its folder has it."""
    if all(gather_objects(_finished(cell, root))):
        return  # by another sweep, which has dropped its checkpoints, since this one looked
    *earlier, folder = cell.folders(root)
    if rank() == 0:
        folder.note_start()
    data = _load(cell.config, environment) if cell.gradients else None
    if data and folder.exists:
        # A kill may have come between an epoch and the look at it.
        measure_gradients(folder, data)
    options: dict[str, Any] = {"checkpoints": 1, "show_progress": False, **vars(environment)}
    options["recordings"] = root / "recordings"
    for stage, before in zip(cell.stages[:-1], earlier, strict=True):
        for _ in run(stage, before.path, resume=before.exists, **options):
            pass
        options["pretrained"] = before.checkpoints()[-1]
    for _ in run(cell.config, folder.path, resume=folder.exists, **options):
        if data:
            gather_objects(None)  # the first process has written the epoch
            measure_gradients(folder, data)
    if rank() == 0:
        for each in (*earlier, folder):
            each.drop_latest()  # hundreds of them would fill a disk


def _load(config: RunConfig, environment: Environment) -> TrainTestData:
    return load_data(
        config.data,
        device=pick_device(environment.device),
        root=environment.root,
        num_workers=environment.num_workers,
    )
