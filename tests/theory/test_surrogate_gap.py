"""gap(θ) = L_q − L and its bounds (proofs/gap.md)."""

from fractions import Fraction
from itertools import combinations
from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import Design, gap, inclusion_probabilities, surrogate_loss


@st.composite
def problems(draw):
    n = draw(st.integers(1, 7))
    s = draw(st.integers(1, n))
    values = st.one_of(st.integers(0, 3), st.fractions(0, 10**6, max_denominator=50))
    losses = draw(st.lists(values, min_size=n, max_size=n))
    return Design(n, s, draw(st.integers(1, s))), [Fraction(x) for x in losses]


def enumerated_gap(losses, design):
    """Average over every candidate set of the mean of its q largest losses, minus the mean."""
    surrogate = sum(
        sum(sorted(drawn, reverse=True)[: design.q]) for drawn in combinations(losses, design.s)
    )
    return surrogate / Fraction(comb(design.n, design.s) * design.q) - sum(losses) / design.n


@given(problems())
@settings(deadline=None)
def test_value_and_both_bounds(problem):
    design, exact = problem
    losses = np.array([float(x) for x in exact])
    found = gap(losses, design)
    room = 1e-13 * (1 + np.abs(losses).max())
    truth = enumerated_gap(exact, design)
    assert truth >= 0
    assert found.value == pytest.approx(float(truth), abs=room)
    assert found.value <= found.chi_std + room
    assert found.value <= found.tv_range + room


@pytest.mark.parametrize("design", [Design(9, 5, 2), Design(40, 20, 12), Design(7, 7, 1)])
def test_both_bounds_are_attained(design):
    """So a constant below 1 in either would fail; equality also pins chi and TV themselves."""
    weights = inclusion_probabilities(design) / design.q
    affine = 3 + 2 * weights
    assert gap(affine, design).value == pytest.approx(gap(affine, design).chi_std, rel=1e-12)
    split = np.where(weights > 1 / design.n, 5.0, 1.0)
    assert gap(split, design).value == pytest.approx(gap(split, design).tv_range, rel=1e-12)


def test_large_mean_does_not_drown_the_gap():
    losses = np.linspace(1, 0, 100)
    design = Design(100, 50, 30)
    assert gap(losses + 1e9, design).value == pytest.approx(gap(losses, design).value, rel=1e-6)


def test_digits_survive_weights_that_are_nearly_uniform():
    """s = n − 1 = q + 1: weights (n−1)/(n(n−2)), then 1/n, then 0; L_(j) = n − j."""
    n = 10**6
    design = Design(n, n - 1, n - 2)
    losses = np.arange(n)[::-1].astype(float)
    exact = Fraction(n * (n - 1) - 2, 2 * n * (n - 2))  # Σ_{j ≤ n−2} (n − j)/(n(n−2))
    assert abs(Fraction(gap(losses, design).value) / exact - 1) < 1e-13
    plain = surrogate_loss(losses, design) - losses.mean()
    assert abs(Fraction(plain) / exact - 1) > 1e-12


def test_chi_in_the_regime_people_run():
    found = gap(np.linspace(0, 1, 50_000), Design.from_ratios(50_000))
    assert found.chi == pytest.approx(sqrt(1 / 0.6 - 1), rel=5e-3)
    assert found.total_variation == pytest.approx(0.4, rel=5e-3)
