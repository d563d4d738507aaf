"""The unbiased rule against enumeration of every draw (proofs/horvitz_thompson.md)."""

from fractions import Fraction
from itertools import combinations, pairwise, permutations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import (
    Design,
    horvitz_thompson_covariance_trace,
    horvitz_thompson_inclusion,
    horvitz_thompson_joint,
    horvitz_thompson_weights,
)


@st.composite
def splits(draw, largest=6, q2_from=0):
    n = draw(st.integers(2, largest))
    s = draw(st.integers(1, n))
    q = draw(st.integers(1, min(s, n - q2_from)))
    return Design(n, s, q), draw(st.integers(q2_from, n - q))


def outcomes(design: Design, q2: int) -> list[tuple[tuple[int, ...], Fraction]]:
    """Every kept set of 0-based ranks with its exact probability, from the definition."""
    n, s, q = design.n, design.s, design.q
    share = Fraction(1, comb(n, s) * comb(n - q, q2))
    found = []
    for candidates in combinations(range(n), s):
        top = candidates[:q]
        rest = [j for j in range(n) if j not in top]
        found += [(top + extra, share) for extra in combinations(rest, q2)]
    return found


def enumerated_joint(design: Design, q2: int) -> np.ndarray:
    joint = np.zeros((design.n, design.n), dtype=object)
    for kept, probability in outcomes(design, q2):
        for j in kept:
            for k in kept:
                joint[j, k] += probability
    return joint.astype(float)


@given(splits())
@settings(max_examples=60, deadline=None)
def test_inclusion_probabilities_of_both_orders(split):
    design, q2 = split
    joint = enumerated_joint(design, q2)
    np.testing.assert_allclose(horvitz_thompson_inclusion(design, q2), np.diag(joint), atol=1e-14)
    np.testing.assert_allclose(horvitz_thompson_joint(design, q2), joint, atol=1e-14)


def test_the_uniform_part_is_drawn_without_replacement():
    # The twin: a rule whose uniform part had independent draws has other pair probabilities.
    design, q2 = Design(6, 4, 2), 3
    one = q2 / 4
    gamma = horvitz_thompson_inclusion(design, 0)
    joint = horvitz_thompson_joint(design, 0)
    wrong = joint + (gamma[:, None] + gamma - 2 * joint) * one
    wrong += (1 - gamma[:, None] - gamma + joint) * one**2
    assert np.abs(wrong - enumerated_joint(design, q2))[0, 1:].max() > 1e-3


def enumerated_moments(gradients, losses, design, q2):
    """Mean and trace of the covariance over draws and over every way to break ties."""
    n = design.n
    weights = horvitz_thompson_weights(design, q2)
    orders = [
        p for p in permutations(range(n)) if all(losses[a] >= losses[b] for a, b in pairwise(p))
    ]
    first, second = np.zeros(gradients.shape[1]), 0.0
    for order in orders:
        ranked = weights[:, None] * gradients[list(order)]
        for kept, probability in outcomes(design, q2):
            estimate = ranked[list(kept)].sum(axis=0)
            first = first + float(probability) / len(orders) * estimate
            second += float(probability) / len(orders) * (estimate @ estimate)
    return first, second - first @ first


@given(splits(largest=5, q2_from=1), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_unbiased_with_the_stated_variance_also_with_ties(split, seed):
    design, q2 = split
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(design.n, 2))
    losses = rng.integers(0, 3, size=design.n).astype(float)
    mean, variance = enumerated_moments(gradients, losses, design, q2)
    np.testing.assert_allclose(mean, gradients.mean(axis=0), atol=1e-12)
    found = horvitz_thompson_covariance_trace(gradients, losses, design, q2)
    assert found == pytest.approx(variance, abs=1e-12)


def test_unbiased_at_full_size():
    design, q2 = Design.from_ratios(50_000), 500
    pi = horvitz_thompson_inclusion(design, q2)
    assert pi.sum() == pytest.approx(design.q + q2, rel=1e-12)
    assert np.all(np.diff(pi) <= 0)
    assert pi[-1] == pytest.approx(500 / 35_000)


@pytest.mark.parametrize(
    ("q2", "error", "message"),
    [
        (-1, ValueError, "q2 must lie in"),
        (9, ValueError, "q2 must lie in"),
        (1.5, TypeError, "integer"),
        (0, ValueError, "take q2 >= 1"),
    ],
)
def test_refused(q2, error, message):
    with pytest.raises(error, match=message):
        horvitz_thompson_weights(Design(10, 4, 2), q2)
