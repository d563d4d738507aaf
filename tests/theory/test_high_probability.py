"""What a single run may exceed an expectation by (proofs/high_probability.md)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from orderdp_theory import Design, convergence_bound, martingale_deviation, surrogate_loss
from tests.oracles import kept_sets


def exceeded(steps: int, deviation: float) -> float:
    """P(mean of `steps` fair signs > deviation), exact."""
    return float(binom.sf(np.floor(steps * (1 + deviation) / 2 + 1e-9), steps, 0.5))


@given(st.integers(1, 2000), st.floats(1e-6, 1))
@settings(deadline=None)
def test_fair_signs_stay_within(steps, failure):
    assert exceeded(steps, martingale_deviation(1, [0.3] * steps, failure)) <= failure


def test_the_exponent_is_that_of_fair_signs():
    """Their normal tail is exceeded too often at a fraction of the term that tends to 1."""
    steps, ratios = 100_000, []
    for failure in (0.1, 1e-3, 1e-9):
        term = martingale_deviation(1, [1.0] * steps, failure)
        ratios.append(norm.isf(failure) / (2 * np.log(1 / failure)) ** 0.5)
        assert exceeded(steps, 0.98 * ratios[-1] * term) > failure >= exceeded(steps, term)
    assert 0.5 < ratios[0] < ratios[1] < ratios[2] < 1
    assert ratios[2] > 0.9


def test_unequal_steps():
    eta = np.array([0.1, 0.4, 0.2])
    expected = 3 * (2 * np.log(20) * (eta**2).sum()) ** 0.5 / eta.sum()
    assert martingale_deviation(3, eta, 0.05) == pytest.approx(expected)
    assert martingale_deviation(3, eta, 1.0) == 0


@pytest.mark.parametrize("failure", [0.3, 0.05])
def test_every_projected_run_of_a_small_problem(failure):
    """Losses |θ − b_i| on [−1, 1]: all 4^7 runs of one start."""
    design, steps, eta = Design(4, 3, 1), 7, 0.25
    b = np.array([-0.9, 0.2, 0.6, 1.0])
    grid = np.linspace(-1, 1, 2001)
    minimum = min(surrogate_loss(abs(x - b), design) for x in grid)  # piecewise linear: 1e-3 off
    theta, total = np.array([1.0]), np.array([0.0])
    ranks = np.array(kept_sets(design))[:, 0] - 1
    for _ in range(steps):
        losses = np.abs(theta[:, None] - b)
        order = np.argsort(-losses, axis=1)
        weights = np.bincount(ranks, minlength=4) / len(ranks)
        total = total + (-np.sort(-losses, axis=1) @ weights) / steps
        kept = order[:, ranks]
        moved = theta[:, None] - eta * np.sign(theta[:, None] - b[kept])
        theta, total = np.clip(moved, -1, 1).ravel(), np.repeat(total, len(ranks))
    excess = total - minimum
    expected = convergence_bound(2, 1, [eta] * steps).value
    assert excess.mean() <= expected + 1e-3
    term = martingale_deviation(2, [eta] * steps, failure)
    assert np.mean(excess > expected + term) <= failure


@pytest.mark.parametrize(
    "call",
    [
        lambda: martingale_deviation(-1, [0.1], 0.1),
        lambda: martingale_deviation(1, [], 0.1),
        lambda: martingale_deviation(1, [0.1], 0.0),
        lambda: martingale_deviation(1, [0.1], 1.1),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()
