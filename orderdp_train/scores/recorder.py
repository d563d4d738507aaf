"""Proxies are trained once, and what all methods need of them is kept in a folder."""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.files import write_atomically
from orderdp_theory.common.output import progress
from orderdp_train.scores._el2n import el2n
from orderdp_train.scores._grand import grand
from orderdp_train.scores._last_layer import LastLayer
from orderdp_train.scores.proxy import Proxy
from orderdp_train.scores.recording import Recording, Schedule

TrainProxy = Callable[[int], Iterator[Proxy]]
"""Trains a model from a seed and yields it after every epoch; asked no further than needed."""


def record(
    train: TrainProxy,
    configuration: Mapping[str, Any],
    schedule: Schedule,
    folder: str | Path,
    *,
    show_progress: bool = True,
) -> Recording:
    """Train the proxies of `schedule`, or read what an earlier call has kept, and sum it up.

    Args:
        train: called with seeds 0, 1, ... for the proxies that are not in the folder yet.
        configuration: all that decides what `train` does, as JSON values.
        folder: holds a folder for each configuration and schedule, named by their hash, with one
            file a proxy, so that more `proxies` are added to those there are. A file appears whole
            or not at all, so an interrupted call goes on with the proxy it was at; of several calls
            at a time one trains and the others wait.
        show_progress: draw a bar over epochs on standard error.

    Raises:
        TypeError: `configuration` is not JSON.
        ValueError: a proxy stops before its last epoch, or proxies differ in their samples.
        OSError: the folder cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> x, y, head = torch.randn(6, 3), torch.arange(6) % 2, torch.nn.Linear(3, 2)
        >>> def train(seed):  # trains a proxy, and shows it after each epoch
        ...     while True: yield ModelProxy(head, head, lambda: [(x, y)])
        >>> schedule = Schedule(epochs=3, proxies=1, el2n=(2,), grand=(2,))
        >>> with TemporaryDirectory() as folder:
        ...     found = record(train, {"seed": 0}, schedule, folder, show_progress=False)
        >>> found.correct.shape, list(found.el2n)
        (torch.Size([3, 6]), [2])
    """
    when = asdict(schedule)
    del when["proxies"]
    about = {"configuration": dict(configuration), "schedule": when}
    text = json.dumps(about, sort_keys=True, indent=2) + "\n"
    home = Path(folder) / hashlib.sha256(text.encode()).hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    write_atomically(home / "configuration.json", text)
    lengths = [schedule.epochs_of(seed) for seed in range(schedule.proxies)]
    with FileLock(home / ".lock"), progress("proxies", quiet=not show_progress) as bar:
        task = bar.add_task("", total=sum(lengths))
        for seed in range(schedule.proxies):
            file = home / f"proxy-{seed}.npz"
            if not file.exists():
                arrays = _follow(train(seed), seed, schedule, partial(bar.advance, task))
                write_atomically(file, _packed(arrays))
            bar.update(task, completed=sum(lengths[: seed + 1]))
    return _summed_up(home, schedule)


def _follow(
    epochs: Iterator[Proxy], seed: int, schedule: Schedule, advance: Callable[[], object]
) -> dict[str, NDArray[Any]]:
    """What is kept of one proxy, by name."""
    kept: dict[str, NDArray[Any]] = {}
    correct = []
    last, epoch = schedule.epochs_of(seed), 0
    for epoch, proxy in zip(range(1, last + 1), epochs, strict=False):
        ends = seed == 0 and epoch == last
        if seed == 0:
            correct.append(_array(proxy.correct()).copy())  # a training loop goes on writing to it
        if epoch in schedule.el2n or ends:
            layer = proxy.last_layer()
            if epoch in schedule.el2n:
                kept[f"el2n-{epoch}"] = _array(el2n(layer.probabilities, layer.targets))
            if ends:
                kept["correct"] = np.stack(correct)
                kept |= _named("train", layer)
                if (validation := proxy.validation()) is not None:
                    kept |= _named("validation", validation)
                if schedule.deepfool:
                    kept["deepfool"] = _array(proxy.deepfool())
        if epoch in schedule.grand:
            kept[f"grand-{epoch}"] = _array(proxy.gradient_norms())
        advance()
    if epoch < last:
        raise InputError(f"proxy {seed} stopped after {epoch} of {last} epochs")
    return kept


def _summed_up(home: Path, schedule: Schedule) -> Recording:
    names = [f"el2n-{e}" for e in schedule.el2n] + [f"grand-{e}" for e in schedule.grand]
    last = ["correct", *(f"train-{part}" for part in LAYER_PARTS)]
    last += ["deepfool"] if schedule.deepfool else []
    scores: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    first: dict[str, NDArray[Any]] = {}
    for seed in range(schedule.proxies):
        kept = _read(home / f"proxy-{seed}.npz", [*names, *(last if seed == 0 else ())])
        first = first or kept
        for name in names:
            scores[name].append(kept[name])
    n = len(first["train-targets"])
    if any(len(values) != n for rows in scores.values() for values in rows):
        raise InputError(f"the proxies in {home} differ in the number of their samples")
    return Recording(
        el2n={e: torch.from_numpy(np.mean(scores[f"el2n-{e}"], axis=0)) for e in schedule.el2n},
        grand={e: grand(np.stack(scores[f"grand-{e}"])) for e in schedule.grand},
        correct=torch.from_numpy(first["correct"]),
        last_layer=_layer("train", first),
        validation=_layer("validation", first) if "validation-targets" in first else None,
        deepfool=torch.from_numpy(first["deepfool"]) if schedule.deepfool else None,
    )


def _read(file: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """All arrays of a proxy, these among them.

    They are stored as they are, so what would unpack to more than the file is none of ours.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(member.file_size for member in archive.infolist()) > file.stat().st_size:
                raise ValueError
        with np.load(file, allow_pickle=False) as kept:
            arrays = dict(kept)
        if missing := set(names) - arrays.keys():
            raise KeyError(missing)
    except (
        zipfile.BadZipFile,
        zlib.error,
        KeyError,
        EOFError,
        ValueError,
        RuntimeError,
        MemoryError,
    ):
        raise InputError(f"{file} is not a recorded proxy: remove it to train anew") from None
    return arrays


def _named(split: str, layer: LastLayer) -> dict[str, NDArray[Any]]:
    return {f"{split}-{part}": _array(getattr(layer, part)) for part in LAYER_PARTS}


def _layer(split: str, arrays: Mapping[str, NDArray[Any]]) -> LastLayer:
    return LastLayer(**{part: arrays[f"{split}-{part}"] for part in LAYER_PARTS})


LAYER_PARTS = ("logits", "features", "targets")


def _array(values: Any) -> NDArray[Any]:
    return torch.as_tensor(values).detach().cpu().numpy()


def _packed(arrays: dict[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
