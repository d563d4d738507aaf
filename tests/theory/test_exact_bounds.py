"""One exact value, computed by hand, of every number that a bound of the theory gives.

"Truth <= bound" lets larger bounds through; these do not. Three minibatches tell 2K from K + 2 and
K² apart, which two do not.
"""

from math import e, sqrt
from typing import Any

import numpy as np
import pytest

import orderdp_theory
from orderdp_theory import (
    Design,
    LinearPredictors,
    MeasuredRun,
    best_nonconvex_step_size,
    best_population_step_size,
    best_step_size,
    chi,
    convergence_bound,
    corrected_bound,
    cvar_sandwich,
    effective_sample_size,
    epoch_bound,
    error_bound_from_norms,
    gap,
    martingale_deviation,
    nonconvex_bound,
    population_bound,
    printed_bound,
    promises,
    ranking_sensitivity,
    round_robin,
    sandwich_width,
    score_error_bound,
    spectrum_deviation,
    stability_bound,
    stale_rate,
    staleness_factor,
    stored_score_penalty,
    surrogate_deviation,
    surrogate_fluctuation,
    surrogate_risk,
    total_variation,
    transfer_bound,
)

# γ/q is 2/3, 1/3, 0: κ = 2/3, TV = 1/3, χ² = 2/3. Losses have a gap of 2 at the reference, and of
# 1 where the run ends.
DESIGN, D, G, ETA, K, TAU = Design(3, 2, 1), 2.0, 3.0, [0.5, 0.25], 3, 1
REFERENCE, FOUND, FAILURE = [0.0, 0.0, 6.0], [3.0, 0.0, 0.0], e**-2
PREDICTORS = LinearPredictors(lipschitz=3.0, radius=2.0, loss_range=5.0)
BY_AGE = 8 / 9 + 5.625 + 6
BY_ERROR = 8 / 9 + 5.625 + 2 / 15
STABILITY = 2 * sqrt(3.75) + 2
SAMPLING = 12 / sqrt(3), 5 * sqrt(2 / 6)

EXACT: dict[str, list[tuple[Any, Any]]] = {
    "total_variation": [(total_variation(DESIGN), 1 / 3)],
    "chi": [(chi(DESIGN), sqrt(2 / 3))],
    "effective_sample_size": [(effective_sample_size(DESIGN), 9 / 5)],
    "spectrum_deviation": [(spectrum_deviation(DESIGN), 1.0)],
    "ranking_sensitivity": [(ranking_sensitivity(DESIGN), 2 / 3)],
    "convergence_bound": [
        (
            convergence_bound(D, G, ETA),
            {
                "distance_term": 8 / 3,
                "noise_term": 1.875,
                "step_ratio": 2.0,
                "value": 8 / 3 + 1.875,
                "as_printed": 16 / 3 + 3.75,
            },
        )
    ],
    "best_step_size": [(best_step_size(D, G, 4), 1 / 3)],
    "stored_score_penalty": [
        (stored_score_penalty(DESIGN, G, [0.5, 0.25, 1.0], TAU, 0.1), 4 / 3 * 3.45 / 1.75)
    ],
    "epoch_bound": [
        (epoch_bound(D, G, ETA, K), {"distance_term": 8 / 9, "noise_term": 5.625, "step_ratio": 2})
    ],
    "martingale_deviation": [(martingale_deviation(2.0, ETA, FAILURE), 2 * sqrt(1.25) / 0.75)],
    "stability_bound": [
        (
            stability_bound(DESIGN, G, ETA, K, TAU),
            {
                "expansion": 2 * sqrt(3.75),
                "replacement": 2.0,
                "average": STABILITY,
                "last_expansion": 6 * sqrt(6.9375),
                "last_replacement": 9.0,
                "last": 6 * sqrt(6.9375) + 9,
            },
        )
    ],
    "population_bound": [
        (
            population_bound(DESIGN, G, D, ETA, REFERENCE, K, TAU, FOUND),
            {
                "optimization_error": BY_AGE,
                "generalization": 3 * STABILITY,
                "reference_gap": 2.0,
                "found_gap": 1.0,
                "above_surrogate_risk": BY_AGE + 3 * STABILITY - 1,
                "excess_risk": BY_AGE + 3 * STABILITY + 1,
            },
        ),
        (
            population_bound(DESIGN, G, D, ETA, 4.5, K, TAU),
            {"reference_gap": 1.5, "found_gap": 0.0, "excess_risk": BY_AGE + 3 * STABILITY + 1.5},
        ),
    ],
    "best_population_step_size": [
        (best_population_step_size(DESIGN, G, D, 1), 2 / 3),
        (best_population_step_size(DESIGN, G, D, 2), sqrt(1 / 19.5)),
        (
            best_population_step_size(DESIGN, G, D, 2, K, TAU),
            sqrt(1 / 3 / (13.5 + 18 + 9 * sqrt(15) + 18)),
        ),
    ],
    "nonconvex_bound": [
        (
            nonconvex_bound(2.0, G, 5.0, ETA, [0.1, 0.2], K, FAILURE),
            {
                "envelope_term": 40 / 9,
                "noise_term": 82.5,
                "score_term": 16 / 15,
                "deviation_term": 24 * sqrt(1.25),
                "trivial": 9.0,
                "value": 40 / 9 + 82.5 + 16 / 15 + 24 * sqrt(1.25),
                "vacuous": True,
            },
        ),
        (nonconvex_bound(2.0, G, 5.0, ETA), {"noise_term": 15.0, "deviation_term": 0.0}),
    ],
    "best_nonconvex_step_size": [
        (best_nonconvex_step_size(DESIGN, 2.0, G, 5.0, 4, 3), sqrt(5 / 72) / 3)
    ],
    "surrogate_risk": [
        (surrogate_risk([0.0, 6.0], [0.5, 0.5], 2, 1), 4.5),
        (surrogate_risk([6.0, 0.0], [0.5, 0.5], 3, 2), 33 / 8),
        (surrogate_risk([6.0, 0.0], [0.25, 0.75], 3, 3), 1.5),
    ],
    "surrogate_fluctuation": [  # each of the three numbers of samples is the largest once
        (surrogate_fluctuation(Design(16, 4, 3), 3.0, FAILURE), 1.0),
        (surrogate_fluctuation(Design(400, 200, 20), 3.0, FAILURE), 3 * sqrt(0.1)),
        (surrogate_fluctuation(Design(33, 8, 1), 3.0, FAILURE), 1.5),
    ],
    "surrogate_deviation": [
        (
            surrogate_deviation(Design(16, 8, 1), 0.25, 3.0, FAILURE),
            {"expected": 10.0, "risk_above": 6.0, "surrogate_above": 3 * sqrt(2)},
        ),
        (
            surrogate_deviation(Design(16, 4, 2), 0.25, 3.0, FAILURE),
            {"expected": 2.5, "risk_above": 1.5, "surrogate_above": 1.5},
        ),
    ],
    "sandwich_width": [
        (sandwich_width(Design(5, 3, 2)), sqrt(1 / 12) / 2),
        (sandwich_width(Design(1, 1, 1)), 0.0),
    ],
    "cvar_sandwich": [
        (
            cvar_sandwich([0.0, 10.0, 6.0, 1.0, 3.0], Design(5, 3, 2)),
            {"mean": 4.0, "surrogate": 5.7, "cvar": 5.8, "width": 5 * sqrt(1 / 12)},
        )
    ],
    "staleness_factor": [
        (staleness_factor(DESIGN, 3), 3.0),
        (staleness_factor(DESIGN, 3, 1.0), sqrt(5)),
        (staleness_factor(DESIGN, 0), 1.0),
    ],
    "stale_rate": [
        (stale_rate(DESIGN, D, G, 4, 3), {"factor": 3.0, "step_size": 1 / 9, "value": 9.0})
    ],
    "round_robin": [
        (round_robin(DESIGN, 2), {"max_age": 1, "mean_age": 1 / 3, "factor": sqrt(7 / 3)}),
        (round_robin(DESIGN, 1), {"max_age": 2, "mean_age": 1.0, "factor": sqrt(5)}),
        (round_robin(DESIGN, 3), {"max_age": 0, "mean_age": 0.0, "factor": 1.0}),
    ],
    "score_error_bound": [(score_error_bound([1.0, 0.0, 5.0], REFERENCE, DESIGN), 4 / 3)],
    "gap": [
        (
            gap(REFERENCE, DESIGN),
            {
                "value": 2.0,
                "chi": sqrt(2 / 3),
                "std": sqrt(8),
                "total_variation": 1 / 3,
                "range": 6.0,
                "chi_std": sqrt(16 / 3),
                "tv_range": 2.0,
            },
        )
    ],
    "transfer_bound": [
        (
            transfer_bound(REFERENCE, DESIGN, 0.25, FOUND),
            {
                "reference": 2.0,
                "found_gap": 1.0,
                "optimization_error": 0.25,
                "ratio": 2.0,
                "value": 3.25,
                "tv_range": 3.25,
                "chi_std": 1.25 + sqrt(16 / 3),
                "nonnegative": 3.25,
            },
        ),
        (transfer_bound([1.0, 1.0, 1.0], DESIGN), {"value": 1.0, "nonnegative": 2.0}),
    ],
    "printed_bound": [
        (
            printed_bound(DESIGN, 0.25, [REFERENCE, FOUND]),
            {
                "spectrum_deviation": 1.0,
                "finite_population_factor": 0.5,
                "largest_loss_inf": 3.0,
                "largest_loss_sup": 6.0,
                "gap_inf": 1.0,
                "wasserstein_term": 1.5 * sqrt(2),
                "value": 1.5 * sqrt(2) - 0.75,
            },
        )
    ],
    "corrected_bound": [
        (
            corrected_bound(DESIGN, 0.25, PREDICTORS, 2 * FAILURE, [REFERENCE, FOUND], REFERENCE),
            {
                "rademacher": SAMPLING[0],
                "fluctuation": SAMPLING[1],
                "gap_inf": 1.0,
                "reference_gap": 2.0,
                "risk_above_surrogate": sum(SAMPLING) - 1,
                "excess_risk": 2.25 + SAMPLING[0] + 2 * SAMPLING[1],
            },
        ),
        (
            corrected_bound(DESIGN, 0.25, PREDICTORS, 2 * FAILURE),
            {"gap_inf": 0.0, "reference_gap": 5 / 3},
        ),
    ],
    # Weights 1 and 0 for the higher loss of two; both candidates of two are drawn.
    "error_bound_from_norms": [
        (error_bound_from_norms([2.0, 4.0], [1.0, 0.0], Design(2, 2, 1)), 9.0)
    ],
}


@pytest.mark.parametrize(
    ("found", "expected"), [pair for pairs in EXACT.values() for pair in pairs]
)
def test_every_number_of_a_bound_has_its_exact_value(found: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        found = {name: getattr(found, name) for name in expected}
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_no_bound_is_left_out() -> None:
    """Names that say bound, deviation, width, factor, rate, penalty, step size, …"""
    words = ("bound", "deviation", "width", "factor", "rate", "penalty", "step_size", "fluctuation")
    words += ("sensitivity", "risk", "sandwich", "gap", "chi", "variation", "sample_size", "robin")
    public = {
        name
        for name in orderdp_theory.__all__
        if name[0].islower() and any(name.endswith(word) for word in words)
    }
    assert public == EXACT.keys() - {"error_bound_from_norms"}


def test_the_uniform_deviation_of_predictors() -> None:
    assert PREDICTORS.uniform_deviation(3, FAILURE) == pytest.approx(sum(SAMPLING), rel=1e-12)


def test_every_promise_has_its_exact_value() -> None:
    run = MeasuredRun(
        design=DESIGN,
        step_sizes=ETA,
        losses=FOUND,
        loss_range=5.0,
        lipschitz=G,
        minibatches=K,
        max_age=TAU,
        shortfalls=[0.1, 0.2],
        convex=True,
        plain=True,
        distance=D,
        diameter=4.0,
        averaged=True,
        weak_convexity=2.0,
        rademacher=0.25,
        reference_losses=REFERENCE,
        initial_losses=REFERENCE,
        nonnegative=True,
        failure=FAILURE,
    )
    expected = {
        "sandwich": (0.75, 3.0),
        "convergence, scores by age": (BY_AGE, 5.0),
        "convergence, scores by error": (BY_ERROR, 5.0),
        "convergence, this run": (BY_AGE + 16 * sqrt(1.25), 5.0),
        "weakly convex": (32 / 9 + 82.5 + 16 / 15, 9.0),
        "transfer": (1 + BY_ERROR, 5.0),
        "generalization of L_q, one point": (5.0, 5.0),
        "generalization of L_q, uniform": (1 + 10 / sqrt(3) + 5 * sqrt(4 / 3), 5.0),
        "stability": (3 * STABILITY, 5.0),
        "end to end": (BY_AGE + 3 * STABILITY + 1, 5.0),
    }
    found = {g.theorem: (g.value, g.trivial) for g in promises(run)}
    assert found.keys() == expected.keys()
    for theorem, numbers in expected.items():
        assert found[theorem] == pytest.approx(numbers, rel=1e-12), theorem
    assert np.isfinite([value for value, _ in expected.values()]).all()


def test_the_constants_of_a_promise() -> None:
    run = MeasuredRun(Design(4, 3, 2), [0.5], [0.0, 0.0, 0.0, 1.0], loss_range=1.0, lipschitz=1.0)
    found = {g.theorem: g.constants for g in promises(run)}
    assert found["generalization of L_q, one point"] == {"b": 1.0, "s/q": 1.5}
