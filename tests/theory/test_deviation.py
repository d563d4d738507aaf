"""Deviations of gamma/q from uniform weights against exact rational arithmetic."""

from fractions import Fraction
from math import sqrt

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given

from orderdp_theory import (
    Design,
    RankDesign,
    chi,
    effective_sample_size,
    inclusion_probabilities,
    inclusion_probabilities_ball,
    inclusion_probabilities_exact,
    spectrum_deviation,
    total_variation,
)
from tests.strategies import designs

CONTRACT = 1e-14


@given(designs(40))
def test_definitions(design: Design) -> None:
    n = design.n
    weights = [gamma / design.q for gamma in inclusion_probabilities_exact(design)]
    squares = sum(w * w for w in weights)
    assert chi(design) == pytest.approx(sqrt(n * squares - 1), rel=CONTRACT, abs=0)
    assert effective_sample_size(design) == pytest.approx(float(1 / squares), rel=CONTRACT)
    variation = sum(abs(w - Fraction(1, n)) for w in weights) / 2
    assert total_variation(design) == pytest.approx(float(variation), rel=CONTRACT, abs=0)
    # What the error analysis rests on: the deviation is never much below that of the step.
    s, q = design.s, design.q
    assert variation >= (1 - Fraction(q, s)) * Fraction(s, 2 * (s + 1))
    deviation = max(abs(n * w - 1) for w in weights)
    assert spectrum_deviation(design) == pytest.approx(float(deviation), rel=CONTRACT, abs=0)


@given(designs(40))
def test_no_deviation_without_pruning_among_the_candidates(design: Design) -> None:
    uniform = Design(design.n, design.s, design.s)
    assert chi(uniform) == total_variation(uniform) == spectrum_deviation(uniform) == 0
    assert effective_sample_size(uniform) == design.n


EDGES = [
    *(Design(n, n - 1, n - 2) for n in (3, 1000, 10**6, 10**7)),
    *(Design(n, n, n - d) for n in (3, 1000, 10**6) for d in (1, 2)),
    Design(10**6, 10**6, 1),
]


@pytest.mark.parametrize("design", EDGES, ids=str)
def test_edges_in_closed_form(design: Design) -> None:
    """s = n: weights 1/q on the first q ranks. s = n − 1 = q + 1: 1/n above the last rank, or more.

    In the second case the weights are (n−1)/(n(n−2)) up to rank n − 2, then 1/n, then 0.
    """
    n, s, q = design.n, design.s, design.q
    weights = (
        [(n - 1, n * (n - 2), n - 2), (1, n, 1), (0, 1, 1)] if s < n else [(1, q, q), (0, 1, s - q)]
    )
    excess = [(Fraction(a, b) - Fraction(1, n), count) for a, b, count in weights]
    variation = sum(abs(e) * count for e, count in excess) / 2
    square = n * sum(e * e * count for e, count in excess)
    assert variation == Fraction(s - q, s if s == n else n)
    assert abs(Fraction(total_variation(design)) / variation - 1) <= CONTRACT
    assert abs(Fraction(chi(design)) ** 2 / square - 1) <= 2 * CONTRACT
    assert abs(Fraction(effective_sample_size(design)) / (n / (1 + square)) - 1) <= CONTRACT


@pytest.mark.parametrize(
    "design",
    [
        Design(20_000, 400, 399),
        Design(20_000, 19_990, 19_900),
        Design(20_000, 10_000, 9_000),
        Design(20_000, 10_000, 5_000),
        Design(20_000, 3, 2),
        Design(20_000, 12_000, 7),
    ],
    ids=str,
)
def test_contract_against_certified_enclosures(design: Design) -> None:
    with ctx.workprec(160):
        excess = [design.n * g / design.q - 1 for g in inclusion_probabilities_ball(design, 160)]
        variation = sum((abs(e) for e in excess), arb(0)) / (2 * design.n)
        root = (sum((e * e for e in excess), arb(0)) / design.n).sqrt()
        assert abs(arb(total_variation(design)) / variation - 1) < CONTRACT
        assert abs(arb(chi(design)) / root - 1) < CONTRACT


@given(designs(40))
def test_weights_deviate_as_their_design_does(design: Design) -> None:
    """In any order; n w - 1 is off by 2 n eps w, so chi and TV by about that in the mean."""
    weights = inclusion_probabilities(design)[::-1] / design.q
    assert total_variation(weights) == pytest.approx(total_variation(design), abs=1e-14)
    assert chi(weights) ** 2 == pytest.approx(chi(design) ** 2, rel=1e-13, abs=1e-13)
    assert effective_sample_size(weights) == pytest.approx(effective_sample_size(design), rel=1e-13)


def test_weights_of_another_form() -> None:
    assert chi([0.75, 0.25, 0.0, 0.0]) ** 2 == pytest.approx(4 * (9 / 16 + 1 / 16) - 1)
    assert total_variation([0.75, 0.25, 0.0, 0.0]) == 0.5
    assert effective_sample_size([0.5, 0.5, 0.0, 0.0]) == 2
    for function in (chi, total_variation, effective_sample_size):
        with pytest.raises(ValueError, match="add up to 1, got shape \\(2,\\) and sum 2"):
            function([1.0, 1.0])
        with pytest.raises(ValueError, match="add up to 1"):
            function([np.nan, 1.0])
        with pytest.raises(ValueError, match="one-dimensional"):
            function([[1.0]])
        with pytest.raises(TypeError, match="weights must be real numbers"):
            function(RankDesign.lowest(4, 3, 2))  # pyright: ignore[reportArgumentType]


def test_contract_can_fail() -> None:
    """Subtracting 1/n from weights that are nearly 1/n loses the digits that the contract keeps."""
    n = 10**6
    plain = np.abs(inclusion_probabilities(Design(n, n - 1, n - 2)) / (n - 2) - 1 / n).sum() / 2
    assert abs(plain * n - 1) > 100 * CONTRACT


def test_large_population() -> None:
    """With s = alpha n, q = beta s, chi^2 tends to s/q - 1 and TV to 1 - q/s."""
    design = Design.from_ratios(10**6)
    assert chi(design) ** 2 == pytest.approx(1 / 0.6 - 1, abs=2e-3)
    assert total_variation(design) == pytest.approx(0.4, abs=2e-3)
