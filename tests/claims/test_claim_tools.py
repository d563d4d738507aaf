"""The tools of the claims against independent computations."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from orderdp_theory import (
    Design,
    estimator_mean,
    spectrum_deviation,
    surrogate_loss,
    surrogate_weights,
    total_variation,
)
from orderdp_theory.claims import all_claims, claim, generalization, read_table, table_source
from orderdp_theory.claims.designs import all_designs
from orderdp_theory.claims.exact_training import (
    expected_gradient,
    mean_loss,
    ranked_loss,
    train,
    values,
)
from orderdp_theory.claims.selection import _chance_of_unused
from orderdp_theory.claims.tables import NUMBERS
from orderdp_theory.claims.training import (
    excess,
    random_losses,
    random_vector,
    stale_problem,
)
from orderdp_theory.impossibility import stored_score_counterexample

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
    assert float(generalization.largest_deviation(design)) == pytest.approx(
        spectrum_deviation(design), abs=1e-12
    )
    assert float(generalization.total_deviation(design)) == pytest.approx(
        total_variation(design), abs=1e-12
    )


def test_quantile_distance_is_the_wasserstein_distance():
    rng = np.random.default_rng(1)
    for _ in range(30):
        full = [int(x) for x in rng.integers(-5, 6, 6)]
        sample = [int(x) for x in rng.choice(full, int(rng.integers(1, 7)), replace=False)]
        exact = generalization.quantile_distance(
            [Fraction(x) for x in sample], [Fraction(x) for x in full]
        )
        assert float(exact) == pytest.approx(wasserstein_distance(sample, full), abs=1e-12)


@pytest.mark.parametrize("ranking", ["stored", "fresh"])
def test_the_stale_counterexample_agrees_with_the_one_of_the_theory(ranking):
    """Two implementations of Algorithm 1 in rational arithmetic, written independently."""
    losses, start, steps, design = stale_problem()
    known = stored_score_counterexample(
        steps=len(steps), scores="stored" if ranking == "stored" else "current"
    )
    *visited, _ = train(losses, design, start, steps, ranking)
    path = [next(iter(states)).theta for states in visited]
    assert tuple(path) == known.trajectory
    run = excess(losses, design, start, steps, ranking, Fraction(1), Fraction(2))
    assert (run.smallest, run.average, run.bound) == (
        min(known.errors),
        known.average_error,
        known.bound,
    )


def test_the_coverage_bound_is_above_what_happens():
    """Unused candidates first: the bound must not fall below the observed failure rate.

    1000 runs at a design where failures are common; the observed rate may exceed the true one
    by 0.06 (four standard errors at most) without false alarm in more than 1 of 10,000 seeds.
    """
    rng = np.random.default_rng(2)
    for epochs in (14, 20, 26):
        design = Design(200, 100, 20)
        failures = 0
        for _ in range(1000):
            unused = design.n
            for _ in range(epochs):
                drawn = (
                    int(rng.hypergeometric(unused, design.n - unused, design.s)) if unused else 0
                )
                unused -= min(design.q, drawn)
            failures += unused > 0
        assert _chance_of_unused(design, epochs) >= failures / 1000 - 0.06
    assert _chance_of_unused(Design(200, 100, 20), 60) < 1


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
    found = all_claims()["e1-orderdp-probabilities"].check().numbers
    np.testing.assert_allclose([float(found[f"P(sample {i})"]) for i in range(1, 6)], mean)


def test_a_claim_needs_a_statement_and_a_source():
    def without_source():
        """A statement."""

    def sec2_prune_ratio():
        """A statement.

        Source: §2.
        """

    with pytest.raises(ValueError, match=r"without-source needs a docstring"):
        claim(without_source)
    with pytest.raises(ValueError, match="twice"):
        claim(sec2_prune_ratio)
