"""Inclusion probabilities proportional to size against exact rationals and other probabilities."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orderdp_theory import proportional_inclusion

# Ties, zeros and sizes that differ by more than rounding can bridge.
sizes = st.lists(
    st.sampled_from([0, 1, 1, 2, 3, 10, Fraction(1, 10**9), 10**9]), min_size=1, max_size=5
)


def exact(x: list[Fraction], m: int, floor: Fraction) -> list[Fraction]:
    """The minimiser by trying every set of capped and of floored samples: the conditions of
    Karush, Kuhn and Tucker hold for one solution only."""
    for kinds in product(["cap", "floor", "free"], repeat=len(x)):
        free = sum((v for v, kind in zip(x, kinds, strict=True) if kind == "free"), Fraction(0))
        fixed = kinds.count("cap") + kinds.count("floor") * floor
        if free == 0:
            if "free" in kinds or fixed != m:
                continue
            # Any c between what the floored and what the capped samples need.
            capped = [1 / v if v else None for v, k in zip(x, kinds, strict=True) if k == "cap"]
            floored = [floor / v for v, k in zip(x, kinds, strict=True) if k == "floor" and v]
            if None in capped or max(capped, default=0) > min(floored, default=Fraction(10**30)):
                continue
            return [Fraction(1) if k == "cap" else floor for k in kinds]
        c = (m - fixed) / free
        wanted = [min(Fraction(1), max(floor, c * v)) for v in x]
        if c > 0 and sum(wanted) == m:
            return wanted
    rest = x.count(Fraction(0))
    return [Fraction(m - (len(x) - rest), rest) if v == 0 else Fraction(1) for v in x]


@st.composite
def problems(draw) -> tuple[list[Fraction], int, Fraction]:
    """Sizes, a budget and a floor."""
    x = [Fraction(v) for v in draw(sizes)]
    m = draw(st.integers(1, len(x)))
    part = draw(st.sampled_from([Fraction(0), Fraction(1, 4), Fraction(1, 2), Fraction(1)]))
    return x, m, part * Fraction(m, len(x))


@given(problems())
@example(([Fraction(1)], 1, Fraction(0)))
@example(([Fraction(0)] * 3, 1, Fraction(0)))
@settings(max_examples=80, deadline=None)
def test_equals_exact_rationals(problem):
    x, m, floor = problem
    found = proportional_inclusion([float(v) for v in x], m, float(floor))
    expected = [float(v) for v in exact(x, m, floor)]
    # A few roundings of sums of at most five numbers, each at most m.
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15 * m)


@given(st.integers(2, 40), st.integers(0, 2**32 - 1), st.data())
@settings(max_examples=40, deadline=None)
def test_no_other_probabilities_have_a_smaller_main_part(n, seed, data):
    m = data.draw(st.integers(1, n))
    floor = data.draw(st.floats(0, 1)) * m / n
    rng = np.random.default_rng(seed)
    x = rng.exponential(size=n) ** 3
    pi = proportional_inclusion(x, m, floor)
    assert abs(pi.sum() - m) <= 1e-13 * m
    assert pi.min() >= floor
    assert pi.max() <= 1
    if floor == 0 and m * x.max() < x.sum():
        np.testing.assert_allclose(pi, m * x / x.sum(), rtol=1e-12)  # no cap: plain proportion
    best = np.sum(x**2 / np.maximum(pi, 1e-300))
    for _ in range(20):
        # Another feasible point: on the way to random corners of the same simplex with bounds.
        other = proportional_inclusion(rng.exponential(size=n) ** 2, m, floor)
        with np.errstate(divide="ignore"):
            assert np.sum(x**2 / (0.9 * pi + 0.1 * other)) >= best * (1 - 1e-12)


def test_a_cap_passes_its_excess_on():
    np.testing.assert_allclose(proportional_inclusion([8, 1, 1, 1, 1], 2), [1, *[0.25] * 4])
    np.testing.assert_allclose(proportional_inclusion([8, 0, 0], 2), [1, 0.5, 0.5])
    np.testing.assert_allclose(
        proportional_inclusion([3, 1, 0, 0], 1, 0.125), [0.5625, 0.1875, *[0.125] * 2]
    )
    assert proportional_inclusion([0.0, 5.0], 2).tolist() == [1, 1]


def test_a_large_population_in_every_regime():
    x = np.geomspace(1e-9, 1e9, 50_001)
    for m in (1, 5_000, 50_000):
        for part in (0.0, 0.5, 1.0):
            pi = proportional_inclusion(x, m, part * m / len(x))
            assert abs(pi.sum() - m) <= 1e-13 * m
            assert np.all(np.diff(pi) >= 0)


@pytest.mark.parametrize(
    ("sizes", "m", "floor", "message"),
    [
        ([], 1, 0, "sizes must be"),
        ([1, -1], 1, 0, "sizes must be"),
        ([1, np.inf], 1, 0, "sizes must be"),
        ([[1, 2]], 1, 0, "sizes must be"),
        ([1, 2], 3, 0, "cannot keep 3 of 2"),
        ([1, 2], 0, 0, "cannot keep 0 of 2"),
        ([1, 2], 1, 0.6, "does not fit"),
        ([1, 2], 1, -0.1, "does not fit"),
    ],
)
def test_refused(sizes, m, floor, message):
    with pytest.raises(ValueError, match=message):
        proportional_inclusion(sizes, m, floor)
