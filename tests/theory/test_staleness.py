"""The rate under staleness, its repair and its price (proofs/staleness.md)."""

from itertools import combinations
from math import comb, inf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderdp_theory import (
    Design,
    convergence_bound,
    ranking_sensitivity,
    round_robin,
    score_error_bound,
    stale_rate,
    staleness_factor,
    stored_score_penalty,
    surrogate_loss,
    surrogate_weights,
)
from tests.strategies import designs
from tests.theory.problem import N, Problem

PRUNING = designs(12, min_n=2).filter(lambda design: design.q < design.s)


@given(designs(20), st.integers(0, 50), st.integers(1, 200))
def test_rate_is_the_penalized_bound_at_its_best_step(design, max_age, steps):
    """Theorem 3 with the penalty of stored scores once all ages are possible, by another way."""
    distance, lipschitz = 1.5, 2.5
    rate = stale_rate(design, distance, lipschitz, steps, max_age)
    kappa = ranking_sensitivity(design)

    def bound(eta):
        constant = convergence_bound(distance, lipschitz, np.full(steps, eta)).value
        return constant + 2 * kappa * lipschitz**2 * eta * max_age

    assert rate.value == pytest.approx(bound(rate.step_size), rel=1e-12)
    assert all(rate.value < bound(rate.step_size * factor) for factor in (0.9, 1.1))
    exact = stored_score_penalty(design, lipschitz, np.full(steps, rate.step_size), max_age)
    assert exact <= 2 * kappa * lipschitz**2 * rate.step_size * max_age * (1 + 1e-12)


@pytest.mark.parametrize("steps", [1, 2, 7, 30, 31])
@pytest.mark.parametrize("age", [0, 1, 4])
@pytest.mark.parametrize("step", [0.1, 1, 10])
def test_no_step_size_does_better_than_half_the_rate(steps, age, step):
    """G max(θ_i, −D/√m) + a hair, ranked by scores that are renewed every age + 1 steps.

    Only the worst sample is kept, design (m, m, 1). It is the same in all the steps between two
    renewals, so after T − 1 steps one of m coordinates is untouched: the error is D G/√m at every
    iterate and at their mean, for every step size.
    """
    distance, lipschitz = 2.0, 3.0
    m = -(-(steps - 1) // (age + 1)) + 1
    design, floor = Design(m, m, 1), -distance / sqrt(m)
    hair = 1e-12 * np.arange(m)[::-1]  # decides ties
    theta, scores, iterates = np.zeros(m), np.zeros(m), []
    rate = stale_rate(design, distance, lipschitz, steps, age)
    for t in range(steps):
        iterates.append(theta.copy())
        if t % (age + 1) == 0:
            scores = lipschitz * np.maximum(theta, floor) + hair
        kept = int(np.argmax(scores))
        theta[kept] -= step * rate.step_size * lipschitz * (theta[kept] > floor)
    for point in (*iterates, np.mean(iterates, axis=0)):
        error = surrogate_loss(lipschitz * np.maximum(point, floor), design) - lipschitz * floor
        assert error == pytest.approx(distance * lipschitz / sqrt(m))
    if m > 1:  # a single sample is not ranked
        assert ranking_sensitivity(design) == 1
        assert (
            0.5 * sqrt(steps / (steps + 2 * age)) * rate.value <= error <= rate.value * (1 + 1e-12)
        )
    if age == 0:
        assert error == pytest.approx(rate.value)


@given(st.integers(1, 60), st.integers(1, 60))
def test_ages_of_round_robin(n, rescored):
    """Scoring in turn before each selection: the largest age, and the mean age from then on."""
    rescored = min(rescored, n)
    found = round_robin(Design(n, n, n), rescored)
    ages, start = np.zeros(n), 0
    largest, mean = 0, []
    for t in range(4 * n):
        ages += t > 0
        ages[(start + np.arange(rescored)) % n] = 0
        start = (start + rescored) % n
        largest = max(largest, ages.max())
        mean.append(ages.mean())
    assert found.max_age == largest
    assert found.mean_age == pytest.approx(max(mean))
    assert found.mean_age <= found.max_age / 2


@given(designs(40), st.integers(1, 40))
def test_price_of_round_robin(design, rescored):
    rescored = min(rescored, design.n)
    found = round_robin(design, rescored)
    kappa, tau = ranking_sensitivity(design), found.max_age
    by_mean = 2 * design.s / design.q * found.mean_age
    assert found.factor == pytest.approx(sqrt(1 + min(4 * kappa * tau, by_mean)))
    assert found.factor <= sqrt(1 + min(4 * kappa, design.s / design.q) * tau) * (1 + 1e-15)
    assert found.factor <= sqrt(1 + 4 * kappa * design.n / rescored)
    assert staleness_factor(design, tau) == pytest.approx(sqrt(1 + 4 * kappa * tau))
    assert kappa <= design.s / (2 * design.q) * (1 + 1e-15)
    assert round_robin(design, design.n).factor == 1


@pytest.mark.parametrize("design", [Design(4, 3, 1), Design(4, 3, 2), Design(4, 4, 2)], ids=str)
@pytest.mark.parametrize("rescored", [1, 2, 3])
def test_round_robin_on_enumerated_runs(design, rescored):
    """All C(n, s)^T runs of Algorithm 1 with `rescored` samples scored in turn before each step."""
    problem, steps = Problem(1, design), 4
    ages = round_robin(design, rescored)
    rate = stale_rate(
        design, problem.distance, problem.lipschitz, steps, ages.max_age, ages.mean_age
    )
    errors, average = problem.expected_errors(
        np.full(steps, rate.step_size),
        problem.losses(np.zeros(2)),
        lambda t: [(t * rescored + i) % N for i in range(rescored)],
    )
    assert average <= errors.mean() + 1e-9
    assert errors.mean() <= rate.value + 1e-7
    assert rate.factor == ages.factor


def shortfall(scores, losses, design) -> float:
    """L_q minus the expected mean loss of what ranking by the scores keeps, by enumeration."""
    lost = 0.0
    for drawn in combinations(range(design.n), design.s):
        by_loss = sorted((losses[i] for i in drawn), reverse=True)[: design.q]
        by_score = sorted(drawn, key=lambda i: -scores[i])[: design.q]
        lost += sum(by_loss) - sum(losses[i] for i in by_score)
    return lost / (design.q * comb(design.n, design.s))


@given(designs(7), st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1.0, 1e3]))
def test_score_error_bounds_what_wrong_scores_lose(design, seed, scale):
    rng = np.random.default_rng(seed)
    losses = rng.integers(0, 5, design.n) + rng.uniform(0, 1e-3, design.n)
    scores = losses + scale * rng.normal(size=design.n) * (rng.random(design.n) < 0.5)
    lost, bound = shortfall(scores, losses, design), score_error_bound(scores, losses, design)
    assert -1e-12 <= lost <= bound + 1e-12
    by_weights = surrogate_loss(losses, design) - surrogate_weights(scores, design) @ losses
    assert lost == pytest.approx(by_weights, abs=1e-12)


@given(PRUNING)
def test_score_error_is_attained(design):
    """One loss of 1 among zeros whose score is a hair too low: all of it is lost."""
    losses = np.zeros(design.n)
    losses[0] = 1
    scores = losses.copy()
    scores[0] = -1e-9
    bound = score_error_bound(scores, losses, design)
    assert surrogate_loss(losses, design) - surrogate_weights(scores, design) @ losses == (
        pytest.approx(bound, rel=1e-8)
    )
    assert bound == pytest.approx(design.s / (design.q * design.n), rel=1e-8)


def test_a_run_may_add_its_measured_score_error():
    """Algorithm 1 as printed on enumerated runs: bound + mean score error, its ages unbounded."""
    design = Design(4, 3, 1)
    problem, steps = Problem(2, design), np.full(4, 0.2)
    initial = problem.losses(np.zeros(2))
    errors, _ = problem.expected_errors(steps, initial)
    runs, measured = [(np.zeros(2), initial)], []
    for eta in steps:
        measured.append(np.mean([
            score_error_bound(scores, problem.losses(theta), design) for theta, scores in runs
        ]))  # fmt: skip
        following = []
        for theta, scores in runs:
            for kept in problem.kept(scores):
                stored = scores.copy()
                stored[kept] = problem.losses(theta)[kept]
                following.append((theta - eta * problem.gradient(theta, kept), stored))
        runs = following
    bound = convergence_bound(problem.distance, problem.lipschitz, steps).value
    assert measured[0] == 0 < measured[-1]
    assert errors.mean() <= bound + np.mean(measured) + 1e-7


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: staleness_factor(Design(3, 2, 1), -1), "ages must be"),
        (lambda: staleness_factor(Design(3, 2, 1), 1, 2), "ages must be"),
        (lambda: staleness_factor(Design(3, 2, 1), 1, np.nan), "mean_age must be finite"),
        (lambda: stale_rate(Design(3, 2, 1), 0, 1, 1, 1), "must be positive"),
        (lambda: round_robin(Design(3, 2, 1), 0), "must lie in 1"),
        (lambda: round_robin(Design(3, 2, 1), 4), "must lie in 1"),
        (lambda: score_error_bound([1, 2], [1, 2, 3], Design(3, 2, 1)), "scores must be 3"),
        (lambda: score_error_bound([1, 2, 3], [1, inf, 3], Design(3, 2, 1)), "losses must be 3"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
