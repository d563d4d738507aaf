"""Theorem 3 with stored scores fails for every design with q < s (proofs/impossibility.md)."""

from fractions import Fraction
from math import sqrt

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import (
    Design,
    convergence_bound,
    inclusion_probabilities,
    stored_score_counterexample,
    surrogate_loss,
)
from orderdp_theory.claims.exact_training import Loss, ranked_loss, train, vector
from tests.strategies import designs
from tests.theory.problem import Problem

STEEP = Loss(((vector(0, 0), Fraction(1)), (vector(-5, 0), Fraction(6))))
EASY = Loss(((vector(0, 0), Fraction(0)), (vector(4, -3), Fraction(0))))
PRUNING = designs(30, min_n=2).filter(lambda design: design.q < design.s)
SMALL = [
    Design(n, s, q) for n in range(2, 6) for s in range(2, n + 1) for q in range(1, s)
]  # every q < s


def samples(design: Design) -> list[Loss]:
    easy = stored_score_counterexample(1, design).easy
    return [STEEP] * (design.n - easy) + [EASY] * easy


@pytest.mark.parametrize("design", SMALL, ids=str)
@pytest.mark.parametrize("refresh", ["before the step", "after the step"])
def test_every_draw_of_the_algorithm_takes_this_path(design: Design, refresh) -> None:
    """All candidate sets, by the implementation of Algorithm 1 that decides claims."""
    run = stored_score_counterexample(4, design)
    *visited, _ = train(
        samples(design), design, vector(0, 0), [run.step_size] * 4, "stored", refresh
    )
    for theta, error, states in zip(run.trajectory, run.errors, visited, strict=True):
        assert {state.theta for state in states} == {theta}
        assert error == ranked_loss(samples(design), design, theta) - 1


@given(PRUNING)
def test_both_bounds_are_violated_from_the_stated_step_on(design: Design) -> None:
    run = stored_score_counterexample(design=design)
    assert min(*run.errors, run.average_error) >= run.least_error > run.bound
    assert 2 * run.bound >= run.least_error
    earlier = len(run.trajectory) - 1
    assert stored_score_counterexample(earlier, design).bound >= run.least_error
    floats = convergence_bound(sqrt(2), 5, [float(run.step_size)] * len(run.trajectory))
    assert float(run.bound) == pytest.approx(floats.value)


@given(PRUNING, st.fractions(0, 3, max_denominator=60))
@settings(max_examples=50)
def test_no_point_that_it_reaches_is_better_and_one_is_not_worse(design, x) -> None:
    """On y = 0 the error is at least `least_error`, attained at x = 2/3 or x = 1."""
    run, losses = stored_score_counterexample(1, design), samples(design)
    assert ranked_loss(losses, design, vector(x, 0)) - 1 >= run.least_error
    kinks = [ranked_loss(losses, design, vector(at, 0)) - 1 for at in (Fraction(2, 3), 1)]
    assert min(kinks) == run.least_error


@pytest.mark.parametrize("design", [Design(2, 2, 1), Design(6, 4, 3), Design(8, 5, 2)], ids=str)
def test_what_it_says_of_the_problem(design: Design) -> None:
    """Minimum, minimizer and Lipschitz constant, by a solver for L_q as a sum of largest losses."""
    n, easy = design.n, stored_score_counterexample(1, design).easy
    x, y = cp.Variable(), cp.Variable()
    steep, light = 1 + 5 * cp.pos(1 - x), cp.pos(4 * x - 3 * y)
    losses = cp.hstack([steep] * (n - easy) + [light] * easy)
    w = np.append(inclusion_probabilities(design), 0) / design.q
    surrogate = sum((w[k - 1] - w[k]) * cp.sum_largest(losses, k) for k in range(1, n))
    minimum = cp.Problem(cp.Minimize(surrogate + w[n - 1] * cp.sum(losses))).solve(
        solver="CLARABEL"
    )
    assert minimum == pytest.approx(1)
    at_minimizer = [float(loss(vector(1, 1))) for loss in samples(design)]
    assert surrogate_loss(at_minimizer, design) == pytest.approx(1)
    assert {loss.squared_lipschitz for loss in (STEEP, EASY)} == {25}


@given(PRUNING, st.integers(1, 200))
@settings(max_examples=30)
def test_current_scores_keep_the_bound(design: Design, steps: int) -> None:
    run = stored_score_counterexample(steps, design, scores="current")
    assert min(run.errors) <= run.bound
    assert run.average_error <= run.bound


@pytest.mark.parametrize("design", [Design(4, 1, 1), Design(4, 3, 3), Design(4, 4, 4)], ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_the_theorem_holds_where_nothing_is_ranked(design: Design, seed: int) -> None:
    """q = s: all runs of Algorithm 1, from initial scores unrelated to the losses."""
    problem, steps = Problem(seed, design), np.array([0.3, 0.1, 0.2])
    errors, average = problem.expected_errors(steps, np.array([9.0, -5.0, 1.0, 0.0]))
    bound = convergence_bound(problem.distance, problem.lipschitz, steps).value
    assert max(average, steps @ errors / steps.sum()) <= bound + 1e-7


def test_the_two_sample_problem() -> None:
    run = stored_score_counterexample()
    assert (run.design, run.step_size, len(run.trajectory)) == (
        Design(2, 2, 1),
        Fraction(1, 15),
        19,
    )
    assert min(run.errors) == Fraction(5, 3) > run.bound
    assert stored_score_counterexample(18).bound == Fraction(5, 3)  # one step fewer: equality
    long = stored_score_counterexample(500)
    assert long.errors[-1] == 3
    assert long.bound == Fraction(5, 6) + Fraction(15, 500)


def test_the_design_that_is_run_fails_soon() -> None:
    """s = n/2, q = 0.6 s at n = 50,000: error at least 1 for ever, the bound below from T = 51."""
    run = stored_score_counterexample(design=Design.from_ratios(50_000))
    assert run.least_error == 1
    assert len(run.trajectory) == 51


def test_refused() -> None:
    with pytest.raises(ValueError, match="Theorem 3 holds"):
        stored_score_counterexample(5, Design(4, 3, 3))
    with pytest.raises(ValueError, match="steps must be at least 1"):
        stored_score_counterexample(0)
