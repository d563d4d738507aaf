"""Checkpoint files that are whole, ours and of the right run, or refused; where a run has them."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from orderdp_theory.files import write_atomically

FORMAT = "orderdp-train checkpoint, version 1"
LATEST = "checkpoint.pt"
DIGEST = hashlib.sha256().digest_size


def milestones(epochs: int, count: int = 5) -> list[int]:
    """The epochs nearest to 1/count, 2/count, ... of a training of ``epochs``; at most count."""
    return sorted({max(1, round(k * epochs / count)) for k in range(1, count + 1)})


def milestone(epoch: int) -> str:
    """The name of the checkpoint that a run keeps after ``epoch``."""
    return f"checkpoint-{epoch:04}.pt"


def kept_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of the run in ``folder`` in the order of training, the latest one last.

    `ValueError` if it has none.
    """
    latest = folder / LATEST
    if not latest.is_file():
        raise ValueError(f"{folder} has no checkpoint yet; let the run finish its first epoch")
    return [*sorted(folder.glob("checkpoint-*.pt")), latest]


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values as a `torch.load`-able file with a SHA-256 at its end.

    The file appears whole or not at all; until then the previous one stands. `OSError` when it
    cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    whole = buffer.getvalue()
    write_atomically(path, whole + hashlib.sha256(whole).digest())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU, running no code that may be in it.

    Raises `OSError` if it cannot be read and `ValueError` if it is not one of ours, cut short or
    changed; the file is left as it is.
    """
    raw = path.read_bytes()
    whole, digest = raw[:-DIGEST], raw[-DIGEST:]
    if hashlib.sha256(whole).digest() != digest:
        raise ValueError(
            f"{path} is damaged, cut short or not a checkpoint of this program: "
            "restore it from a copy, or remove it to start this run from the beginning"
        )
    content = torch.load(io.BytesIO(whole), map_location="cpu", weights_only=True)
    if content.get("format") != FORMAT:
        raise ValueError(f"{path} is not a {FORMAT!r}: use the version that wrote it")
    return content
