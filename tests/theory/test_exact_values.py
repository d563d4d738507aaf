"""One exact value for bounds and orders that "truth <= bound" alone would let grow."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

import orderdp_theory.ball as ball
from orderdp_theory import (
    CorrectedBound,
    Design,
    LinearPredictors,
    Ranking,
    chi,
    corrected_bound,
    error_bound_from_norms,
    estimator_covariance_trace,
    estimator_mean,
    inclusion_probabilities_ball,
    inclusion_probabilities_exact,
    limit_gamma,
    martingale_deviation,
    printed_bound,
    surrogate_fluctuation,
    surrogate_weights,
    total_variation,
    transfer_bound,
)


def test_the_gap_lowers_the_bound_on_the_risk_above_the_surrogate():
    bound = CorrectedBound(1.0, 2.0, 0.5, 4.0, 8.0)
    assert bound.risk_above_surrogate == 2.5
    assert bound.excess_risk == 17.0


def test_the_error_enters_every_form_of_the_transfer():
    losses, design = [0.0, 0.0, 6.0], Design(3, 2, 1)  # weights 2/3, 1/3, 0
    found = transfer_bound(losses, design, 0.5)
    assert found.value == pytest.approx(2 + 2 + 0.5)
    assert found.tv_range == pytest.approx(2 + 6 * total_variation(design) + 0.5)
    assert found.chi_std == pytest.approx(2 + chi(design) * 8**0.5 + 0.5)
    assert found.nonnegative == pytest.approx(2 * 2 + 0.5)


@pytest.mark.parametrize("design", [Design(4, 3, 2), Design(5, 4, 3), Design(4, 2, 2)])
def test_the_bound_from_norms_is_the_sum_of_absolute_coefficients(design):
    n, q = design.n, design.q
    norms = np.arange(1.0, n + 1)
    losses = np.arange(n, 0.0, -1.0)  # sample i has rank i + 1
    draws = [c[:q] for c in itertools.combinations(range(n), design.s)]
    second = np.zeros((n, n))
    for kept in draws:
        weights = np.zeros(n)
        weights[list(kept)] = 1 / q
        second += np.outer(weights - 1 / n, weights - 1 / n) / len(draws)
    expected = norms @ np.abs(second) @ norms
    assert error_bound_from_norms(norms, losses, design) == pytest.approx(expected, rel=1e-12)


def test_neighbours_in_either_precision_are_told_apart():
    for kind in (np.float32, np.float64):
        above = np.nextafter(kind(1), kind(2))
        below = np.nextafter(kind(1), kind(0))
        values = np.array([1, above, below, -1, -above, -below, 0.0, -0.0], dtype=kind)
        for losses in (values, values.astype(np.float64)):
            ranking = Ranking.of(losses)
            assert ranking.order[:3].tolist() == [1, 0, 2]
            assert ranking.order[5:].tolist() == [5, 3, 4]
            assert np.diff(ranking.starts).tolist() == [1, 1, 1, 2, 1, 1, 1]
    assert Ranking.of([1.0, 1 + 2**-40]).order.tolist() == [1, 0]


@pytest.mark.parametrize("kind", [np.uint32, np.uint64, np.int64])
def test_integers_beyond_single_precision_are_told_apart(kind):
    losses = np.array([2**24, 2**24 + 1, 2**24 - 1], dtype=kind)
    assert surrogate_weights(losses, Design(3, 3, 1)).tolist() == [0.0, 1.0, 0.0]


def test_what_the_ball_leaves_out_is_within_its_enclosures(monkeypatch):
    design = Design(60, 30, 12)
    whole = ball.window

    def late(design, **bits):
        first, last = whole(design, **bits)
        return first + 4, last

    monkeypatch.setattr(ball, "window", late)
    enclosures = inclusion_probabilities_ball(design, 64)
    exact = inclusion_probabilities_exact(design)
    first = whole(design, bits_before=68)[0] + 4
    assert first > design.q + 1
    left_out = sum(exact[design.q - 1 : first - 1], Fraction(0)) - (first - design.q) * exact[first]
    assert left_out > 0
    for enclosure, value in zip(enclosures, exact, strict=True):
        assert enclosure.contains(ball.arb(value.numerator) / value.denominator)
    # Not wider than ten times what was left out, relative to the largest.
    widest = max(float(e.rad()) for e in enclosures)
    assert 0 < widest < 1e-2


@pytest.mark.parametrize(
    "call",
    [
        lambda: Design.from_ratios(10, 0.0),
        lambda: Design.from_ratios(10, -0.5),
        lambda: Design.from_ratios(10, 0.5, 0.0),
        lambda: limit_gamma(0.5, 3, 0),
        lambda: limit_gamma(0.5, 3, 4),
        lambda: limit_gamma(-0.1, 3, 1),
        lambda: martingale_deviation(1.0, [1.0], 0.0),
        lambda: surrogate_fluctuation(Design(3, 2, 1), 1.0, 0.0),
        lambda: LinearPredictors(1, 1, 1).fluctuation_term(3, 0.0),
        lambda: corrected_bound(Design(3, 2, 1), 0.0, LinearPredictors(1, 1, 1), 0.0),
        lambda: printed_bound(Design(3, 2, 1), 0.0, [1.0, np.nan, 2.0]),
        lambda: printed_bound(Design(3, 2, 1), 0.0, [1.0, np.inf, 2.0]),
        lambda: estimator_mean(np.ones((2, 3)), [1, 2, 3], Design(3, 2, 1)),
        lambda: estimator_mean(np.ones(3), [1, 2, 3], Design(3, 2, 1)),
        lambda: estimator_covariance_trace(np.ones((4, 1)), [1, 2, 3], Design(3, 2, 1)),
    ],
)
def test_what_no_function_takes_is_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()
