"""Rankings: order, ties, and the way back to input order."""

import inspect
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from orderdp_theory import Ranking
from tests.shapes import checked
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
    ranks = ranking.to_input_order(np.arange(vector.size, dtype=float)).astype(int)
    for i, loss in enumerate(vector):
        assert found[i] == pytest.approx(per_rank[ranks[vector == loss]].mean(), rel=1e-14)


@given(vectors)
def test_pairs_of_tied_ranks_by_their_list(vector: np.ndarray) -> None:
    """Coefficients of pairs and matrices are averaged alike: what the one does, the other undoes.

    Every value is a sum of at most n^2 products below 1 by n^2, so its error is below 4 n eps.
    """
    ranking = Ranking.of(vector)
    n = vector.size
    earlier, later = np.random.default_rng(n).random((2, n))
    coefficients = np.triu(np.outer(earlier, later), 1)
    means = {name: ranking.average_ties(x) for name, x in (("j", earlier), ("k", later))}
    excess = ranking.pair_excess(later, earlier)
    assert np.array_equal(ranking.pair_excess(later), ranking.pair_excess(later, np.ones(n)))
    by_sample = np.empty((n, n))
    by_sample[np.ix_(ranking.order, ranking.order)] = coefficients + coefficients.T
    distinct, independent = ranking.average_matrix(by_sample)
    tolerance = 4 * n * np.finfo(float).eps
    for group, (a, b) in enumerate(pairwise(ranking.starts)):
        pairs = [earlier[j] * later[k] for j in range(a, b) for k in range(j + 1, b)]
        product = means["j"][a] * means["k"][a]
        expected = np.mean(pairs) - product if pairs else 0.0
        assert excess[group] == pytest.approx(expected, abs=tolerance)
        if pairs:
            assert distinct[a, a + 1] == pytest.approx(np.mean(pairs), abs=tolerance)
            assert independent[a, a] == pytest.approx(
                2 * np.sum(pairs) / (b - a) ** 2, abs=tolerance
            )
        assert np.array_equal(ranking.group_of_rank()[a:b], np.full(b - a, group))
        assert np.array_equal(ranking.group(group), ranking.order[a:b])
        if a:
            assert distinct[0, a] == pytest.approx(means["j"][0] * means["k"][a], abs=tolerance)


def test_constant_pairs_have_no_excess() -> None:
    ranking = Ranking.of(np.zeros(1001))
    assert ranking.pair_excess(np.full(1001, 0.1)) == 0
    assert ranking.pair_excess(np.full(1001, 0.1), np.full(1001, 0.3)) == 0


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


def test_a_wrong_shape_is_caught_where_it_enters_and_where_it_leaves() -> None:
    """What the tests check of every signature; without the check both would go unnoticed."""
    ranking = Ranking.of([3.0, 2.0, 1.0])
    # As at their first call: of later ones, in whatever test, only a part is checked.
    average_ties = checked(inspect.unwrap(Ranking.average_ties))
    group_of_rank = checked(inspect.unwrap(Ranking.group_of_rank))
    with pytest.raises(TypeCheckError, match="per_rank"):
        average_ties(ranking, np.ones(4))
    with pytest.raises(TypeCheckError, match="per_rank"):
        average_ties(ranking, np.ones(3, dtype=np.float32))
    with pytest.raises(TypeCheckError, match="return value"):
        group_of_rank(Ranking(ranking.order, np.array([0, 1, 2])))
