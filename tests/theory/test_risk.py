"""R_{s,q} and the deviations of L_q from it (proofs/surrogate_risk.md)."""

from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from orderdp_theory import (
    Design,
    inclusion_probabilities_exact,
    surrogate_deviation,
    surrogate_fluctuation,
    surrogate_loss,
    surrogate_risk,
)
from orderdp_theory.common.errors import InputError
from tests.oracles import inclusion_by_enumeration
from tests.strategies import designs

POPULATIONS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5)), min_size=1, max_size=3)


def normalized(population):
    values = [Fraction(v) for v, _ in population]
    total = sum(p for _, p in population)
    return values, [Fraction(p, total) for _, p in population]


def by_enumeration(values, probabilities, s, q) -> Fraction:
    """E[mean of the q largest of s], over all m^s outcomes."""
    pairs = list(zip(values, probabilities, strict=True))
    total = Fraction(0)
    for draw in product(pairs, repeat=s):
        chance = Fraction(1)
        for _, p in draw:
            chance *= p
        total += chance * sum(sorted((v for v, _ in draw), reverse=True)[:q]) / q
    return total


@given(POPULATIONS, designs(max_n=5))
@settings(deadline=None, max_examples=60)
def test_equals_enumeration_and_the_mean_of_the_surrogate(population, design):
    values, probabilities = normalized(population)
    exact = by_enumeration(values, probabilities, design.s, design.q)
    found = surrogate_risk(
        [float(v) for v in values], np.array(probabilities, dtype=float), design.s, design.q
    )
    assert found == pytest.approx(float(exact), abs=1e-14)
    gamma = inclusion_by_enumeration(design)
    mean = Fraction(0)
    for draw in product(zip(values, probabilities, strict=True), repeat=design.n):
        chance = Fraction(1)
        for _, p in draw:
            chance *= p
        ordered = sorted((v for v, _ in draw), reverse=True)
        mean += chance * sum(g * v for g, v in zip(gamma, ordered, strict=True)) / design.q
    assert mean == exact
    risk = sum(v * p for v, p in zip(values, probabilities, strict=True))
    assert risk <= exact <= Fraction(design.s, design.q) * risk


@pytest.mark.parametrize(("s", "q"), [(1000, 600), (400, 1), (50, 49)])
def test_large_samples_against_binomial_sums(s, q):
    """Losses 1 with probability p, else 0: E min(q, X)/q by summing the binomial law."""
    for p in (1e-6, 0.01, 0.5, q / s, 0.999):
        counts = np.arange(s + 1)
        expected = binom.pmf(counts, s, p) @ np.minimum(counts, q) / q
        found = surrogate_risk([0, 1], [1 - p, p], s, q)
        # The two laws' own errors, a few 1e-13 relative.
        assert found == pytest.approx(expected, rel=1e-11)
        assert p * (1 - 1e-12) <= found <= min(1, p * s / q) * (1 + 1e-12)  # mean, CVaR


def surrogate_of_ones(design: Design) -> np.ndarray:
    """L_q for k losses of 1 and n − k of 0, k = 0 … n."""
    gamma = inclusion_probabilities_exact(design)
    sums = np.array([float(sum(gamma[:k])) for k in range(design.n + 1)])
    return sums / design.q


@given(designs(max_n=40), st.floats(0.01, 0.99), st.floats(1e-6, 0.9))
@settings(deadline=None, max_examples=50)
def test_fixed_point_in_exact_binomial_probabilities(design, p, failure):
    values = surrogate_of_ones(design)
    chances = binom.pmf(np.arange(design.n + 1), design.n, p)
    mean = surrogate_risk([0, 1], [1 - p, p], design.s, design.q)
    assert chances @ values == pytest.approx(mean, abs=1e-12)
    term = surrogate_fluctuation(design, 1, failure)
    assert chances[values > mean + term + 1e-12].sum() <= failure
    assert chances[values < mean - term - 1e-12].sum() <= failure


@pytest.mark.parametrize(
    "design", [Design(60, 30, 3), Design(80, 40, 1), Design(60, 50, 10)], ids=str
)
def test_variance_has_the_order_of_s_over_nq(design):
    """At p = q/(4s): at least 27/256 s/(nq), at most Σw² <= s/(nq), exact up to rounding."""
    n, s, q = design.n, design.s, design.q
    p = q / (4 * s)
    chances, values = binom.pmf(np.arange(n + 1), n, p), surrogate_of_ones(design)
    variance = chances @ values**2 - (chances @ values) ** 2
    squares = sum(float(g) ** 2 for g in inclusion_probabilities_exact(design)) / q**2
    assert 27 / 256 * s / (n * q) <= variance <= squares <= s / (n * q) * (1 + 1e-12)
    projected = s**2 / n * p * (1 - p) * (binom.cdf(q - 1, s - 1, p) / q) ** 2
    assert projected <= variance * (1 + 1e-9)  # Hoeffding 1948


def test_one_sample_moves_the_surrogate_by_its_largest_weight():
    design = Design(9, 6, 2)
    losses = np.zeros(9)
    losses[4] = 5.0
    assert surrogate_loss(losses, design) == pytest.approx(5 * 6 / (9 * 2))


@pytest.mark.parametrize(("s", "q"), [(2, 1), (100, 10), (1000, 600), (50, 50)])
def test_factor_of_the_complexity_is_needed(s, q):
    """Memorizing on a set of probability p: E sup (R_{s,q} − L_q) = R_{s,q}, Rad_n = p/2."""
    ratios = []
    for p in (q / (4 * s), q / (40 * s), q / (400 * s)):
        n = int(1e8 / p**2)
        attained = surrogate_risk([1, 0], [p, 1 - p], s, q)
        bound = surrogate_deviation(Design(n, s, q), p / 2, 1, 0.5).expected
        ratios.append(attained / bound)
    assert 2 / 3 <= ratios[0] <= ratios[1] + 1e-12 <= ratios[2] + 2e-12 <= 1
    assert ratios[2] > 0.99


def test_memorizing_has_rademacher_complexity_half_its_probability():
    """All signs and all numbers of samples in A, n = 8: the best F covers the negative signs."""
    n, p = 8, 0.3
    total = 0.0
    for k in range(n + 1):
        positive = sum(comb(k, j) * j for j in range(k + 1)) / 2**k
        total += comb(n, k) * p**k * (1 - p) ** (n - k) * positive / n
    assert total == pytest.approx(p / 2)


def test_confidence_over_a_class_needs_the_factor_on_one_side():
    """Covering at most m = (n − q)/2 samples of a half: sup = const − (s/(nq)) (K − m)⁺.

    Exact binomial probabilities: the term with s/q is exceeded with the chance it allows, that with
    √(s/q) far more often, and half of the first as well.
    """
    n, s, q, failure = 10**6, 5 * 10**5, 2 * 10**4, 1e-3
    design = Design(n, s, q)
    m = (n - q) // 2
    counts = np.arange(m, m + q + 1)  # beyond: probability below 1e-80
    chances = binom.pmf(counts, n, 0.5)
    assert chances.sum() == pytest.approx(1)
    supremum = -s / (n * q) * (counts - m)
    above = supremum - chances @ supremum
    deviation = surrogate_deviation(design, 0, 1, failure)
    assert chances[above > deviation.risk_above].sum() <= failure
    assert chances[above > 0.8 * deviation.risk_above].sum() > failure
    smaller = surrogate_fluctuation(design, 1, failure)
    assert smaller == deviation.surrogate_above < deviation.risk_above / 2
    assert chances[above > smaller].sum() > 50 * failure


@given(designs(max_n=30), st.floats(0, 3), st.floats(0, 3), st.floats(1e-9, 0.99))
def test_terms(design, rademacher, b, failure):
    n, ratio = design.n, design.s / design.q
    found = surrogate_deviation(design, rademacher, b, failure)
    assert found.expected == pytest.approx(ratio * (2 * rademacher + b / n**0.5))
    log = -np.log(failure)
    assert found.risk_above == pytest.approx(ratio * b * (log / (2 * n)) ** 0.5)
    other = b * (2 * ratio * log / n) ** 0.5
    assert found.surrogate_above == pytest.approx(min(found.risk_above, other))
    assert surrogate_fluctuation(design, b, failure) <= found.surrogate_above * (1 + 1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: surrogate_risk([1, 2], [0.5, 0.6], 3, 1),
        lambda: surrogate_risk([1, 2], [1.0], 3, 1),
        lambda: surrogate_risk([1, np.nan], [0.5, 0.5], 3, 1),
        lambda: surrogate_risk([], [], 3, 1),
        lambda: surrogate_risk([1], [1], 3, 4),
        lambda: surrogate_fluctuation(Design(3, 2, 1), 1, 1.0),
        lambda: surrogate_fluctuation(Design(3, 2, 1), -1, 0.5),
        lambda: surrogate_deviation(Design(3, 2, 1), -1, 1, 0.5),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


def test_a_risk_that_overflows_is_refused_by_name():
    with pytest.raises(InputError, match=r"values, .* too large .* for surrogate_risk"):
        surrogate_risk([1.7e308, -1.7e308], [0.5, 0.5], 2, 1)
