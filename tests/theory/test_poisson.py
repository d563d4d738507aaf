"""The expected mean over a Poisson sample against all 2^n outcomes in fractions."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import poisson_mean_weights


def enumerated(pi: list[Fraction]) -> list[Fraction]:
    weights = [Fraction(0)] * len(pi)
    for kept in product((False, True), repeat=len(pi)):
        probability = Fraction(1)
        for p, chosen in zip(pi, kept, strict=True):
            probability *= p if chosen else 1 - p
        for i, chosen in enumerate(kept):
            if chosen:
                weights[i] += probability / sum(kept)
    return weights


@given(st.lists(st.sampled_from([0, 1, 2, 7, 9, 10]), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_equals_enumeration(tenths):
    pi = [Fraction(t, 10) for t in tenths]
    found = poisson_mean_weights(np.array(pi, float))
    np.testing.assert_allclose(found, np.array(enumerated(pi), float), rtol=1e-14, atol=0)


@pytest.mark.parametrize("n", [1, 2, 7, 100, 5_000, 50_000])
@pytest.mark.parametrize("p", [0.001, 0.3, 0.999, 1.0])
def test_equal_chances_share_the_chance_that_anything_is_kept(n, p):
    found = poisson_mean_weights(np.full(n, p))
    # The exponent is at most 44, so it is off by about 44 * 2^-53 times what its sum of n loses.
    expected = -np.expm1(n * np.log1p(-p)) / n if p < 1 else 1 / n
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_many_unequal_chances_equal_the_distribution_of_the_number():
    """By convolution: E[1/(1 + number of the others)] from its 400 probabilities."""
    pi = np.random.default_rng(0).random(400) ** 3
    found = poisson_mean_weights(pi)
    for i in (0, int(pi.argmin()), int(pi.argmax())):
        law = np.ones(1)
        for p in np.delete(pi, i):
            law = np.convolve(law, [1 - p, p])
        assert found[i] == pytest.approx(
            pi[i] * (law / np.arange(1, len(law) + 1)).sum(), rel=1e-13
        )


@pytest.mark.parametrize("pi", [[], [[0.5]], [1.5], [-0.1], [np.nan]])
def test_refused(pi):
    with pytest.raises(ValueError, match="inclusion probabilities"):
        poisson_mean_weights(pi)
