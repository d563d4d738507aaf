"""What the public functions accept: designs, and real numbers that float64 holds as they are."""

import dataclasses
import inspect
import math
import numbers
import operator
from collections.abc import Callable
from functools import wraps
from types import NoneType
from typing import Any, ParamSpec, TypeVar, get_args

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike, NDArray

from orderdp_theory.common.arrays import Array
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_at_most, require_room
from orderdp_theory.design import Design

LARGEST_INTEGER = 2**53  # every integer up to it is a float64
LARGEST_NUMBER = 1e100  # its square, and the product of any three such numbers, is a float64

P = ParamSpec("P")
R = TypeVar("R")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Make a public function refuse by name what its annotations exclude, and never overflow.

    Arguments annotated `int`, `float` or `Design` (with `None` where that is allowed) go through
    `integer`, `number` and `require_design`; arrays are for the function itself to look at. Where a
    result would overflow, divide by zero or be NaN it is a `ValueError` that names the arguments.
    """
    signature = inspect.signature(function, eval_str=True)
    checks: dict[str, tuple[Callable[[str, Any], Any], bool]] = {}
    for name, parameter in signature.parameters.items():
        kinds = get_args(parameter.annotation) or (parameter.annotation,)
        for kind, check in ((int, integer), (float, number), (Design, _design)):
            if kinds in ((kind,), (kind, NoneType)):
                checks[name] = check, NoneType in kinds

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if name in checks:
                check, optional = checks[name]
                if value is not None or not optional:
                    bound.arguments[name] = check(name, value)
        try:
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                result = function(*bound.args, **bound.kwargs)
            if _infinite(result):
                raise OverflowError("the result is not finite")
        except ArithmeticError as error:
            raise InputError(
                f"{', '.join(bound.arguments)}: some of these numbers are too large or too small, "
                f"or too far apart, for {function.__name__} in double precision ({error})"
            ) from None
        return result

    return wrapper


def integer(name: str, value: Any) -> int:
    """An integer as `int`; `TypeError` if it is none, or a boolean, `ValueError` beyond 2^53."""
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if abs(found) > LARGEST_INTEGER:
        raise InputError(f"{name} must not exceed 2^53, the integers that float64 holds")
    return found


def number(name: str, value: Any) -> float:
    """A real number as it is, `TypeError` for anything else, `ValueError` if not within 1e100."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise InputError(f"{name} must be finite, got {value!r}")
    if abs(float(value)) > LARGEST_NUMBER:
        raise InputError(f"{name} must be at most {LARGEST_NUMBER:g}: its powers would overflow")
    return float(value)


def require_population(n: int) -> None:
    """`ValueError` for a population that double precision or this machine's memory cannot hold."""
    require_at_most("n", n, 2**27 - 1, "products of ranks must be exact in double precision")
    require_room("n", n, 4 * np.dtype(np.float64).itemsize)


def require_design(design: Any) -> None:
    """`TypeError` unless it is a `Design`: a `RankDesign` would pass for the top q it is not."""
    if not isinstance(design, Design):
        raise TypeError(
            f"expected a Design, which keeps the q largest losses, got {design!r}; for other "
            "positions use the functions whose names begin with rank_design"
        )


def _design(name: str, design: Any) -> Any:
    require_design(design)
    return design


def _infinite(result: Any) -> bool:
    if isinstance(result, float):
        return not math.isfinite(result)
    if isinstance(result, tuple):
        return any(map(_infinite, result))
    if dataclasses.is_dataclass(result):
        values = [getattr(result, field.name) for field in dataclasses.fields(result)]
        # Not NaN: that is what a term is whose losses are not known.
        return any(math.isinf(v) if isinstance(v, float) else _infinite(v) for v in values)
    return False


def real_array(values: ArrayLike, name: str = "losses") -> Float[NDArray[np.floating], "..."]:
    """The values as an array of at most double precision, none of them changed on the way.

    Arrays of floats come back as they are, integers and booleans as float64. `TypeError` for masked
    arrays (their masks would be lost), extended precision and what is not real, `ValueError` for
    integers beyond 2^53; in nested sequences too.
    """
    try:
        _refuse_what_would_change(values, name)
        array = np.asarray(values)
    except InputError:
        raise
    except (ValueError, RuntimeError) as error:  # rows of several lengths, a tensor with a gradient
        raise TypeError(f"{name} must be an array of numbers: {error}") from None
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


def require_steps(steps: int, name: str = "steps") -> None:
    """`ValueError` unless there is a step, and a vector of so many step sizes fits into memory."""
    if steps < 1:
        raise InputError(f"{name} must be at least 1, got {steps}")
    require_room(name, steps, 16 * np.dtype(np.float64).itemsize)


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
