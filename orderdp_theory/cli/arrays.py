"""Numbers from files: `.npy`, or text with one row a line and commas between."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from orderdp_theory.common.errors import InputError

if TYPE_CHECKING:
    from orderdp_theory.common.arrays import Array


def read_array(path: Path, dimensions: tuple[int, ...]) -> "Array":
    """A finite float64 array whose number of dimensions is one of those given.

    A text file with a single row or a single column is a vector if vectors are wanted.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no numbers, something else as well, or has the wrong shape.
    """
    import numpy as np

    from orderdp_theory.arguments import double_array

    try:
        if path.suffix == ".npy":
            array = double_array(np.load(path, allow_pickle=False), "numbers")
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an empty file; reported below
                array = np.loadtxt(path, delimiter=",", ndmin=2)
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
    return array
