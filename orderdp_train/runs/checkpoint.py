"""Checkpoint files that are whole and ours, or refused."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.files import read_file, write_atomically

FORMAT = "orderdp-train checkpoint, version 2"
DIGEST = hashlib.sha256().digest_size


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
    raw = read_file(path)
    whole, digest = raw[:-DIGEST], raw[-DIGEST:]
    if hashlib.sha256(whole).digest() != digest:
        raise InputError(
            f"{path} is damaged, cut short or not a checkpoint of this program: "
            "restore it from a copy, or remove it to start this run from the beginning"
        )
    try:
        content = torch.load(io.BytesIO(whole), map_location="cpu", weights_only=True)
    except Exception as error:  # a forged one can raise nearly anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} is not a checkpoint of this program ({reason})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path} is not a {FORMAT!r}: use the version that wrote it")
    return content
