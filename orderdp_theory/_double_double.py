"""Vectorized double-double arithmetic, about 106 bits from pairs of float64, and prefix scans.

A number is the unevaluated sum hi + lo of two float64 with hi = fl(hi + lo). An array of numbers
is a float64 array whose first axis has length 2: all hi, then all lo. With u = 2^-53 the relative
errors are at most 3 u^2 for a sum of numbers of one sign, 5 u^2 for a product and 2 u^2 for the
quotient of two float64, as long as residuals do not underflow, that is for results >= 2^-969
(Dekker 1971; Joldes, Muller and Popescu, "Tight and rigorous error bounds for basic building
blocks of double-word arithmetic", ACM TOMS 2017).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from orderdp_theory.common.arrays import Array

_SPLITTER = 2.0**27 + 1


def _normalized(hi: Array, lo: Array) -> Array:
    total = np.empty((2, *hi.shape))
    np.add(hi, lo, out=total[0])
    np.subtract(lo, total[0] - hi, out=total[1])
    return total


def _halves(a: Array) -> tuple[Array, Array]:
    """Split into two numbers of at most 26 bits, so that their products are exact (Veltkamp)."""
    t = _SPLITTER * a
    hi = t - (t - a)
    return hi, a - hi


def _rounding_error(product: Array, a: Array, b: Array) -> Array:
    """a * b - product, exactly, for product = fl(a * b) (Dekker)."""
    (a_hi, a_lo), (b_hi, b_lo) = _halves(a), _halves(b)
    return ((a_hi * b_hi - product) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo


def quotient(a: Float64[Array, "*m"], b: Float64[Array, "*m"]) -> Float64[Array, "2 *m"]:
    """a / b of two float64 arrays."""
    hi = a / b
    back = hi * b
    return _normalized(hi, ((a - back) - _rounding_error(back, hi, b)) / b)


def multiply(x: Array, y: Array) -> Array:
    """x * y."""
    hi = x[0] * y[0]
    return _normalized(hi, _rounding_error(hi, x[0], y[0]) + (x[0] * y[1] + x[1] * y[0]))


def add(x: Array, y: Array) -> Array:
    """x + y for numbers of one sign (Knuth's two-sum)."""
    hi = x[0] + y[0]
    t = hi - x[0]
    return _normalized(hi, (x[0] - (hi - t)) + (y[0] - t) + (x[1] + y[1]))


def multiply_rounded(x: Array, y: Array) -> Array:
    """x * y as float64, relative error at most 2 u."""
    return x[0] * y[0] + (x[0] * y[1] + x[1] * y[0])


def add_rounded(x: Array, y: Array) -> Array:
    """x + y as float64 for numbers of one sign, relative error at most 2 u."""
    return (x[0] + y[0]) + (x[1] + y[1])


def scan(
    operation: Callable[[Array, Array], Array], x: Float64[Array, "2 m"]
) -> Float64[Array, "2 m"]:
    """All prefixes x_0, x_0∘x_1, x_0∘x_1∘x_2, ... of an associative operation; shape `(2, m)`.

    Combines neighbours, scans the half as many pairs, then fills in the prefixes of odd length:
    2 m operations in 2 log2(m) vectorized steps.
    """
    m = x.shape[1]
    if m == 1:
        return x
    pairs = scan(operation, operation(x[:, : m - 1 : 2], x[:, 1::2]))
    prefixes = np.empty_like(x)
    prefixes[:, 0] = x[:, 0]
    prefixes[:, 1::2] = pairs
    prefixes[:, 2::2] = operation(pairs[:, : (m - 1) // 2], x[:, 2::2])
    return prefixes


def scan_blocks(
    operation: Callable[[Array, Array], Array],
    rounded: Callable[[Array, Array], Array],
    x: Float64[Array, "2 rows columns"],
    carry: Float64[Array, "2 1"],
) -> tuple[Float64[Array, "rows columns"], Float64[Array, "2 1"]]:
    """The prefixes of carry, x_0, x_1, ... as float64, and the last of them in full.

    x: `(2, rows, columns)`, each column is a block of consecutive numbers: x[:, r, c] is number
    c * rows + r. x is overwritten. Blocks are scanned side by side, one vectorized step a row;
    then each is combined with all that precedes it. carry: `(2, 1)`. Returns `(rows, columns)`
    and `(2, 1)`.
    """
    for row in range(1, x.shape[1]):
        x[:, row] = operation(x[:, row - 1], x[:, row])
    before = scan(operation, np.concatenate([carry, x[:, -1]], axis=1))
    return rounded(before[:, None, :-1], x), before[:, -1:]
