"""One selection an epoch, by enumeration of all selections and orders (proofs/epoch.md)."""

import numpy as np
import pytest

from orderdp_theory import (
    Design,
    best_step_size,
    convergence_bound,
    epoch_bound,
    stored_score_penalty,
)
from tests.theory.problem import Problem


@pytest.mark.parametrize(
    ("design", "size", "epochs", "shuffled"),
    [
        (Design(4, 3, 2), 1, 3, False),
        (Design(4, 3, 2), 1, 3, True),
        (Design(4, 4, 4), 2, 2, True),
        (Design(4, 4, 3), 1, 3, False),
        (Design(4, 4, 3), 2, 3, True),  # sizes 2 and 1
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", range(3))
def test_enumerated_runs(design, size, epochs, shuffled, seed):
    problem, minibatches = Problem(seed, design), -(-design.q // size)
    best = best_step_size(problem.distance, problem.lipschitz, epochs) / minibatches
    for steps in (np.full(epochs, best), best * np.linspace(2, 0.5, epochs)):
        errors, average = problem.epoch_errors(steps, size, shuffled)
        bound = epoch_bound(problem.distance, problem.lipschitz, steps, minibatches).value
        weighted = steps @ errors / steps.sum()
        assert average <= weighted + 1e-9
        assert weighted <= bound + 1e-7


@pytest.mark.parametrize("steps", [1, 5])
def test_one_minibatch_is_theorem_3(steps):
    eta = np.linspace(0.1, 0.2, steps)
    assert epoch_bound(2, 3, eta, 1) == convergence_bound(2, 3, eta)


@pytest.mark.parametrize("minibatches", [1, 2, 10, 391])
def test_at_the_best_step_the_number_of_minibatches_does_not_enter(minibatches):
    """So K T steps with one selection an epoch promise √K less than with one a step."""
    distance, lipschitz, epochs = 2.0, 3.0, 50
    best = best_step_size(distance, lipschitz, epochs) / minibatches
    bound = epoch_bound(distance, lipschitz, np.full(epochs, best), minibatches).value
    assert bound == pytest.approx(distance * lipschitz / epochs**0.5)
    fresh = best_step_size(distance, lipschitz, epochs * minibatches)
    every_step = convergence_bound(distance, lipschitz, np.full(epochs * minibatches, fresh)).value
    assert bound == pytest.approx(minibatches**0.5 * every_step)
    for other in (0.9, 1.1):
        steps = np.full(epochs, other * best)
        assert epoch_bound(distance, lipschitz, steps, minibatches).value > bound


@pytest.mark.parametrize("quarter", [1, 3, 25])
@pytest.mark.parametrize("eta", [0.001, 0.01])
def test_an_order_whose_error_stays_at_a_quarter_of_the_noise_term(quarter, eta):
    """K = 4 m samples, each a minibatch, all kept: m of |x − 1|, 2 m of |x|, m of |x + 1|.

    In this order an epoch that starts at −η m ends there, and the mean loss exceeds its minimum, at
    0, by η m/2.
    """
    centres = np.repeat([1.0, 0.0, -1.0], [quarter, 2 * quarter, quarter])
    start = x = -eta * quarter
    for centre in centres:
        x -= eta * np.sign(round(x - centre, 12))
    assert x == pytest.approx(start)
    error = np.abs(start - centres).mean() - np.abs(centres).mean()
    limit = epoch_bound(1, 1, [eta], len(centres)).noise_term
    assert error == pytest.approx(limit / 4)


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_the_epoch_before(seed):
    """Ages are counted in epochs, each of them K steps of size η long."""
    problem, steps = Problem(seed, Design(4, 3, 2)), np.array([0.2, 0.1, 0.15])
    errors, average = problem.epoch_errors(steps, 1, True, age=1)
    bound = epoch_bound(problem.distance, problem.lipschitz, steps, 2).value
    penalty = stored_score_penalty(problem.design, problem.lipschitz, 2 * steps, 1)
    assert max(average, steps @ errors / steps.sum()) <= bound + penalty + 1e-7


@pytest.mark.parametrize("minibatches", [0, -1])
def test_refused(minibatches):
    with pytest.raises(ValueError, match="minibatches must be at least 1"):
        epoch_bound(1, 1, [0.1], minibatches)
