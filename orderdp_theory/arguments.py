"""What the public functions accept: designs, and real numbers that float64 holds as they are."""

from typing import Any

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike, NDArray

from orderdp_theory.common.arrays import Array
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


def real_array(values: ArrayLike, name: str = "losses") -> Float[NDArray[np.floating], "..."]:
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


def double_array(values: ArrayLike, name: str = "losses") -> Float64[Array, "..."]:
    """`real_array` in float64, a copy only if it is not already."""
    return real_array(values, name).astype(np.float64, copy=False)


def step_array(step_sizes: ArrayLike) -> Float64[Array, "steps"]:
    """Positive finite step sizes `(T,)`, T >= 1, in float64; else `ValueError`."""
    eta = double_array(step_sizes, "step_sizes")
    if eta.ndim != 1 or eta.size == 0:
        raise InputError(f"step_sizes must be a vector, one per step, got shape {eta.shape}")
    if not np.all(np.isfinite(eta) & (eta > 0)):
        raise InputError("step_sizes must be positive and finite")
    return eta


def require_not_negative(**numbers: float) -> None:
    """`ValueError` that names the first of these that is negative or not finite."""
    for name, value in numbers.items():
        if not (np.isfinite(value) and value >= 0):
            raise InputError(f"{name} must be finite and >= 0, got {value!r}")


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
