"""Double-double arithmetic against 300-bit arithmetic, and scans against plain loops."""

from collections.abc import Callable
from fractions import Fraction
from itertools import accumulate
from operator import add, mul, truediv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderdp_theory import _double_double as dd

U2 = Fraction(1, 2**106)


def fractions(x: np.ndarray) -> list[Fraction]:
    return [Fraction(float(hi)) + Fraction(float(lo)) for hi, lo in x.T]


def random_numbers(rng: np.random.Generator, m: int) -> np.ndarray:
    hi = rng.uniform(0.5, 1, m) * 2.0 ** rng.integers(-30, 30, m)
    return np.stack([hi, hi * rng.uniform(-0.5, 0.5, m) * 2.0**-53])


@pytest.mark.parametrize(
    ("operation", "exact", "units"), [(dd.add, add, 3), (dd.multiply, mul, 5)], ids=["+", "*"]
)
def test_relative_errors(operation: Callable, exact: Callable, units: int) -> None:
    rng = np.random.default_rng(1)
    x, y = random_numbers(rng, 3000), random_numbers(rng, 3000)
    result = operation(x, y)
    assert np.all(result[0] + result[1] == result[0])
    for z, a, b in zip(fractions(result), fractions(x), fractions(y), strict=True):
        assert abs(z / exact(a, b) - 1) <= units * U2


def test_relative_error_of_a_quotient() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(1, 2**53, (2, 3000)).astype(float)
    for z, x, y in zip(fractions(dd.quotient(a, b)), a, b, strict=True):
        assert abs(z / truediv(Fraction(float(x)), Fraction(float(y))) - 1) <= 2 * U2


@pytest.mark.parametrize(
    ("operation", "exact"), [(dd.add, add), (dd.multiply, mul)], ids=["+", "*"]
)
@given(m=st.integers(1, 40))
def test_scan_gives_all_prefixes(operation: Callable, exact: Callable, m: int) -> None:
    x = random_numbers(np.random.default_rng(m), m)
    for z, expected in zip(
        fractions(dd.scan(operation, x)), accumulate(fractions(x), exact), strict=True
    ):
        assert abs(z / expected - 1) <= 5 * m * U2


@pytest.mark.parametrize(
    ("operation", "rounded", "exact"),
    [(dd.add, dd.add_rounded, add), (dd.multiply, dd.multiply_rounded, mul)],
    ids=["+", "*"],
)
@given(rows=st.integers(1, 5), columns=st.integers(1, 9))
def test_blocks_continue_from_the_carry(
    operation: Callable, rounded: Callable, exact: Callable, rows: int, columns: int
) -> None:
    m = rows * columns
    x = random_numbers(np.random.default_rng(m), m + 1)
    expected = list(accumulate(fractions(x), exact))
    blocks = x[:, 1:].reshape(2, columns, rows).transpose(0, 2, 1).copy()
    prefixes, carry = dd.scan_blocks(operation, rounded, blocks, x[:, :1])
    for z, fraction in zip(prefixes.T.ravel(), expected[1:], strict=True):
        assert abs(Fraction(float(z)) / fraction - 1) <= Fraction(1, 2**52)
    assert abs(fractions(carry)[0] / expected[-1] - 1) <= 5 * (m + 1) * U2
