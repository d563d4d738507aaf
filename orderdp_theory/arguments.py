"""What the public functions accept: designs, and real numbers that float64 holds as they are."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orderdp_theory.common.errors import InputError
from orderdp_theory.design import Design

LARGEST_INTEGER = 2**53  # every integer up to it is a float64


def require_design(design: Any) -> None:
    """`TypeError` unless it is a `Design`: a `RankDesign` would pass for the top q it is not."""
    if not isinstance(design, Design):
        raise TypeError(
            f"expected a Design, which keeps the q largest losses, got {design!r}; for other "
            "positions use the functions whose names begin with rank_design"
        )


def real_array(values: ArrayLike, name: str = "losses") -> NDArray[np.floating]:
    """The values as an array of at most double precision, none of them changed on the way.

    Arrays of floats come back as they are, integers and booleans as float64. `TypeError` for masked
    arrays (their masks would be lost), extended precision and what is not real, `ValueError` for
    integers beyond 2^53; in nested sequences too.
    """
    _refuse_what_would_change(values, name)
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def double_array(values: ArrayLike, name: str = "losses") -> NDArray[np.float64]:
    """`real_array` in float64, a copy only if it is not already."""
    return real_array(values, name).astype(np.float64, copy=False)


def _refuse_what_would_change(values: Any, name: str) -> None:
    if isinstance(values, list | tuple):
        for value in values:
            _refuse_what_would_change(value, name)
    elif isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be masked: fill or leave out the masked entries first")
    elif not isinstance(values, float):
        array = np.asarray(values)
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            raise TypeError(f"{name} must be at most double precision, got dtype {array.dtype}")
        integers = array.dtype.kind in "iu" or isinstance(values, int)
        if integers and array.size and max(-int(array.min()), int(array.max())) > LARGEST_INTEGER:
            raise InputError(f"{name} must not hold integers beyond 2^53, which float64 rounds")
