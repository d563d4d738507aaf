"""Inclusion probabilities in float64 against enumeration, exact fractions and certified balls."""

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given, settings

from orderdp_theory import (
    Design,
    inclusion_probabilities,
    inclusion_probabilities_ball,
    joint_inclusion_probabilities,
)
from tests.oracles import (
    inclusion_as_printed,
    inclusion_by_enumeration,
    joint_by_enumeration,
    naive_recurrence,
)
from tests.strategies import designs

CONTRACT = 1.3e-15

EXTREME = [
    Design(1, 1, 1),
    Design(2, 2, 1),
    Design(1000, 2, 1),
    Design(1000, 1000, 1),
    Design(1000, 999, 998),
    Design(1000, 999, 1),
    Design(1000, 10, 9),
    Design(100_000, 3, 2),
    Design(100_000, 1000, 1),
    Design(100_000, 1000, 999),
    Design(50_000, 25_000, 15_000),
    Design(1_281_167, 640_583, 384_349),
    Design(1_281_167, 1_281_160, 640_000),
    Design(3_000_000, 2_999_999, 2_999_998),
]


def relative_errors(values: np.ndarray, enclosures: list[arb], ranks: np.ndarray) -> np.ndarray:
    with ctx.workprec(200):
        return np.array(
            [float(abs(arb(float(values[i])) / enclosures[i] - 1).mid()) for i in ranks]
        )


@given(designs(8))
def test_equals_enumeration(design: Design) -> None:
    expected = [float(p) for p in inclusion_by_enumeration(design)]
    np.testing.assert_allclose(inclusion_probabilities(design), expected, rtol=CONTRACT, atol=0)


@given(designs(8))
def test_pairs_equal_enumeration_and_depend_on_the_larger_rank(design: Design) -> None:
    joint = joint_inclusion_probabilities(design)
    assert joint[0] == 0
    for (_, k), p in joint_by_enumeration(design).items():
        assert joint[k - 1] == pytest.approx(float(p), rel=CONTRACT, abs=0)


@given(designs(300))
@settings(max_examples=50)
def test_equals_the_printed_formula(design: Design) -> None:
    gamma = inclusion_probabilities(design)
    for rank in {1, design.q, design.n // 2 + 1, design.n - design.s + design.q, design.n}:
        expected = inclusion_as_printed(design, rank)
        if expected >= 1e-290:
            assert abs(float(gamma[rank - 1] / expected) - 1) <= CONTRACT
        else:
            assert gamma[rank - 1] <= 1e-290


@pytest.mark.parametrize("design", EXTREME, ids=str)
def test_error_contract(design: Design) -> None:
    """Relative error, lost values, plateau, support, order and sum, against 160-bit enclosures."""
    gamma = inclusion_probabilities(design)
    enclosures = inclusion_probabilities_ball(design, bits=160)
    informative = np.flatnonzero((gamma >= 1e-290) & (np.diff(gamma, prepend=2) != 0))
    if informative.size > 3000:
        chosen = np.linspace(0, informative.size - 1, 3000).astype(int)
        informative = informative[chosen]
    assert relative_errors(gamma, enclosures, informative).max() <= CONTRACT
    positive = np.count_nonzero(gamma)
    assert np.all(gamma[:positive] > 0)
    assert positive == design.n or enclosures[positive] < 1e-290
    assert np.all(gamma[: design.q] == design.s / design.n)
    assert not gamma[design.n - design.s + design.q :].any()
    assert np.all(np.diff(gamma) <= 0)
    assert abs(gamma.sum() / design.q - 1) <= 2 * CONTRACT


def test_contract_can_fail() -> None:
    """The curve as a naive float64 recurrence gives it breaks the bound tested above."""
    design = Design(1_281_167, 100, 30)
    naive = naive_recurrence(design)
    enclosures = inclusion_probabilities_ball(design, bits=160)
    ranks = np.flatnonzero(naive > 1e-200)[::1000]
    assert relative_errors(naive, enclosures, ranks).max() > 10 * CONTRACT


def test_ten_million_samples() -> None:
    design = Design.from_ratios(10**7)
    gamma = inclusion_probabilities(design)
    joint = joint_inclusion_probabilities(design)
    assert abs(gamma.sum() / design.q - 1) <= 1e-12
    # Each kept set has q (q - 1) / 2 pairs, and k is the larger rank of k - 1 pairs.
    pairs = np.arange(design.n) @ joint
    assert pairs == pytest.approx(design.q * (design.q - 1) / 2, rel=1e-12)


def test_too_many_samples_for_exact_products() -> None:
    with pytest.raises(ValueError, match="n must be at most 134,217,727"):
        inclusion_probabilities(Design(2**27, 2, 1))
