"""The tools of the claims against independent computations."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy.stats import binom, hypergeom, wasserstein_distance

from orderdp_theory import (
    Design,
    estimator_mean,
    limit_gamma,
    spectrum_deviation,
    surrogate_loss,
    surrogate_weights,
    total_variation,
)
from orderdp_theory.claims import all_claims, read_table, spectral, table_source, weights
from orderdp_theory.claims.chance import binomial_tail, hypergeometric_tail
from orderdp_theory.claims.designs import all_designs
from orderdp_theory.claims.exact_training import (
    breakpoints,
    distance_loss,
    epoch,
    expected_gradient,
    gamma_limit,
    mean_loss,
    random_losses,
    random_vector,
    ranked_loss,
    train,
    values,
    vector,
)
from orderdp_theory.claims.selection import chance_of_unused
from orderdp_theory.claims.tables import NUMBERS

DESIGNS = list(all_designs(5))


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_exact_training_agrees_with_the_library(design):
    rng = np.random.default_rng(0)
    losses = random_losses(rng, design.n, 2)
    theta = random_vector(rng, 2)
    found = [float(v) for v in values(losses, theta)]
    gradients = [loss.subgradient(theta) for loss in losses]
    assert float(ranked_loss(losses, design, theta)) == pytest.approx(surrogate_loss(found, design))
    assert float(mean_loss(losses, theta)) == pytest.approx(np.mean(found))
    ranks = [Fraction(int(x)) for x in rng.permutation(design.n)]  # no ties
    exact = expected_gradient(gradients, design, ranks)
    library = estimator_mean(
        np.array(gradients, dtype=float), [float(rank) for rank in ranks], design
    )
    np.testing.assert_allclose([float(x) for x in exact], library, atol=1e-12)


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_deviations_agree_with_the_library(design):
    largest, total = weights.largest_deviation(design), weights.total_deviation(design)
    assert float(largest) == pytest.approx(spectrum_deviation(design), abs=1e-12)
    assert float(total) == pytest.approx(total_variation(design), abs=1e-12)


@pytest.mark.parametrize(("s", "q"), [(1, 1), (5, 2), (7, 7), (100, 30)])
def test_the_rational_limit_is_the_limit_of_the_library(s, q):
    points = [Fraction(k, 7) for k in range(8)]
    exact = [float(gamma_limit(z, s, q)) for z in points]
    np.testing.assert_allclose(exact, limit_gamma([float(z) for z in points], s, q), atol=1e-9 * s)


def test_quantile_distance_is_the_wasserstein_distance():
    rng = np.random.default_rng(1)
    for _ in range(30):
        full = [int(x) for x in rng.integers(-5, 6, 6)]
        sample = [int(x) for x in rng.choice(full, int(rng.integers(1, 7)), replace=False)]
        exact = spectral.quantile_distance(
            [Fraction(x) for x in sample], [Fraction(x) for x in full]
        )
        assert float(exact) == pytest.approx(wasserstein_distance(sample, full), abs=1e-12)


@pytest.mark.parametrize(("n", "marked", "draws"), [(12, 5, 7), (12, 9, 7), (9, 9, 4), (6, 0, 3)])
def test_hypergeometric_tail_encloses_the_counted_one(n, marked, draws):
    for least in range(draws + 2):
        count = sum(comb(marked, k) * comb(n - marked, draws - k) for k in range(least, draws + 1))
        exact, found = Fraction(count, comb(n, draws)), hypergeometric_tail(n, marked, draws, least)
        assert float(found.rad()) < 1e-40
        assert float(found.mid()) == pytest.approx(float(exact), rel=1e-15)


def test_tails_agree_with_scipy_at_the_size_they_are_used_at():
    ours = float(hypergeometric_tail(50_000, 15_000, 25_000, 7_700))
    assert ours == pytest.approx(hypergeom.sf(7_699, 50_000, 15_000, 25_000), rel=1e-8)
    assert float(binomial_tail(5, Fraction(1, 100), 3)) == pytest.approx(binom.sf(2, 5, 0.01))


@pytest.mark.parametrize("minibatches", [1, 2])
def test_an_epoch_of_one_minibatch_is_one_step_of_algorithm_1(minibatches):
    losses = [distance_loss(vector(k), centre) for k, centre in ((1, 0), (2, 1), (1, 3), (3, 7))]
    design, start, step = Design(4, 3, 2), vector(Fraction(1, 3)), Fraction(3)
    *_, last = train(losses, design, start, [step] * minibatches, "stored")
    by_step: dict[tuple[Fraction, ...], Fraction] = {}
    for state, chance in last.items():
        by_step[state.theta] = by_step.get(state.theta, Fraction(0)) + chance
    by_epoch = epoch(losses, design, start, step, minibatches)
    assert sum(by_epoch.values()) == 1
    assert (by_step == by_epoch) == (minibatches == 1)


def test_breakpoints_hold_a_minimiser():
    rng = np.random.default_rng(3)
    losses = random_losses(rng, 4, 1)
    points = breakpoints(losses)
    grid = [vector(Fraction(k, 50)) for k in range(-400, 401)]
    least = min(mean_loss(losses, p) for p in [points[0], points[-1], *points])
    inside = [g for g in grid if points[0] <= g <= points[-1]]
    assert all(mean_loss(losses, g) >= least for g in inside)


def exact_chance_of_unused(design: Design, epochs: int) -> float:
    """By following the number of unused samples, to double precision."""
    law = np.zeros(design.n + 1)
    law[design.n] = 1
    for _ in range(epochs):
        following = np.zeros_like(law)
        for unused in np.flatnonzero(law):
            drawn = np.arange(design.s + 1)
            chance = law[unused] * hypergeom.pmf(drawn, design.n, unused, design.s)
            np.add.at(following, unused - np.minimum(np.minimum(drawn, design.q), unused), chance)
        law = following
    return float(1 - law[0])


@pytest.mark.parametrize("epochs", [14, 20, 26, 60])
def test_the_coverage_bound_is_above_the_exact_chance(epochs):
    design = Design(200, 100, 20)
    exact, bound = exact_chance_of_unused(design, epochs), chance_of_unused(design, epochs)
    assert bound >= exact * (1 - 1e-9)
    assert (bound < 1e-3) == (epochs == 60)


def test_printed_tables_agree_where_they_repeat_each_other():
    def cell(number, column, **at):
        (row,) = [r for r in read_table(number) if all(r[k] == v for k, v in at.items())]
        return row[column]

    full = {"method": "Whole Dataset"}
    for dataset in ("CIFAR-10", "CIFAR-100"):
        at = {"dataset": dataset, "model": "ResNet-18"}
        assert cell(1, "accuracy", **full, **at) == cell(2, "accuracy", **full, **at)
        assert cell(6, "accuracy", **full, **at) == cell(2, "accuracy", **full, **at)
        for percent in ("30", "50", "70"):
            ours = at | {"method": "OrderDP", "prune_percent": percent}
            assert cell(1, "accuracy", **ours) == cell(2, "accuracy", **ours)
            assert cell(1, "gap", **ours) == cell(2, "gap", **ours)
    assert cell(4, "accuracy", **full) == cell(3, "accuracy", **full)
    final = full | {"quantity": "accuracy", "progress": "final"}
    at = {"dataset": "CIFAR-100", "model": "ResNet-50"}
    assert float(cell(9, "mean", **final)) == float(cell(2, "accuracy", **full, **at))
    sgd = {"optimizer": "SGD", "method": "OrderDP"}
    at = {"dataset": "CIFAR-10", "model": "ResNet-50", "method": "OrderDP"}
    assert cell(7, "saved_percent", **sgd) == cell(6, "saved_percent", **at)
    assert sum(float(row["probability"]) for row in read_table(10)) == pytest.approx(1)


@pytest.mark.parametrize("number", NUMBERS)
def test_every_table_names_its_source(number):
    assert f"Table {number} of" in table_source(number)
    rows = read_table(number)
    assert rows
    assert all(None not in row and None not in row.values() for row in rows)


def test_surrogate_weights_give_the_toy_probabilities():
    """s uniform on 1 … 5: the average of five surrogates' weights, from the public function."""
    gradients = np.arange(1.0, 6.0)
    mean = np.mean([surrogate_weights(gradients, Design(5, s, 1)) for s in range(1, 6)], axis=0)
    (reading,) = all_claims()["e1-orderdp-probabilities"].check()
    found = [float(reading.numbers[f"P(sample {i})"]) for i in range(1, 6)]
    np.testing.assert_allclose(found, mean)
