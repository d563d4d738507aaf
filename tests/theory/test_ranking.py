"""Rankings: order, ties, and the way back to input order."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderdp_theory import Ranking
from tests.strategies import losses

vectors = st.integers(1, 30).flatmap(losses)


@given(vectors)
def test_descending_with_groups_of_ties(vector: np.ndarray) -> None:
    ranking = Ranking.of(vector)
    assert sorted(ranking.order) == list(range(vector.size))
    groups = [vector[ranking.order[a:b]] for a, b in pairwise(ranking.starts)]
    assert all(group.size and np.all(group == group[0]) for group in groups)
    values = [group[0] for group in groups]
    assert all(a > b for a, b in pairwise(values))


@given(vectors)
def test_averages_and_returns_to_input_order(vector: np.ndarray) -> None:
    ranking = Ranking.of(vector)
    per_rank = np.random.default_rng(vector.size).random(vector.size)
    found = ranking.to_input_order(ranking.average_ties(per_rank))
    ranks = ranking.to_input_order(np.arange(vector.size))
    for i, loss in enumerate(vector):
        assert found[i] == pytest.approx(per_rank[ranks[vector == loss]].mean(), rel=1e-14)


def test_equal_values_survive_averaging_exactly() -> None:
    ranking = Ranking.of(np.zeros(1001))
    assert np.all(ranking.average_ties(np.full(1001, 0.1)) == 0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, bool])
def test_any_real_dtype(dtype: type) -> None:
    vector = np.array([0, 1, 1, 0], dtype=dtype)
    assert set(Ranking.of(vector).order[:2]) == {1, 2}


def test_single_precision_ranks_as_double_does() -> None:
    """Losses that float32 holds go another way; one that it does not sends all the other way."""
    generator = np.random.default_rng(5)
    single = generator.normal(size=1000).astype(np.float32).round(2)
    single[:6] = [0.0, -0.0, 1e-45, -1e-45, 3e38, -3e38]
    double = np.append(single, [0.1])
    first, second = Ranking.of(single), Ranking.of(double)
    values = double[second.order]
    assert np.array_equal(single[first.order], values[values != 0.1].astype(np.float32))
    assert np.array_equal(np.diff(first.starts), np.unique(single, return_counts=True)[1][::-1])
    assert np.array_equal(np.diff(second.starts), np.unique(double, return_counts=True)[1][::-1])


def test_a_ranking_is_passed_through() -> None:
    ranking = Ranking.of([3.0, 1.0])
    assert Ranking.of(ranking, 2) is ranking


@pytest.mark.parametrize(
    ("vector", "error", "message"),
    [
        ([[1.0]], ValueError, r"one-dimensional, got shape \(1, 1\)"),
        (1.0, ValueError, r"one-dimensional, got shape \(\)"),
        ([], ValueError, "must not be empty"),
        ([0.0, 1.0, np.nan, np.inf], ValueError, r"losses\[2\] is nan"),
        ([0.0, -np.inf], ValueError, r"losses\[1\] is -inf"),
        ([1j], TypeError, "real numbers"),
        (["a"], TypeError, "real numbers"),
    ],
)
def test_wrong_losses(vector: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Ranking.of(vector)  # pyright: ignore[reportArgumentType]


def test_wrong_length() -> None:
    with pytest.raises(ValueError, match="expected n=3 losses, one for each sample, got 2"):
        Ranking.of([1.0, 2.0], 3)
