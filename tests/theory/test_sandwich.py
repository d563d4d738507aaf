"""L ≤ L_q ≤ CVaR_{q/s} ≤ L_q + width (proofs/sandwich.md)."""

from dataclasses import astuple
from fractions import Fraction
from itertools import combinations
from math import comb, pi, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderdp_theory import (
    Design,
    chi,
    cvar_sandwich,
    inclusion_probabilities_exact,
    sandwich_width,
    total_variation,
)
from tests.strategies import designs, losses

cases = designs(7).flatmap(lambda design: st.tuples(st.just(design), losses(design.n)))
EDGES = [Design(1, 1, 1), Design(5, 5, 2), Design(5, 5, 5), Design(6, 4, 4), Design(2, 2, 1)]


def enumerated(values: list[Fraction], design: Design) -> Fraction:
    """L_q: the mean of the q largest of each candidate set, over all sets."""
    drawn = combinations(values, design.s)
    total = sum(sum(sorted(candidates, reverse=True)[: design.q]) for candidates in drawn)
    return Fraction(total, comb(design.n, design.s) * design.q)


def variational_cvar(values: list[Fraction], beta: Fraction) -> Fraction:
    """min_c c + mean (L − c)⁺/β, attained at one of the losses (Rockafellar and Uryasev)."""
    n = len(values)
    return min(c + sum(max(x - c, Fraction(0)) for x in values) / (n * beta) for c in values)


def largest_distance(design: Design) -> Fraction:
    """The largest CVaR − L_q over losses of range 1: 0-1 losses suffice, k of them being 1."""
    n, s, q = design.n, design.s, design.q
    share, best = Fraction(0), Fraction(0)
    for k, gamma in enumerate(inclusion_probabilities_exact(design), 1):
        share += gamma / q
        best = max(best, min(Fraction(1), Fraction(k * s, n * q)) - share)
    return best


@given(cases)
def test_every_value_and_the_order(case: tuple[Design, np.ndarray]) -> None:
    design, vector = case
    exact = [Fraction(x) for x in vector.tolist()]
    found = cvar_sandwich(vector, design)
    truth = (
        sum(exact) / design.n,
        enumerated(exact, design),
        variational_cvar(exact, Fraction(design.q, design.s)),
    )
    room = 1e-14 * float(max(map(abs, exact))) + 1e-300
    assert truth[0] <= truth[1] <= truth[2] <= truth[1] + Fraction(found.width) + Fraction(room)
    for value, expected in zip(astuple(found)[:3], truth, strict=True):
        assert abs(value - float(expected)) <= room
    assert found.mean <= found.surrogate <= found.cvar
    assert all(isinstance(value, float) for value in astuple(found))


@given(designs(40))
def test_width_is_above_the_largest_distance(design: Design) -> None:
    assert largest_distance(design) <= Fraction(sandwich_width(design)) * (1 + Fraction(1, 10**12))


@pytest.mark.parametrize("design", EDGES, ids=str)
def test_width_vanishes_exactly_where_the_surrogate_is_the_cvar(design: Design) -> None:
    assert largest_distance(design) == sandwich_width(design) == 0


@pytest.mark.parametrize("ratios", [(0.5, 0.6), (0.8, 0.375), (0.1, 0.5)])
def test_width_is_of_the_right_size(ratios: tuple[float, float]) -> None:
    """The largest distance tends to √(2/π) of the width, so no factor below that is possible."""
    design = Design.from_ratios(2000, *ratios)
    attained = float(largest_distance(design)) / sandwich_width(design)
    assert 0.98 * sqrt(2 / pi) <= attained <= 1


@given(designs(30))
def test_deviation_is_at_most_that_of_the_step(design: Design) -> None:
    """χ² ≤ s/q − 1 and TV ≤ 1 − q/s, in rationals; equalities for s = n and for q = s."""
    n, s, q = design.n, design.s, design.q
    weights = [gamma / q for gamma in inclusion_probabilities_exact(design)]
    square = n * sum(w * w for w in weights) - 1
    variation = sum(abs(w - Fraction(1, n)) for w in weights) / 2
    assert square <= Fraction(s, q) - 1
    assert variation <= 1 - Fraction(q, s)
    attained = (square, variation) == (Fraction(s, q) - 1, 1 - Fraction(q, s))
    assert attained == (s in (n, q))
    assert chi(design) == pytest.approx(sqrt(square), rel=1e-14)
    assert total_variation(design) == pytest.approx(float(variation), rel=1e-14)


def test_constant_losses_are_their_mean_to_the_last_bit() -> None:
    found = cvar_sandwich([0.1] * 7, Design(7, 4, 2))
    assert found.mean == found.surrogate == found.cvar
    assert found.width == 0


def test_wrong_length() -> None:
    with pytest.raises(ValueError, match="expected n=3"):
        cvar_sandwich([1.0, 2.0], Design(3, 2, 1))
