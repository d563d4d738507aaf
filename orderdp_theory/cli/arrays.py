"""Numbers from files: `.npy`, or text with one row a line and commas between."""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import memory, require_at_most

if TYPE_CHECKING:
    from orderdp_theory.common.arrays import Array

LARGEST = 1e150
TEXT = 32  # bytes of memory for a byte of text: itself, its characters, lines and numbers


def read_array(path: Path, dimensions: tuple[int, ...]) -> "Array":
    """A finite float64 array whose number of dimensions is one of those given.

    A text file with a single row or a single column is a vector if vectors are wanted.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no numbers, something else as well, or has the wrong shape.
    """
    import numpy as np

    from orderdp_theory.arguments import double_array

    text = None if path.suffix == ".npy" else _text(path)
    try:
        if text is None:
            # Mapped, so that a header that promises more than the file holds is seen.
            loaded = np.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(loaded, np.ndarray):
                loaded.close()
                raise ValueError("it is an archive of arrays, .npz")
            array = double_array(np.array(loaded), "numbers")
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an empty file; reported below
                array = np.loadtxt(text, delimiter=",", ndmin=2)
            if 1 in array.shape and 1 in dimensions:
                array = array.ravel()
    except (ValueError, TypeError, EOFError) as error:
        raise InputError(
            f"{path} does not hold an array of numbers ({error}); give a .npy file, or a text file "
            "of numbers with commas between and no heading"
        ) from None
    if array.size == 0:
        raise InputError(f"{path} is empty")
    if array.ndim not in dimensions:
        wanted = " or ".join(map(str, dimensions))
        raise InputError(f"{path} holds an array of {array.ndim} dimensions, {wanted} wanted")
    if not np.isfinite(array).all():
        raise InputError(f"{path} holds NaN or infinite values; remove them")
    if np.abs(array).max() > LARGEST:
        raise InputError(f"{path} holds numbers beyond {LARGEST:g}, whose squares overflow")
    return array


def _text(path: Path) -> io.TextIOWrapper:
    """What a text file or a pipe holds, at most as much as memory can take as numbers."""
    largest = memory() // 2 // TEXT
    with path.open("rb") as file:
        raw = file.read(largest + 1)
    require_at_most(f"{path}: bytes", len(raw), largest, "more text does not fit into memory")
    return io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8")
