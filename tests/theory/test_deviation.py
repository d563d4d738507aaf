"""Deviations of gamma/q from uniform weights against exact rational arithmetic."""

from fractions import Fraction
from math import sqrt

import pytest
from hypothesis import given

from orderdp_theory import (
    Design,
    chi,
    effective_sample_size,
    inclusion_probabilities_exact,
    spectrum_deviation,
    total_variation,
)
from tests.strategies import designs


@given(designs(40))
def test_definitions(design: Design) -> None:
    n = design.n
    weights = [gamma / design.q for gamma in inclusion_probabilities_exact(design)]
    squares = sum(w * w for w in weights)
    assert chi(design) == pytest.approx(sqrt(n * squares - 1), rel=1e-12, abs=1e-15)
    assert effective_sample_size(design) == pytest.approx(float(1 / squares), rel=1e-13)
    variation = sum(abs(w - Fraction(1, n)) for w in weights) / 2
    assert total_variation(design) == pytest.approx(float(variation), rel=1e-12, abs=1e-15)
    deviation = max(abs(n * w - 1) for w in weights)
    assert spectrum_deviation(design) == pytest.approx(float(deviation), rel=1e-12, abs=1e-15)


@given(designs(40))
def test_no_deviation_without_pruning_among_the_candidates(design: Design) -> None:
    uniform = Design(design.n, design.s, design.s)
    assert chi(uniform) == total_variation(uniform) == spectrum_deviation(uniform) == 0
    assert effective_sample_size(uniform) == design.n


def test_large_population() -> None:
    """With s = alpha n, q = beta s, chi^2 tends to s/q - 1 and TV to 1 - q/s."""
    design = Design.from_ratios(10**6)
    assert chi(design) ** 2 == pytest.approx(1 / 0.6 - 1, abs=2e-3)
    assert total_variation(design) == pytest.approx(0.4, abs=2e-3)
