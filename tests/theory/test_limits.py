"""Limits against the printed sum in high precision, and the rate at which they are reached."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import Design, cvar, inclusion_probabilities, limit_gamma, surrogate_loss
from tests.strategies import losses


def printed_limit(z: float, s: int, q: int) -> mpmath.mpf:
    with mpmath.workdps(60):
        z = mpmath.mpf(z)
        return mpmath.fsum(
            mpmath.binomial(s - 1, position - 1)
            * s
            * z ** (position - 1)
            * (1 - z) ** (s - position)
            for position in range(1, q + 1)
        )


@given(st.data(), st.integers(1, 60))
@settings(max_examples=60)
def test_equals_the_printed_sum_in_the_tail_too(data: st.DataObject, s: int) -> None:
    q = data.draw(st.integers(1, s))
    z = data.draw(st.lists(st.floats(0, 0.999), min_size=1, max_size=5))
    for found, x in zip(limit_gamma(z, s, q), z, strict=True):
        assert found == pytest.approx(float(printed_limit(x, s, q)), rel=1e-11, abs=1e-290)


def test_shapes_and_edges() -> None:
    assert limit_gamma(0.5, 4, 4).shape == ()
    assert np.all(limit_gamma(np.zeros((2, 3)), 5, 2) == 5)
    assert limit_gamma([0.0, 1.0], 5, 2).tolist() == [5, 0]
    assert limit_gamma([0.0, 0.3, 1.0], 5, 5).tolist() == [5, 5, 5]


def test_error_of_the_limit_is_of_order_one_over_n() -> None:
    errors = []
    for n in (1000, 10_000, 100_000):
        gap = n * inclusion_probabilities(Design(n, 100, 30)) - limit_gamma(
            np.arange(1, n + 1) / n, 100, 30
        )
        errors.append(np.abs(gap).max() * n)
    assert max(errors) < 1.2 * min(errors)


@pytest.mark.parametrize("z", [-0.1, 1.1, np.nan, [0.5, np.inf]])
def test_only_the_unit_interval(z: float) -> None:
    with pytest.raises(ValueError, match="z must lie in"):
        limit_gamma(z, 5, 2)


@given(losses(12), st.sampled_from([1 / 12, 0.25, 0.5, 1.0]))
def test_cvar_is_the_mean_of_the_worst(vector: np.ndarray, beta: float) -> None:
    worst = np.sort(vector)[::-1][: round(12 * beta)]
    scale = np.abs(vector).max()
    assert cvar(vector, beta) == pytest.approx(worst.mean(), rel=1e-12, abs=1e-12 * scale)


def test_cvar_counts_the_last_loss_in_part() -> None:
    assert cvar([1.0, 4.0, 2.0], 0.5) == pytest.approx((4 + 0.5 * 2) / 1.5)


def test_surrogate_loss_tends_to_cvar() -> None:
    """The transition of gamma is about sqrt(n) ranks wide, so the error falls like 1/n."""
    errors = []
    for n in (1000, 10_000, 100_000):
        vector = -np.log((np.arange(n) + 0.5) / n)
        design = Design(n, n // 2, 3 * n // 10)
        errors.append(abs(surrogate_loss(vector, design) - cvar(vector, 0.6)) * n)
    assert max(errors) < 1.2 * min(errors)


@pytest.mark.parametrize("beta", [0, -0.5, 1.01, float("nan")])
def test_cvar_needs_a_fraction(beta: float) -> None:
    with pytest.raises(ValueError, match=r"beta must (lie in|be finite)"):
        cvar([1.0], beta)
