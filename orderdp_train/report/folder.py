"""An output folder that appears whole, at the end, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.style import render
from orderdp_train.report.document import Document
from orderdp_train.report.figures import audit_figures
from orderdp_train.report.page import render_page

MARK = "audit.json"


@contextmanager
def output_folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target` that takes its name when the block ends without an exception.

    Checked before anything else is done: an existing `target` is replaced only if it is empty or
    the output of an earlier audit, and the folder it lies in must be writable.

    Raises:
        ValueError: `target` is a file, or holds something else.
        OSError: the folder cannot be made.
    """
    target = target.absolute()
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; give --out a folder")
    if target.is_dir() and any(target.iterdir()) and not (target / MARK).is_file():
        raise InputError(f"{target} holds other files; give --out a new folder or an earlier audit")
    parents = [p for p in target.parents if not p.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:  # name the folder, not the temporary one
        raise type(error)(error.errno, error.strerror, str(target.parent)) from None
    replaced = work.with_name(work.name + ".replaced")
    try:
        yield work
        work.chmod(0o755)
        if target.exists():
            target.rename(replaced)
        work.rename(target)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        if replaced.exists() and not target.exists():
            replaced.rename(target)
        for parent in parents:
            if not any(parent.iterdir()):
                parent.rmdir()
        raise
    shutil.rmtree(replaced, ignore_errors=True)


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
