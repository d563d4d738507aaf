"""Weakly convex losses: the envelope's gradient along a run (proofs/nonconvex.md)."""

from itertools import combinations

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import (
    Design,
    best_nonconvex_step_size,
    inclusion_probabilities,
    nonconvex_bound,
    ranking_sensitivity,
    surrogate_loss,
    surrogate_weights,
)
from tests.strategies import designs

N = 4
STEPS = np.array([0.08, 0.05, 0.1])


def ternary_search(function, low, high):
    """Minimizers of strictly convex functions of one variable, elementwise."""
    for _ in range(100):
        third = (high - low) / 3
        left, right = low + third, high - third
        smaller = function(left) < function(right)
        low, high = np.where(smaller, low, left), np.where(smaller, right, high)
    return (low + high) / 2


class PhaseRetrieval:
    """Losses |a_i x² − b_i| on [−1, 1], weakly convex and Lipschitz with constants 2 max a."""

    start = 0.9

    def __init__(self, seed: int, design: Design):
        rng = np.random.default_rng(seed)
        self.design, self.a, self.b = design, rng.uniform(0.5, 1, N), rng.uniform(0, 0.5, N)
        self.rho = self.lipschitz = 2 * self.a.max()
        self.weights = inclusion_probabilities(design) / design.q

    def losses(self, x):
        return np.abs(self.a * np.square(np.asarray(x))[..., None] - self.b)

    def surrogate(self, x):
        return -np.sort(-self.losses(x)) @ self.weights

    def gradient(self, x, i):
        return 2 * self.a[i] * x * np.sign(self.a[i] * x**2 - self.b[i])

    def envelope(self, x):
        """φ and the square of its derivative."""
        x = np.asarray(x, dtype=float)

        def objective(y):
            return self.surrogate(y) + self.rho * (y - x) ** 2

        near = ternary_search(objective, np.full(x.shape, -1.0), np.full(x.shape, 1.0))
        return objective(near), (2 * self.rho * (x - near)) ** 2

    def all_runs(self, parts=1, rescore_every=1):
        """For each t: mean ‖∇φ(θ^t)‖², of all C(n, s)^T runs, and the mean shortfall."""
        sets = list(combinations(range(N), self.design.s))
        runs = [(self.start, self.losses(self.start))]
        squares, shortfalls = [], []
        for t, eta in enumerate(STEPS):
            points = np.array([x for x, _ in runs])
            squares.append(self.envelope(points)[1])
            short, following = [], []
            for x, scores in runs:
                current = self.losses(x)
                ranked_by = current if t % rescore_every == 0 else scores
                used = surrogate_weights(ranked_by, self.design) @ current
                short.append(surrogate_loss(current, self.design) - used)
                for candidates in sets:
                    kept = sorted(candidates, key=lambda i: -ranked_by[i])[: self.design.q]
                    stored, y = ranked_by.copy(), x
                    stored[kept] = current[kept]
                    for part in np.split(np.array(sorted(kept)), parts):
                        y -= eta * np.mean([self.gradient(y, i) for i in part])
                        y = min(max(y, -1.0), 1.0)
                    following.append((y, stored))
            runs = following
            shortfalls.append(np.mean(short))
        return squares, np.array(shortfalls)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("design", "parts", "rescore_every"),
    [(Design(4, 3, 1), 1, 1), (Design(4, 3, 2), 1, 3), (Design(4, 3, 2), 2, 1)],
    ids=["fresh", "stale", "two minibatches"],
)
def test_every_run_of_a_problem_with_known_weak_convexity(design, parts, rescore_every, seed):
    problem = PhaseRetrieval(seed, design)
    squares, shortfalls = problem.all_runs(parts, rescore_every)
    grid = np.linspace(-1, 1, 20_001)
    gap = problem.envelope(problem.start)[0] - problem.surrogate(grid).min()
    # The grid's minimum is at most this much above the true one.
    gap += problem.lipschitz * 1e-4
    arguments = (problem.rho, problem.lipschitz, gap, STEPS, np.maximum(shortfalls, 0), parts)
    mean = STEPS @ [s.mean() for s in squares] / STEPS.sum()
    bound = nonconvex_bound(*arguments)
    assert 0 < mean <= bound.value
    assert max(s.max() for s in squares) <= bound.trivial * (1 + 1e-6)
    # The run at hand: a tenth of the runs may exceed the bound.
    number = len(squares[-1])
    each = STEPS @ [np.repeat(s, number // len(s)) for s in squares] / STEPS.sum()
    assert each.mean() == pytest.approx(mean)
    assert np.mean(each > nonconvex_bound(*arguments, failure=0.1).value) <= 0.1


@given(designs(min_n=2), st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0, 5))
@settings(deadline=None)
def test_the_lemma_is_attained(design, rho, d, c):
    """⟨x̂ − x, E g̃⟩ = 2κδ − ρ r² with losses a_i y − (ρ/2) y², ranked in reverse; x̂ = 0, x = d."""
    half = design.n // 2
    slopes = np.where(np.arange(design.n) < half, 2 * c, 0.0)
    slopes += 2 * rho * d - surrogate_loss(slopes, design)

    def objective(y):
        losses = slopes * y[..., None] - rho / 2 * y[..., None] ** 2
        descending = -np.sort(-losses)
        return descending @ inclusion_probabilities(design) / design.q + rho * (y - d) ** 2

    grid = np.linspace(-d, 2 * d, 3001)  # strictly convex, smallest at 0, which is on the grid
    assert grid[np.argmin(objective(grid))] == pytest.approx(0, abs=1e-9 * d)
    reversed_scores = np.arange(design.n, dtype=float)
    weights = surrogate_weights(reversed_scores, design)
    inner = -d * (weights @ (slopes - rho * d))
    bound = 2 * ranking_sensitivity(design) * (c * d) - rho * d**2
    # Roundings of terms of size d · (slope): relative to those, n eps and a few operations.
    assert inner == pytest.approx(bound, abs=1e-13 * d * (c + rho * d))


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize(("rho", "lipschitz"), [(1.0, 1.0), (0.5, 3.0)])
def test_a_quarter_of_the_bound_is_needed(steps, rho, lipschitz):
    """G max(max_k θ_k, −G/(2ρT)) from 0: a mean of (T + 1)/(4T) times the bound, by a solver."""
    bottom = -lipschitz / (2 * rho * steps)
    theta, y = np.zeros(steps), cp.Variable(steps)

    def envelope(theta):
        objective = lipschitz * cp.maximum(cp.max(y), bottom) + rho * cp.sum_squares(y - theta)
        value = cp.Problem(cp.Minimize(objective)).solve(solver="CLARABEL")
        return value, np.sum((2 * rho * (theta - y.value)) ** 2)

    gap = envelope(theta)[0] - lipschitz * bottom
    assert gap == pytest.approx(lipschitz**2 / (4 * rho * steps), rel=1e-6)
    eta = best_nonconvex_step_size(Design(3, 2, 1), rho, lipschitz, gap, steps)
    squares = []
    for _ in range(steps):
        squares.append(envelope(theta)[1])
        theta = theta - eta * lipschitz * np.eye(steps)[np.argmax(theta)]
    bound = nonconvex_bound(rho, lipschitz, gap, [eta] * steps)
    # A solver's 1e-8 in the objective is 1e-4 in a minimizer of strong convexity 1.
    assert np.mean(squares) / bound.value == pytest.approx((steps + 1) / (4 * steps), rel=2e-3)


def test_best_step_and_the_price_of_age():
    design, rho, G, gap, T, age = Design(20, 10, 4), 0.7, 2.0, 3.0, 500, 6
    kappa = ranking_sensitivity(design)

    def value(eta, age):
        shortfall = 2 * kappa * G**2 * eta * age
        return nonconvex_bound(rho, G, gap, [eta] * T, shortfall).value

    for tau in (0, age):
        best = best_nonconvex_step_size(design, rho, G, gap, T, tau)
        expected = 4 * G * (rho * gap * (1 + 4 * kappa * tau) / T) ** 0.5
        assert value(best, tau) == pytest.approx(expected)
        assert min(value(0.9 * best, tau), value(1.1 * best, tau)) > value(best, tau)


def test_minibatches_are_longer_steps_with_up_to_half_more_noise():
    G, rho, eta = 2.0, 0.7, np.array([0.001, 0.002])
    for parts in (2, 7, 100):
        parted = nonconvex_bound(rho, G, 1.0, eta, 0.1, parts)
        whole = nonconvex_bound(rho, G, 1.0, parts * eta, 0.1)
        assert parted.envelope_term == pytest.approx(whole.envelope_term)
        assert parted.score_term == pytest.approx(whole.score_term)
        ratio = parted.noise_term / whole.noise_term
        assert 1 < ratio <= 1.5 + rho * parts * eta.max() / 3


class SmoothNetwork:
    """f(x) = Σ_k v_k tanh(⟨u_k, x⟩) with |v_k| <= V, ‖x‖ <= 1, logistic loss; θ = (v, u).

    With |σ'| <= 1 and |σ''| <= 4/(3√3), the part of the Hessian of f that belongs to a unit has
    norm at most c/2 + √(c²/4 + 1), c = 4V/(3√3): a ρ that is certain, as the logistic loss is
    convex with slope at most 1. A unit's gradient has square at most σ² + V²σ'² <= max(1, V²).
    """

    def __init__(self, units: int, largest: float, x, y):
        self.units, self.largest, self.x, self.y = units, largest, x, y
        c = 4 * largest / 3**1.5
        self.rho = c / 2 + (c**2 / 4 + 1) ** 0.5
        self.lipschitz = units**0.5 * max(1.0, largest)

    def losses_and_gradients(self, theta):
        v, u = theta[: self.units], theta[self.units :].reshape(self.units, -1)
        hidden = np.tanh(self.x @ u.T)
        margin = self.y * (hidden @ v)
        slope = -self.y / (1 + np.exp(margin))
        inner = (1 - hidden**2) * v
        outer = (inner[:, :, None] * self.x[:, None, :]).reshape(len(self.x), -1)
        return np.logaddexp(0, -margin), slope[:, None] * np.hstack([hidden, outer])

    def project(self, theta):
        theta[: self.units] = np.clip(theta[: self.units], -self.largest, self.largest)
        return theta


def test_a_small_network():
    """Certified constants hold along a run, and the bound says more than ‖∇φ‖ <= G.

    At a point where no losses tie, ‖∇φ‖ <= 2‖∇L_q‖ (proximal inequality), which is computed.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    network = SmoothNetwork(6, 1.0, x, np.sign(x[:, 0] * x[:, 1]))
    design, steps = Design(40, 20, 12), 2000
    theta = network.project(0.5 * rng.normal(size=24))
    losses, _ = network.losses_and_gradients(theta)
    gap = surrogate_loss(losses, design)  # min L_q >= 0 and φ <= L_q
    eta = best_nonconvex_step_size(design, network.rho, network.lipschitz, gap, steps)
    squares = []
    for t in range(steps):
        losses, gradients = network.losses_and_gradients(theta)
        assert np.linalg.norm(gradients, axis=1).max() <= network.lipschitz
        squares.append(4 * np.sum((surrogate_weights(losses, design) @ gradients) ** 2))
        if t % 400 == 0:  # per-sample curvature, by differences of exact gradients
            shift = 1e-5 * np.eye(theta.size)
            ahead = np.array([network.losses_and_gradients(theta + e)[1] for e in shift])
            behind = np.array([network.losses_and_gradients(theta - e)[1] for e in shift])
            hessians = (ahead - behind).transpose(1, 0, 2) / 2e-5
            lowest = np.linalg.eigvalsh((hessians + hessians.transpose(0, 2, 1)) / 2).min()
            assert -network.rho <= lowest < 0  # not convex
        drawn = rng.choice(design.n, design.s, replace=False)
        kept = drawn[np.argsort(-losses[drawn])[: design.q]]
        theta = network.project(theta - eta * gradients[kept].mean(axis=0))
    bound = nonconvex_bound(network.rho, network.lipschitz, gap, [eta] * steps, failure=0.01)
    assert np.mean(squares) <= bound.value
    assert not bound.vacuous
    assert nonconvex_bound(network.rho, network.lipschitz, gap, [eta] * 4).vacuous


@pytest.mark.parametrize(
    "call",
    [
        lambda: nonconvex_bound(0, 1, 1, [0.1]),
        lambda: nonconvex_bound(1, -1, 1, [0.1]),
        lambda: nonconvex_bound(1, 1, np.inf, [0.1]),
        lambda: nonconvex_bound(1, 1, 1, []),
        lambda: nonconvex_bound(1, 1, 1, [0.1], -0.1),
        lambda: nonconvex_bound(1, 1, 1, [0.1], minibatches=0),
        lambda: nonconvex_bound(1, 1, 1, [0.1], failure=0.0),
        lambda: best_nonconvex_step_size(Design(3, 2, 1), 1, 1, 0, 5),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()
