"""Arrays that come in: torch tensors or numpy arrays, checked once and turned into tensors."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.rules.base import real_tensor

Array = Tensor | NDArray[Any]


def require(kind: type, **values: Any) -> None:
    """`TypeError` that names the first of these that is not of this kind."""
    for name, value in values.items():
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, got {value!r}")


def finite_matrix(values: Array, name: str) -> Tensor:
    """Float64 `(n, d)` on the device of `values`; `ValueError` if of other shape or not finite."""
    matrix = real_tensor(name, values).to(torch.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise InputError(f"{name} must have shape (n, d), got {tuple(matrix.shape)}")
    if not matrix.isfinite().all():
        row = int(matrix.isfinite().all(1).logical_not().nonzero()[0])
        raise InputError(f"{name} must be finite, and row {row} is not")
    return matrix


def distributions(values: Array, name: str = "probabilities") -> Tensor:
    """Float64 `(..., n, c)` whose last axis holds probabilities; `ValueError` for anything else.

    Logits are caught here. A softmax in the precision eps of its input sums to 1 up to some 8 eps
    of the exponentials and division and c eps of the sum.
    """
    given = real_tensor(name, values)
    p = given.to(torch.float64)
    if p.ndim < 2 or 0 in p.shape:
        raise InputError(f"{name} must have shape (n, classes), got {tuple(p.shape)}")
    eps = torch.finfo(given.dtype).eps if given.is_floating_point() else 0.0
    tolerance = (p.shape[-1] + 8) * max(eps, torch.finfo(torch.float32).eps)
    if not ((p >= 0).all() and ((p.sum(-1) - 1).abs() <= tolerance).all()):
        raise InputError(
            f"{name} must be non-negative and sum to 1 for every sample: "
            "these look like logits, take their softmax"
        )
    return p


def class_labels(values: Array, n: int, name: str) -> Tensor:
    """Int64 `(n,)`; `ValueError` for another shape or for anything but integers."""
    labels = real_tensor(name, values)
    if labels.shape != (n,) or labels.is_floating_point():
        raise InputError(
            f"{name} must be {n} integers, one a sample, "
            f"got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    return labels.to(torch.int64)


def class_targets(values: Array, n: int, c: int) -> Tensor:
    """`class_labels` that must lie in 0..c-1."""
    targets = class_labels(values, n, "targets")
    if targets.min() < 0 or targets.max() >= c:
        raise InputError(f"targets must lie in 0..{c - 1}, the classes that have probabilities")
    return targets


def well_scaled(x: Tensor, rows: Tensor) -> Tensor:
    """A copy of the rows of `x`, scaled into [-1, 1] and moved to mean 0.

    For criteria that see neither scale nor translation: no square overflows or underflows, and
    rounding errors are those of the spread, not of the offset.
    """
    points = x[rows.to(x.device)]
    low, high = points.aminmax()
    largest = float(torch.maximum(-low, high))
    points /= largest or 1.0
    return points.sub_(points.mean(0))


def checked_budget(k: int, n: int) -> int:
    """`k` itself; `ValueError` unless 1 <= k <= n."""
    if not 1 <= k <= n:
        raise InputError(f"cannot keep {k} of {n} samples: the number must lie in 1..{n}")
    return k
