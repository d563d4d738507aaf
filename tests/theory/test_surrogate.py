"""The surrogate loss and its weights against the mean over all draws and tie breaks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import Design, Ranking, surrogate_loss, surrogate_weights
from tests.oracles import estimator_values
from tests.strategies import designs, losses

cases = designs(6).flatmap(lambda design: st.tuples(st.just(design), losses(design.n)))


@given(cases)
@settings(max_examples=60)
def test_weights_are_the_expected_shares(case: tuple[Design, np.ndarray]) -> None:
    """With unit vectors for gradients, the estimator's mean is the vector of weights."""
    design, vector = case
    expected = estimator_values(np.eye(design.n), vector.tolist(), design).mean(axis=0)
    np.testing.assert_allclose(surrogate_weights(vector, design), expected, rtol=1e-11, atol=1e-15)


@given(cases, st.randoms(use_true_random=False))
def test_permuting_losses_permutes_weights(case: tuple[Design, np.ndarray], random) -> None:
    design, vector = case
    permutation = random.sample(range(design.n), design.n)
    np.testing.assert_array_equal(
        surrogate_weights(vector[permutation], design),
        surrogate_weights(vector, design)[permutation],
    )


@given(cases)
def test_loss_is_the_weighted_sum_and_at_least_the_mean(case: tuple[Design, np.ndarray]) -> None:
    """Math: Chebyshev's sum inequality, both sequences being sorted alike."""
    design, vector = case
    scale = np.abs(vector).max()
    loss = surrogate_loss(vector, design)
    assert loss / 2 >= (vector / 2).mean() - 1e-12 * scale
    assert loss <= vector.max() + 1e-12 * scale


def test_float32_losses_and_shared_ranking() -> None:
    rng = np.random.default_rng(3)
    vector = rng.standard_normal(1000).astype(np.float32)
    design = Design.from_ratios(1000)
    weights = surrogate_weights(Ranking.of(vector), design)
    np.testing.assert_array_equal(weights, surrogate_weights(vector, design))
    assert weights.dtype == np.float64
    assert weights.sum() == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize(
    ("vector", "message"),
    [([1.0, 2.0], "expected n=3"), ([1.0, np.nan, 0.0], r"losses\[1\] is nan")],
)
def test_wrong_losses(vector: list[float], message: str) -> None:
    for function in (surrogate_weights, surrogate_loss):
        with pytest.raises(ValueError, match=message):
            function(vector, Design(3, 2, 1))
