"""An output folder that appears whole, at the end, or not at all."""

from __future__ import annotations

import json
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.files import PARTIAL, write_atomically
from orderdp_theory.common.style import render
from orderdp_train.report.document import Document
from orderdp_train.report.figures import audit_figures
from orderdp_train.report.page import render_page

MARK, UNFINISHED, LOCK = "audit.json", "unfinished.pt", ".lock"
OWN = (
    *("gradient.png", "causes.png", "layers.png", "noise.png", "grid.png"),
    *("report.html", "never_seen.npz", MARK, UNFINISHED),
)
"""All that an audit writes; it replaces and removes nothing else."""


@contextmanager
def output_folder(target: Path) -> Iterator[Path]:
    """A new folder whose files go to `target` when the block ends without an exception.

    Checked before anything else is done: an existing `target` must be empty or that of an earlier
    audit, whose files are replaced; whatever else is in it stays. A symbolic link stays one. The
    points of an unfinished audit stay where they are if this one does not end.

    Raises:
        ValueError: `target` is a file, or holds something else.
        OSError: the folder cannot be made.
    """
    target = target.resolve()
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; give --out a folder")
    if target.is_dir() and _holds_something(target) and not _of_an_audit(target):
        raise InputError(f"{target} holds other files; give --out a new folder or an earlier audit")
    parents = [p for p in target.parents if not p.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    home = target if target.exists() else target.parent
    prefix = f".{target.name}."
    _clear(home, prefix)
    try:
        work = Path(tempfile.mkdtemp(dir=home, prefix=prefix, suffix=PARTIAL))
    except OSError as error:  # name the folder, not the temporary one
        raise type(error)(error.errno, error.strerror, str(home)) from None
    lock = FileLock(work / LOCK)
    lock.acquire()
    try:
        yield work
        work.chmod(0o755)
        (work / LOCK).unlink()
        if not target.exists():
            work.rename(target)
            return
        made = [name for name in OWN if (work / name).exists()]  # the mark comes last
        for name in made:
            _move(work / name, target / name)
        for name in set(OWN) - set(made):
            (target / name).unlink(missing_ok=True)
    finally:
        lock.release()
        shutil.rmtree(work, ignore_errors=True)
        for parent in parents:
            if parent.exists() and not any(parent.iterdir()):
                parent.rmdir()


def _clear(home: Path, prefix: str) -> None:
    """Remove what killed audits left: a folder whose lock nobody holds any more."""
    for left in list(home.iterdir()):
        if left.is_dir() and left.name.startswith(prefix) and left.name.endswith(PARTIAL):
            with suppress(Timeout), FileLock(left / LOCK).acquire(blocking=False):
                shutil.rmtree(left, ignore_errors=True)


def _holds_something(folder: Path) -> bool:
    return any(not path.name.endswith(PARTIAL) for path in folder.iterdir())


def _move(source: Path, target: Path) -> None:
    """In one step where `target` is a plain file, whose permissions stay, or none."""
    if target.is_file() and not target.is_symlink():
        source.chmod(stat.S_IMODE(target.stat().st_mode))
    if target.exists() and (target.is_symlink() or not target.is_file()):
        write_atomically(target, source.read_bytes())
    else:
        source.replace(target)


def _of_an_audit(folder: Path) -> bool:
    """Whether an audit has written here: not every file of that name is the document of one."""
    mark = folder / MARK
    if not mark.exists():
        return (folder / UNFINISHED).is_file()
    try:
        document = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and {"command", "config", "versions"} <= document.keys()


def never_seen(document: Document) -> dict[str, NDArray[np.int64]]:
    """Indices of the samples that were out of reach or in no selection, by method and epoch."""
    found: dict[str, NDArray[np.int64]] = {}
    for point, rule in document.rows():
        place = f"{rule.method}/epoch {point.epoch}"
        for name, samples in (
            ("unreachable", rule.unreachable_samples),
            ("never used", point.never_used_samples),
        ):
            if samples is not None:
                found[f"{place}/{name}"] = samples.numpy()
    return found


def write_report(folder: Path, document: Document) -> None:
    """Write `audit.json`, the figures as PNG, `report.html` and `never_seen.npz`."""
    figures = audit_figures(document)
    images = {name: render(figure.figure, "png") for name, figure in figures.items()}
    for name, image in images.items():
        (folder / f"{name}.png").write_bytes(image)
    captions = {name: figure.caption for name, figure in figures.items()}
    alternatives = {name: figure.alternative for name, figure in figures.items()}
    widths = {name: figure.figure.get_figwidth() for name, figure in figures.items()}
    page = render_page(document, images, captions, alternatives, widths)
    (folder / "report.html").write_text(page, encoding="utf-8")
    np.savez_compressed(folder / "never_seen.npz", allow_pickle=False, **never_seen(document))
    (folder / MARK).write_text(document.to_json(), encoding="utf-8")
