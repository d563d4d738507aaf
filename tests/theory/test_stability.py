"""Stability and the risk of what is found, over all draws (proofs/stability.md)."""

from itertools import combinations, product

import numpy as np
import pytest

from orderdp_theory import (
    Design,
    best_population_step_size,
    best_step_size,
    convergence_bound,
    gap,
    population_bound,
    ranking_sensitivity,
    stability_bound,
    stored_score_penalty,
    surrogate_risk,
    total_variation,
)

STEPS = np.array([0.3, 0.1, 0.2])


class Absolute:
    """Losses |⟨a_i, θ⟩ − b_i| with ‖a_i‖ <= 1."""

    def __init__(self, a, b):
        self.a, self.b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)

    def losses(self, theta):
        return np.abs(self.a @ theta - self.b)

    def gradient(self, theta, i):
        return np.sign(self.a[i] @ theta - self.b[i]) * self.a[i]


class Linear:
    """Losses ⟨a_i, θ⟩ + b_i."""

    def __init__(self, a, b):
        self.a, self.b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)

    def losses(self, theta):
        return self.a @ theta + self.b

    def gradient(self, theta, i):
        return self.a[i]


def all_runs(problem, design, steps, parts=1, rescore_every=1):
    """Points at the selections and after the last, `(runs, T + 1, d)`, and what each run kept."""
    sets = list(combinations(range(design.n), design.s))
    points, kept_by = [], []
    for draws in product(sets, repeat=len(steps)):
        theta, path, kept_sets = np.zeros(problem.a.shape[1]), [], []
        for t, (eta, candidates) in enumerate(zip(steps, draws, strict=True)):
            path.append(theta)
            current = problem.losses(theta)
            if t % rescore_every == 0:
                scores = current
            kept = sorted(sorted(candidates, key=lambda i: -scores[i])[: design.q])
            scores = scores.copy()
            scores[kept] = current[kept]
            kept_sets.append((candidates, tuple(kept)))
            for part in np.split(np.array(kept), parts):
                gradient = np.mean([problem.gradient(theta, i) for i in part], axis=0)
                theta = theta - eta * gradient
        points.append([*path, theta])
        kept_by.append(kept_sets)
    return np.array(points), kept_by


def distances(first, second, steps):
    """√E‖·‖² of the averages' and of the last points' difference."""
    difference = first - second
    average = np.einsum("t,rtd->rd", steps / steps.sum(), difference[:, :-1])
    return tuple(np.sqrt((x**2).sum(axis=1).mean()) for x in (average, difference[:, -1]))


CASES = pytest.mark.parametrize(
    ("design", "parts", "rescore_every"),
    [
        (Design(4, 3, 1), 1, 1),
        (Design(4, 2, 2), 1, 1),
        (Design(4, 3, 2), 2, 1),
        (Design(4, 3, 1), 1, 2),
        (Design(4, 3, 2), 2, 2),
    ],
    ids=["fresh", "no pruning", "minibatches", "old scores", "both"],
)


@CASES
@pytest.mark.parametrize("seed", range(3))
def test_two_data_sets_that_differ_in_one_sample(design, parts, rescore_every, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(5, 2)), rng.normal(size=5)
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b[[2, 4]] = 2, -2  # large losses, so that the sample in which they differ is used
    runs = [
        all_runs(Absolute(a[list(rows)], b[list(rows)]), design, STEPS, parts, rescore_every)[0]
        for rows in ((0, 1, 2, 3), (0, 1, 4, 3))
    ]
    average, last = distances(*runs, STEPS)
    bound = stability_bound(design, 1, STEPS, parts, max_age=rescore_every - 1)
    assert 0 < average <= bound.average
    assert 0 < last <= bound.last


def test_selections_differ_without_the_sample():
    """Once it has been kept, runs rank the others differently: both kept ones, and only those."""
    design = Design(5, 4, 2)
    a = [[1, 0], [1, 0], [-1, 0], [-1, 0], [1, 0]]
    b, other = [0.1, 0.1, 0.1, 0.1, 5.0], [0.1, 0.1, 0.1, 0.1, -5.0]
    _, first = all_runs(Absolute(a, b), design, STEPS[:2])
    _, second = all_runs(Absolute(a, other), design, STEPS[:2])
    later = [(x[1], y[1]) for x, y in zip(first, second, strict=True)]
    apart = [set(p[1]) & set(q[1]) for p, q in later if 4 not in p[0]]
    assert set() in apart


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("design", [Design(4, 3, 2), Design(5, 2, 2), Design(3, 3, 2)], ids=str)
def test_replacement_is_attained(design, parts):
    """±⟨e, θ⟩ + 100 beside constants: E‖θ − θ'‖ after the last step, over all draws."""
    slopes = np.zeros((design.n, 1))
    heights = np.zeros(design.n)
    heights[1] = 100
    runs = []
    for sign in (1, -1):
        slopes[1] = sign
        runs.append(all_runs(Linear(slopes, heights), design, STEPS, parts)[0])
    apart = np.abs(runs[0] - runs[1]).mean(axis=(0, 2))
    bound = stability_bound(design, 1, STEPS, parts)
    assert apart[-1] == pytest.approx(bound.last_replacement)
    assert STEPS @ apart[:-1] / STEPS.sum() == pytest.approx(bound.replacement)


@pytest.mark.parametrize("steps", [1, 4, 30])
def test_half_of_the_expansion_is_attained(steps):
    """G max(0, max_k θ_k): subgradients G e_1, G e_2, … in one run and 0 in the other."""
    lipschitz, eta, theta = 2.0, 0.3, np.zeros(steps)
    for k in range(steps):
        assert theta[k] == max(0, theta.max())  # G e_k is a subgradient, and so is 0 at 0
        theta = theta - eta * lipschitz * np.eye(steps)[k]
    bound = stability_bound(Design(6, 4, 2), lipschitz, [eta] * steps)
    assert np.linalg.norm(theta) == pytest.approx(bound.last_expansion / 2)


def test_constant_steps_have_the_closed_form():
    design, G, eta, T, K, tau = Design(100, 50, 20), 3.0, 0.01, 400, 5, 7
    bound = stability_bound(design, G, [eta] * T, K)
    assert bound.last_expansion == pytest.approx(2 * G * eta * (K * (2 * K - 1) * T) ** 0.5)
    replacement = 2 * G * eta * K * T * 50 / (100 * 20)
    assert bound.last_replacement == pytest.approx(replacement)
    assert bound.replacement == pytest.approx(replacement * (T - 1) / (2 * T))
    assert bound.expansion < bound.last_expansion * 2 / 3
    old = stability_bound(design, G, [eta] * T, K, tau)
    ages = np.minimum(np.arange(T), tau).sum()
    squares = K * (2 * K - 1) * T + 2 * K * K * ages
    assert old.last_expansion == pytest.approx(2 * G * eta * squares**0.5)
    assert old.last_expansion < 2 * G * eta * (K * (2 * K - 1 + 2 * K * tau) * T) ** 0.5


@CASES
def test_risk_over_all_data_sets_and_draws(design, parts, rescore_every):
    """|θ − z| with z of three values: E R(average) is exact, over 3^4 data sets."""
    values, chances = np.array([-0.4, 0.3, 1.0]), np.array([0.5, 0.3, 0.2])
    risk = 0.0
    for draw in product(range(3), repeat=design.n):
        problem = Absolute(np.ones((design.n, 1)), values[list(draw)])
        points, _ = all_runs(problem, design, STEPS, parts, rescore_every)
        average = np.einsum("t,rt->r", STEPS / STEPS.sum(), points[:, :-1, 0])
        risks = np.abs(average[:, None] - values) @ chances
        risk += chances[list(draw)].prod() * risks.mean()
    for reference in (-0.4, 0.0, 0.3):
        losses = np.abs(reference - values)
        bound = population_bound(
            design, 1, abs(reference), STEPS, 0.0, parts, max_age=rescore_every - 1
        )
        start = surrogate_risk(losses, chances, design.s, design.q)
        assert risk <= start + bound.above_surrogate_risk


@pytest.mark.parametrize(("distance", "lipschitz"), [(1.0, 1.0), (0.5, 4.0)])
def test_one_selection_attains_it(distance, lipschitz):
    """All losses G|θ − θ°|, T = 1 at the best step: the start's excess risk is G D."""
    eta = best_step_size(distance, lipschitz, 1)
    bound = population_bound(Design(5, 4, 2), lipschitz, distance, [eta], np.zeros(5))
    assert bound.excess_risk == pytest.approx(lipschitz * distance)


def test_terms_of_the_risk():
    design, G, D, K, tau = Design(60, 30, 12), 2.0, 3.0, 4, 2
    eta = np.full(50, 0.01)
    rng = np.random.default_rng(0)
    reference, found = rng.uniform(0, 2, (2, 60))
    bound = population_bound(design, G, D, eta, reference, K, tau, found)
    error = convergence_bound(D, G, K * eta).value
    error += stored_score_penalty(design, G, K * eta, tau)
    assert bound.optimization_error == pytest.approx(error)
    assert bound.generalization == G * stability_bound(design, G, eta, K, tau).average
    assert bound.reference_gap == gap(reference, design).value
    assert bound.found_gap == gap(found, design).value
    total = error + bound.generalization + bound.reference_gap - bound.found_gap
    assert bound.excess_risk == pytest.approx(total)
    by_range = population_bound(design, G, D, eta, 2.0)
    assert by_range.reference_gap == pytest.approx(2 * total_variation(design))
    assert by_range.found_gap == 0


@pytest.mark.parametrize(("K", "tau"), [(1, 0), (10, 0), (3, 2)])
def test_best_step_and_the_price_of_selection(K, tau):
    design, G, D, T = Design(1000, 500, 100), 2.0, 3.0, 500

    def value(eta):
        bound = population_bound(design, G, D, [eta] * T, 0.0, K, tau)
        return bound.above_surrogate_risk

    best = best_population_step_size(design, G, D, T, K, tau)
    assert min(value(0.95 * best), value(1.05 * best)) > value(best)
    assert best < best_step_size(D, G, T) / K
    uniform = stability_bound(Design(1000, 100, 100), G, [best] * T, K)
    assert stability_bound(design, G, [best] * T, K).replacement == pytest.approx(
        5 * uniform.replacement  # s/q
    )
    assert ranking_sensitivity(design) > 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: stability_bound(Design(3, 2, 1), -1, [0.1]),
        lambda: stability_bound(Design(3, 2, 1), 1, []),
        lambda: stability_bound(Design(3, 2, 1), 1, [0.1], 0),
        lambda: stability_bound(Design(3, 2, 1), 1, [0.1], 1, -1),
        lambda: population_bound(Design(3, 2, 1), 1, 1, [0.1], -1.0),
        lambda: best_population_step_size(Design(3, 2, 1), 1, 0, 5),
        lambda: best_population_step_size(Design(3, 2, 1), 1, -1, 5),
        lambda: best_population_step_size(Design(3, 2, 1), 0, 1, 5),
        lambda: best_population_step_size(Design(3, 2, 1), -1, 1, 5),
        lambda: best_population_step_size(Design(3, 2, 1), 1, 1, 0),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


@pytest.mark.parametrize(("lipschitz", "distance"), [(-1, 1), (0, 1), (1, -1), (1, 0)])
def test_a_best_step_size_names_all_that_must_be_positive(lipschitz, distance):
    with pytest.raises(ValueError, match="distance and lipschitz must be positive"):
        best_population_step_size(Design(3, 2, 1), lipschitz, distance, 5)
