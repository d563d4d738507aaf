"""Exact moments of the estimator against all draws and tie breaks, and against plain formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import (
    Design,
    Ranking,
    estimator_covariance_trace,
    estimator_mean,
    inclusion_probabilities,
    joint_inclusion_probabilities,
)
from orderdp_theory.estimator import _centre
from tests.oracles import estimator_values
from tests.strategies import designs, losses

cases = designs(6).flatmap(lambda design: st.tuples(st.just(design), losses(design.n)))


def plain_trace(gradients: np.ndarray, order: np.ndarray, design: Design) -> float:
    """The O(n^2) double sum over pairs of ranks, centred at the exact mean, without ties."""
    gamma = inclusion_probabilities(design)
    pi = np.tril(
        np.broadcast_to(joint_inclusion_probabilities(design)[:, None], (design.n,) * 2), -1
    )
    second = pi + pi.T + np.diag(gamma)
    g = gradients[order].astype(np.float64)
    g = g - gamma @ g / design.q
    return float(np.sum(second * (g @ g.T))) / design.q**2


@given(cases, st.sampled_from([np.float32, np.float64]), st.sampled_from([0.0, 1e4]))
@settings(max_examples=80, deadline=None)
def test_moments_equal_enumeration(
    case: tuple[Design, np.ndarray], dtype: type, offset: float
) -> None:
    design, vector = case
    rng = np.random.default_rng(design.n)
    gradients = (rng.standard_normal((design.n, 3)) + offset).astype(dtype)
    values = estimator_values(gradients.astype(np.float64), vector.tolist(), design)
    mean = values.mean(axis=0)
    np.testing.assert_allclose(
        estimator_mean(gradients, vector, design), mean, rtol=1e-12, atol=1e-12
    )
    trace = np.square(values - mean).sum(axis=1).mean()
    found = estimator_covariance_trace(gradients, vector, design)
    assert found == pytest.approx(trace, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(
    "design",
    [Design(700, 350, 210), Design(700, 20, 3), Design(700, 699, 5), Design(700, 90, 90)],
    ids=str,
)
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_trace_equals_the_sum_over_pairs(design: Design, offset: float) -> None:
    """Several blocks, constant and varying weights; a common offset costs no accuracy."""
    rng = np.random.default_rng(5)
    gradients = np.round(rng.standard_normal((700, 40)), 3) + offset
    ranking = Ranking.of(rng.standard_normal(700))
    expected = plain_trace(gradients - offset, ranking.order, design)
    assert estimator_covariance_trace(gradients, ranking, design) == pytest.approx(
        expected, rel=1e-8
    )


def test_ties_of_any_extent() -> None:
    """Groups inside a block, across blocks and of all samples: the mean over random tie breaks
    of the second moment minus the square of the exact mean."""
    design = Design(400, 100, 40)
    rng = np.random.default_rng(6)
    gradients = rng.standard_normal((400, 5))
    for levels in (150, 3, 1):
        vector = rng.integers(0, levels, 400).astype(float)
        mean = estimator_mean(gradients, vector, design)
        traces, means = [], []
        for _ in range(400):
            broken = Ranking.of(vector + rng.uniform(0, 0.5, 400))
            traces.append(estimator_covariance_trace(gradients, broken, design))
            means.append(estimator_mean(gradients, broken, design))
        # Law of total variance over the tie breaks; 5 standard errors, about 6e-7 false alarms.
        spread = np.square(np.array(means) - mean).sum(axis=1)
        samples = np.array(traces) + spread
        found = estimator_covariance_trace(gradients, vector, design)
        assert abs(samples.mean() - found) <= 5 * samples.std() / 20 + 1e-12
        # The trace that ignores random tie breaks is told apart wherever ties matter.
        if levels < 150:
            assert abs(np.mean(traces) - found) > 5 * np.std(traces) / 20


def test_nothing_varies() -> None:
    gradients = np.random.default_rng(7).standard_normal((50, 4))
    assert estimator_covariance_trace(gradients, np.arange(50), Design(50, 50, 20)) < 1e-15
    assert estimator_covariance_trace(np.ones((50, 4)), np.arange(50), Design(50, 20, 3)) == 0
    assert estimator_covariance_trace(np.ones((1, 4)), [2.0], Design(1, 1, 1)) == 0
    assert estimator_covariance_trace(np.ones((3, 0)), [2.0, 1.0, 0.0], Design(3, 2, 1)) == 0


@pytest.mark.parametrize("shape", [(4, 2), (3,), (3, 2, 2)])
def test_wrong_shapes(shape: tuple[int, ...]) -> None:
    for function in (estimator_mean, estimator_covariance_trace):
        with pytest.raises(ValueError, match=r"gradients must have shape \(n=3, d\)"):
            function(np.ones(shape), np.arange(3), Design(3, 2, 1))
        with pytest.raises(ValueError, match="expected n=3 losses"):
            function(np.ones((3, 2)), np.arange(4), Design(3, 2, 1))


def test_the_centre_is_the_mean_of_a_few_rows_if_that_is_far_from_zero() -> None:
    """1,000 rows: of every fourth, whose mean errs by 1/16 of a standard deviation."""
    noise = np.random.default_rng(0).normal(size=(1000, 3))
    assert np.array_equal(_centre(noise + 5), (noise + 5)[::4].mean(0))
    assert np.array_equal(_centre(noise), np.zeros(3))
