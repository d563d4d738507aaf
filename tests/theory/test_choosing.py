"""The error of every candidate against enumeration of its draws (proofs/choosing.md)."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import (
    Design,
    choose,
    error_bound_from_norms,
    estimator_covariance_trace,
    estimator_mean,
    horvitz_thompson_covariance_trace,
    horvitz_thompson_weights,
    proportional_inclusion,
)
from tests.oracles import fight_by_fight, kept_sets, orders


def enumerated(gradients, losses, design: Design, q2: int) -> tuple[float, float]:
    """Squared bias and variance, over candidate sets, uniform parts and ways to break ties."""
    n = design.n
    weights = horvitz_thompson_weights(design, q2) if q2 else np.full(n, 1 / design.q)
    values = []
    for order in orders(losses):
        for top in kept_sets(design):
            rest = [j for j in range(1, n + 1) if j not in top]
            for extra in itertools.combinations(rest, q2):
                ranks = np.array([*top, *extra]) - 1
                values.append(weights[ranks] @ gradients[np.array(order)[ranks]])
    values = np.array(values)
    bias = values.mean(axis=0) - gradients.mean(axis=0)
    return float(bias @ bias), float(values.var(axis=0).sum())


@given(st.integers(2, 5), st.data())
@settings(max_examples=15, deadline=None)
def test_every_candidate_also_with_ties(n, data):
    q = data.draw(st.integers(1, n))
    losses = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), float)
    gradients = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))).normal(size=(n, 3))
    choice = choose(gradients @ gradients.T, losses, q)
    assert [c.design.s for c in choice.random_then_top] == list(range(q, n + 1))
    expected = {(s, q1) for q1 in range(1, q) for s in range(q1 + 1, n + 1)}
    assert {(c.design.s, c.design.q) for c in choice.unbiased} == expected
    norms = np.linalg.norm(gradients, axis=1)
    for candidate in (*choice.random_then_top, *choice.unbiased):
        bias_squared, variance = enumerated(gradients, losses, candidate.design, candidate.q2)
        assert candidate.bias_squared == pytest.approx(bias_squared, abs=1e-12)
        assert candidate.variance == pytest.approx(variance, abs=1e-12)
        assert candidate.design.q + candidate.q2 == q
        bound = error_bound_from_norms(norms, losses, candidate.design, candidate.q2)
        assert candidate.mean_squared_error <= bound + 1e-12
    errors = [c.mean_squared_error for c in (*choice.random_then_top, *choice.unbiased)]
    assert choice.best.mean_squared_error == min(errors)


@given(st.integers(1, 6), st.data())
@settings(max_examples=20, deadline=None)
def test_survey_sampling_beside_them(n, data):
    """Against the definition of pivotal sampling, fight by fight, with fractions within 1e-9."""
    q = data.draw(st.integers(1, n))
    losses = np.array(data.draw(st.lists(st.integers(-1, 3), min_size=n, max_size=n)), float)
    gradients = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))).normal(size=(n, 3))
    choice = choose(gradients @ gradients.T, losses, q)
    assert [c.floor for c in choice.survey] == [0.05, 0.25, 0.5, 0.75]
    order = np.argsort(-losses, kind="stable")
    for found in choice.survey:
        sizes = np.array([1 - np.exp(-max(loss, 0)) for loss in losses])
        pi = proportional_inclusion(sizes, q, found.floor * q / n)[order]
        exact = [Fraction(p).limit_denominator(10**9) for p in pi]
        free = next((i for i, p in enumerate(exact) if 0 < p < 1), 0)
        exact[free] += q - sum(exact)
        law, weighted = fight_by_fight(exact), gradients[order] / (n * pi[:, None])
        estimates = np.array([weighted[list(kept)].sum(0) for kept in law])
        chances = np.array([float(p) for p in law.values()])
        error = chances @ np.square(estimates - gradients.mean(0)).sum(1)
        assert found.mean_squared_error == pytest.approx(error, rel=1e-6, abs=1e-7)
    assert choice.best_survey.mean_squared_error == min(c.mean_squared_error for c in choice.survey)


def test_agrees_with_the_moments_in_linear_time():
    rng = np.random.default_rng(0)
    n, q = 120, 40
    gradients = rng.normal(size=(n, 7)) + 1
    losses = np.round(rng.exponential(size=n), 1)
    choice = choose(gradients @ gradients.T, losses, q, sizes=[40, 77, 120], splits=[25])
    for candidate in choice.random_then_top:
        bias = estimator_mean(gradients, losses, candidate.design) - gradients.mean(axis=0)
        variance = estimator_covariance_trace(gradients, losses, candidate.design)
        assert candidate.bias_squared == pytest.approx(bias @ bias, abs=1e-12)
        assert candidate.variance == pytest.approx(variance, rel=1e-9, abs=1e-12)
    for candidate in choice.unbiased:
        variance = horvitz_thompson_covariance_trace(gradients, losses, candidate.design, 15)
        assert candidate.bias_squared == pytest.approx(0, abs=1e-25)
        assert candidate.variance == pytest.approx(variance, rel=1e-9)


def test_what_it_chooses():
    n, q = 15, 5
    losses = np.arange(n, 0.0, -1)
    # The top five carry all of the gradient: keeping just them has the right direction at n/q times
    # the length; the unbiased rule finds them nearly always and has the right length as well.
    lone = np.where(np.arange(n) < 5, 1.0, 0.0)
    choice = choose(np.outer(lone, lone), losses, q)
    assert choice.best.q2 == 1
    assert choice.best.design.s > q
    assert choice.random_then_top[-1].bias_squared == pytest.approx((1 - 1 / 3) ** 2)
    # Orthogonal gradients of equal norm: every s has the same error, ranking cannot help.
    best = choose(np.eye(n), losses, q).best
    assert best.q2 == 0
    assert best.mean_squared_error == pytest.approx(1 / q - 1 / n)


def test_norms_alone_do_not_determine_the_error():
    """The same norms, two errors; the bound is attained by one of them."""
    losses, design = np.array([2.0, 1.0]), Design(2, 2, 1)
    opposed = choose([[1, -1], [-1, 1]], losses, 1, sizes=[2]).best.mean_squared_error
    aligned = choose([[1, 1], [1, 1]], losses, 1, sizes=[2]).best.mean_squared_error
    assert (aligned, opposed) == pytest.approx((0, 1))
    assert error_bound_from_norms([1, 1], losses, design) == pytest.approx(opposed)


@pytest.mark.parametrize(
    ("gram", "losses", "q", "options", "message"),
    [
        (np.ones((2, 3)), [1, 2], 1, {}, "square"),
        ([[1, 5], [5, 1]], [1, 2], 1, {}, "semidefinite"),
        ([[1, np.nan], [np.nan, 1]], [1, 2], 1, {}, "finite"),
        (np.eye(2), [1, 2, 3], 1, {}, "losses"),
        (np.eye(2), [1, 2], 3, {}, "q must not exceed"),
        (np.eye(3), [1, 2, 3], 2, {"sizes": [1]}, "q must not exceed"),
        (np.eye(3), [1, 2, 3], 2, {"splits": [2]}, "splits"),
    ],
)
def test_refused(gram, losses, q, options, message):
    with pytest.raises(ValueError, match=message):
        choose(gram, losses, q, **options)


def test_refused_norms():
    with pytest.raises(ValueError, match="norms"):
        error_bound_from_norms([1, -1], [1, 2], Design(2, 2, 1))
