"""Theorem 4 as printed and what replaces it (proofs/generalization.md)."""

import itertools

import numpy as np
import pytest
from scipy.stats import binom

from orderdp_theory import (
    Design,
    LinearPredictors,
    chi,
    corrected_bound,
    gap,
    inclusion_probabilities,
    printed_bound,
    total_variation,
)

FAILURE = 0.1
REPEATS = 100
# At most 10 % failures are allowed; the number below is exceeded with probability < 1e-6.
ALLOWED = int(binom.ppf(1 - 1e-6, REPEATS, FAILURE))


class Population:
    """x uniform on the basis of R^N, P(y = 1 | e_i) = p_i else y = −1, loss |θ_i − y|: R exact."""

    def __init__(self, p: np.ndarray):
        self.p = p

    def draw(self, n: int, rng: np.random.Generator):
        x = rng.integers(len(self.p), size=n)
        return x, np.where(rng.random(n) < self.p[x], 1.0, -1.0)

    def risk(self, theta: np.ndarray) -> float:
        return float(np.mean(self.p * np.abs(theta - 1) + (1 - self.p) * np.abs(theta + 1)))


def train(x, y, size: int, design: Design, steps: int, eta: float, radius: float, rng):
    """OrderDP with current losses, projected onto the ball; iterates and their losses."""
    theta, iterates, losses = np.zeros(size), [], []
    for _ in range(steps):
        current = np.abs(theta[x] - y)
        iterates.append(theta)
        losses.append(current)
        drawn = rng.choice(design.n, design.s, replace=False)
        kept = drawn[np.argsort(-current[drawn], kind="stable")[: design.q]]
        theta = theta.copy()
        signs = np.sign(theta[x[kept]] - y[kept])
        np.subtract.at(theta, x[kept], eta / design.q * signs)
        theta *= min(1, radius / max(np.linalg.norm(theta), 1e-300))
    return np.array(iterates), np.array(losses)


@pytest.mark.parametrize("design", [Design(20, 10, 4), Design(20, 20, 8)], ids=str)
def test_coverage(design):
    """Failures counted over independent data sets, in which R is known exactly.

    The twin: without the sampling error the first statement fails more often than not.
    """
    rng = np.random.default_rng(0)
    radius, steps = 2.0, 60
    # One x of thirty has a predictable y; the reference is a minimizer of R.
    population = Population(np.r_[np.full(1, 0.99), np.full(29, 0.5)])
    reference = np.zeros(30)
    reference[0] = 1
    predictors = LinearPredictors(lipschitz=1, radius=radius, loss_range=1 + radius)
    eta = radius / steps**0.5
    error = radius / steps**0.5  # |θ¹ − reference| <= radius
    weights = inclusion_probabilities(design) / design.q
    failures = np.zeros(3, dtype=int)
    for _ in range(REPEATS):
        x, y = population.draw(design.n, rng)
        iterates, losses = train(x, y, 30, design, steps, eta, radius, rng)
        reference_losses = np.abs(reference[x] - y)
        bound = corrected_bound(design, error, predictors, FAILURE, losses, reference_losses)
        surrogates = -np.sort(-losses, axis=1) @ weights
        above = np.max([population.risk(t) for t in iterates] - surrogates)
        excess = population.risk(iterates.mean(axis=0)) - population.risk(reference)
        sampling = bound.rademacher + bound.fluctuation
        failures += [
            above > bound.risk_above_surrogate,
            excess > bound.excess_risk,  # s = n: no expectation left, else one draw of it
            above > bound.risk_above_surrogate - sampling,
        ]
    assert failures[0] <= ALLOWED
    assert failures[1] <= ALLOWED
    assert failures[2] > REPEATS / 2


def test_printed_bound_fails_where_samples_can_be_memorized():
    """With y = ±1 a fair coin, R = 1 on the whole cube |θ_i| <= 1, while training reaches L = 0."""
    rng = np.random.default_rng(1)
    population = Population(np.full(1000, 0.5))
    for design in (Design(8, 8, 8), Design(8, 8, 3), Design(8, 5, 3)):
        x, y = population.draw(8, rng)
        assert len(set(x)) == 8
        steps, eta = 2000, 0.04
        iterates, losses = train(x, y, 1000, design, steps, eta, 8**0.5, rng)
        iterates, losses = iterates[-200:], losses[-200:]
        assert np.abs(iterates).max() <= 1.02
        error = (8 + steps * eta**2) / (2 * steps * eta)  # |θ¹ − θ*|² = 8, G = 1
        printed = printed_bound(design, error, losses)
        weights = inclusion_probabilities(design) / design.q
        left_side = 0.99 + np.sort(-losses, axis=1) @ weights
        assert np.all([population.risk(t) > 0.99 for t in iterates])
        assert left_side.max() > printed.value
        predictors = LinearPredictors(lipschitz=1, radius=8**0.5, loss_range=1 + 8**0.5)
        corrected = corrected_bound(design, error, predictors, FAILURE, losses)
        assert left_side.max() <= corrected.risk_above_surrogate


def test_rademacher_term_cannot_be_dropped():
    """Loss 1 − yu, y a fair coin: sup over the ball of R − L is radius |Σ y_i x_i| / n.

    That is radius / √n if the n basis vectors differ, which a fluctuation at 0.9 alone does not
    cover, and neither does half a Rademacher average.
    """
    n, radius = 25, 3.0
    predictors = LinearPredictors(lipschitz=1, radius=radius, loss_range=2 * radius)
    x = np.random.default_rng(2).integers(10**6, size=n)
    assert len(set(x)) == n
    largest = radius / n**0.5
    alone = predictors.fluctuation_term(n, 0.9)
    assert (
        alone + predictors.rademacher_term(n) / 4 < largest <= predictors.uniform_deviation(n, 0.9)
    )


@pytest.mark.parametrize("orthonormal", [True, False])
def test_rademacher_term_is_twice_the_average_over_signs(orthonormal):
    """The link of the proof before the last: exact over all 2^n signs, attained if orthonormal."""
    n, lipschitz, radius = 6, 0.7, 1.5
    x = np.random.default_rng(5).normal(size=(n, n))
    x = np.linalg.qr(x)[0] if orthonormal else x / np.linalg.norm(x, axis=1, keepdims=True)
    signs = np.array(list(itertools.product([-1, 1], repeat=n)))
    average = lipschitz * radius * np.linalg.norm(signs @ x, axis=1).mean() / n
    term = LinearPredictors(lipschitz, radius, 1).rademacher_term(n)
    assert term == pytest.approx(2 * average) if orthonormal else term > 2 * average


@pytest.mark.parametrize("n", [100, 5000])
@pytest.mark.parametrize("failure", [0.1, 0.05])
def test_fluctuation_term(n, failure):
    """A single predictor with loss 0 or 1 at odds 1 : 1: its exact failure probability.

    Half the term would fail more often than allowed, and so would no term at all.
    """
    predictors = LinearPredictors(lipschitz=1, radius=0, loss_range=1)
    assert predictors.rademacher_term(n) == 0

    term = predictors.fluctuation_term(n, failure)

    def failing(factor: float) -> float:
        """P(L < 1/2 − factor · term)."""
        return float(binom.cdf(np.ceil(n * (0.5 - factor * term)) - 1, n, 0.5))

    assert failing(1) <= failure
    assert failing(0.5) > failure
    assert failing(0) > 0.3


def test_corrected_bounds_need_their_sampling_errors():
    """Two populations in which a bound without them fails more often than it may.

    Loss min(1, |θ_i − y|), x uniform on many basis vectors, y a fair coin: fitting n labels has
    R = 1 and L = 0 up to a chance of n/N. Loss |θ − y| with one sample, P(y = 1) = 0.9: fitting
    it has the excess 2 · 0.9 − 2 · 0.1 in a tenth of the data sets.
    """
    fitted = LinearPredictors(lipschitz=1, radius=8**0.5, loss_range=1)
    memorized = corrected_bound(Design(8, 5, 3), 0, fitted, failure=0.9, losses=np.zeros(8))
    assert memorized.risk_above_surrogate >= 1 > memorized.fluctuation
    single = LinearPredictors(lipschitz=1, radius=1, loss_range=2)
    one_sample = corrected_bound(Design(1, 1, 1), 0, single, failure=0.05, reference_losses=[2])
    assert one_sample.excess_risk >= 1.6
    assert one_sample.fluctuation == single.fluctuation_term(1, 0.05 / 2)  # a half for each use


def test_printed_terms():
    design = Design(50, 20, 5)
    rng = np.random.default_rng(3)
    losses = rng.exponential(size=(4, 50))
    printed = printed_bound(design, 0.25, losses)
    weights = inclusion_probabilities(design) / 5
    assert printed.spectrum_deviation == pytest.approx(max(20 / 5 - 1, 1))
    assert printed.spectrum_deviation == pytest.approx(np.abs(50 * weights - 1).max())
    assert printed.finite_population_factor == pytest.approx((30 / (20 * 49)) ** 0.5)
    assert printed.largest_loss_inf == min(row.max() for row in losses)
    assert printed.largest_loss_sup == losses.max()
    gaps = [np.sort(row)[::-1] @ (weights - 1 / 50) for row in losses]
    assert printed.gap_inf == pytest.approx(min(gaps))
    assert printed.value == pytest.approx(
        2**0.5 * 3 * printed.largest_loss_inf * (30 / 980) ** 0.5 - min(gaps) + 0.25
    )
    assert printed_bound(Design(50, 50, 50), 0.25, losses[0]).value == pytest.approx(0.25)
    assert chi(Design(50, 50, 50)) == 0
    without = printed_bound(design, 0.25)
    assert without.spectrum_deviation == printed.spectrum_deviation
    assert np.isnan([without.largest_loss_inf, without.gap_inf, without.value]).all()


def test_reference_gap_without_its_losses():
    design, predictors = Design(30, 20, 5), LinearPredictors(1, 1, 2)
    losses = np.random.default_rng(4).uniform(0, 2, 30)
    known = corrected_bound(design, 0, predictors, reference_losses=losses)
    unknown = corrected_bound(design, 0, predictors)
    assert known.reference_gap == gap(losses, design).value
    assert unknown.reference_gap == pytest.approx(2 * total_variation(design))
    assert known.excess_risk < unknown.excess_risk
    assert unknown.gap_inf == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: LinearPredictors(1, -1, 1),
        lambda: LinearPredictors(1, 1, np.inf),
        lambda: LinearPredictors(1, 1, 1).fluctuation_term(5, 1.0),
        lambda: printed_bound(Design(5, 3, 2), 0, np.ones(4)),
        lambda: printed_bound(Design(5, 3, 2), 0, np.ones((2, 2, 5))),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()
