"""The folder of a run: its one writer and its one reader.

The folder holds `config.json`, `checkpoint.pt` (model, optimizer, scores, generators, counters and
all metrics so far), and what is derived from it after every epoch: `metrics.jsonl`, `usage.npy`
(how often each sample was used, int32 `(n,)`) and a TensorBoard event file. Each file is replaced
whole, the checkpoint first, so a run killed at any moment continues from its last finished epoch.
Along the way some checkpoints are kept for audits, as `checkpoint-0012.pt` after epoch 12.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.files import PARTIAL, write_atomically
from orderdp_train.runs.checkpoint import load_checkpoint, save_checkpoint
from orderdp_train.runs.config import RunConfig
from orderdp_train.runs.events import event_file
from orderdp_train.runs.history import Gradients, History

CONFIG, LATEST, LOCK = "config.json", "checkpoint.pt", ".lock"
METRICS, USAGE, EVENTS, GRADIENTS = (
    *("metrics.jsonl", "usage.npy"),
    *("events.out.tfevents.run", "gradients.jsonl"),
)
# The parts of a row of metrics that are read back.
NUMBERS = (
    *("test_accuracy", "grad_norm_mean", "grad_norm_std", "kept"),
    *("seconds_selection", "seconds_training"),
)


def milestones(epochs: int, count: int = 5) -> list[int]:
    """The epochs nearest to 1/count, 2/count, ... of a training of `epochs`; at most count."""
    count = min(count, epochs)
    return sorted({round(k * epochs / count) for k in range(1, count + 1)})


class RunFolder:
    """A run at `path`; nothing is read or written before a method is called."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # Reading

    @property
    def exists(self) -> bool:
        """Whether a run has begun here."""
        return (self.path / CONFIG).is_file()

    def config(self) -> RunConfig:
        """The run's configuration; `ValueError` if there is none, or of another version."""
        path = self.path / CONFIG
        if not path.is_file():
            raise InputError(f"{self.path} holds no run to continue: {path} is missing")
        return RunConfig.from_json(path.read_bytes().decode(errors="replace"), path)

    def checkpoints(self) -> list[Path]:
        """The checkpoints in the order of training, each point once; `ValueError` if there is none.

        The one of the last milestone is the latest one as well, and is listed as that.
        """
        latest = self.path / LATEST
        if not latest.is_file():
            raise InputError(
                f"{self.path} has no checkpoint yet; let the run finish its first epoch"
            )
        done = len(self.history().rows)
        kept = sorted(self.path.glob("checkpoint-*.pt"))
        return [*(path for path in kept if path.name != _kept(done)), latest]

    def load(self, path: Path | None = None) -> dict[str, Any] | None:
        """A checkpoint of this run, the latest if none is named; None before the first.

        `ValueError` if it is damaged or of another run than the configuration.
        """
        path = path or self.path / LATEST
        if not path.exists():
            return None
        checkpoint = load_run(path)
        if RunConfig.from_dict(checkpoint["config"], path) != self.config():
            raise InputError(f"{path} is of another run than the {CONFIG} beside it")
        return checkpoint

    def history(self) -> History:
        """Metrics and usage of the epochs so far; `ValueError` if they are missing or damaged."""
        metrics, usage = self.path / METRICS, self.path / USAGE
        if not (metrics.is_file() and usage.is_file()):
            raise InputError(f"{self.path} has no finished epoch to draw; let the run go on")
        try:
            rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
            ordered = [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
            numbers = np.array([[row[name] for name in NUMBERS] for row in rows], dtype=float)
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{metrics} does not hold the metrics of a run: {error}") from None
        if not (rows and ordered and np.isfinite(numbers).all()):
            raise InputError(f"{metrics} does not hold one row of finite numbers for each epoch")
        try:
            # Mapped, so that a header that promises more than the file holds is seen.
            counts = np.load(usage, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{usage} is not an array: {error}") from None
        if not isinstance(counts, np.ndarray):
            counts.close()
            raise InputError(f"{usage} is an archive of arrays, not an array")
        if counts.ndim != 1 or counts.dtype.kind not in "iu":
            raise InputError(f"{usage} does not hold one count for each sample")
        if counts.sum() != sum(row["kept"] for row in rows):
            raise InputError(f"{usage} and {metrics} are of different epochs: continue the run")
        return History(rows, np.array(counts), self.gradients())

    def epochs_finished(self) -> int:
        """How many rows of metrics there are, for who only wants to see it grow."""
        with suppress(OSError):
            return (self.path / METRICS).read_bytes().count(b"\n")
        return 0

    def last_start(self) -> int | None:
        """What `note_start` changes; None before the first."""
        with suppress(OSError):
            return (self.path / LOCK).stat().st_mtime_ns
        return None

    def gradients(self) -> list[Gradients]:
        """The gradients measured so far."""
        path = self.path / GRADIENTS
        if not path.exists():
            return []
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            return [Gradients(**json.loads(line)) for line in lines]
        except (ValueError, TypeError) as error:
            raise InputError(f"{path} does not hold gradients of a run: {error}") from None

    # Writing

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only writer while the block lasts; `ValueError` at once if there is another.

        The system releases the lock when its holder dies, and network file systems show it to
        other machines.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / LOCK)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise InputError(
                f"another process is writing to {self.path}: wait for it, or give another folder"
            ) from None
        try:
            for path in filter(_is_partial, self.path.iterdir()):  # of a write that was killed
                path.unlink()
            yield
        finally:
            lock.release()

    def note_start(self) -> None:
        """Show those who look from outside that a training is about to begin here, or to go on."""
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / LOCK).touch()

    def wait_until_free(self, seconds: float) -> None:
        """Give another writer, which may be about to end, this long to leave."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / LOCK)
        with suppress(Timeout), lock.acquire(timeout=seconds):
            pass

    def check_empty(self) -> None:
        """`ValueError` unless the folder is new or empty."""
        # A kill before the configuration was written leaves a lock and half of a file.
        if self.path.is_dir() and any(
            path.name != LOCK and not _is_partial(path) for path in self.path.iterdir()
        ):
            raise InputError(f"{self.path} is not empty: give a new folder, or --resume its run")

    def write_start(self, config: RunConfig, stored: dict[str, Any] | None) -> None:
        """The configuration, and what derives from the checkpoint that the run continues from.

        A kill may have come between the checkpoint and what derives from it.
        """
        with self._writing():
            if stored and config.start:
                save_checkpoint(self.path / LATEST, stored)
            write_atomically(self.path / CONFIG, config.to_json())
            if stored:
                self._derive(stored)

    def write_epoch(self, checkpoint: dict[str, Any], keep: bool) -> None:
        """The checkpoint after an epoch and what derives from it; `keep` one for audits."""
        with self._writing():
            # First the one to keep: the latest says that all before it is done.
            if keep:
                save_checkpoint(self.path / _kept(checkpoint["state"]["epoch"]), checkpoint)
            save_checkpoint(self.path / LATEST, checkpoint)
            self._derive(checkpoint)

    def write_gradients(self, gradients: list[Gradients]) -> None:
        """All gradients measured on the run so far."""
        write_atomically(
            self.path / GRADIENTS, "".join(json.dumps(asdict(g)) + "\n" for g in gradients)
        )

    def drop_latest(self) -> None:
        """Remove the latest checkpoint of a run that is finished and will not be audited."""
        (self.path / LATEST).unlink(missing_ok=True)

    def _derive(self, checkpoint: dict[str, Any]) -> None:
        rows = checkpoint["metrics"]
        lines = (json.dumps(row, allow_nan=False) + "\n" for row in rows)
        write_atomically(self.path / METRICS, "".join(lines))
        write_atomically(self.path / EVENTS, event_file(rows))
        buffer = io.BytesIO()
        np.save(buffer, checkpoint["state"]["usage"].cpu().numpy())
        write_atomically(self.path / USAGE, buffer.getvalue())

    def in_words(self) -> str:
        """What is safe in the folder, and how to go on."""
        if not self.path.is_dir():
            return f"{self.path} is gone, and what the run had stored there is lost"
        try:
            stored = self.load()
        except (OSError, ValueError):
            stored = None
        if not stored:
            return f"no epoch was finished in {self.path}, nothing is lost: start again"
        return f"epoch {len(stored['metrics'])} is safe in {self.path}, continue with --resume"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say what a failed write means for the run."""
        try:
            yield
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OSError(f"a file cannot be written ({reason}): {self.in_words()}") from None


def load_run(path: Path) -> dict[str, Any]:
    """A checkpoint of some run, with its parts; `ValueError` if it lacks one."""
    stored = load_checkpoint(path)
    parts = {"config": dict, "metrics": list, "state": dict}
    whole = all(isinstance(stored.get(part), kind) for part, kind in parts.items())
    if not (whole and isinstance(stored["state"].get("usage"), Tensor)):
        raise InputError(f"{path} is not the checkpoint of a run: it lacks its parts")
    return stored


def _is_partial(path: Path) -> bool:
    """Whether a write of one of a run's files was killed and left this."""
    return path.name.endswith(PARTIAL) and path.name.startswith(PARTIALS)


PARTIALS = tuple(f".{name}" for name in (CONFIG, "checkpoint", METRICS, USAGE, EVENTS, GRADIENTS))


def _kept(epoch: int) -> str:
    """The name of the checkpoint that a run keeps after `epoch`."""
    return f"checkpoint-{epoch:04}.pt"
