"""Subsets against their definitions, the optimum over all subsets, and what must not matter."""

from itertools import combinations
from math import e

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from orderdp_train.scores import (
    class_budgets,
    contextual_diversity,
    craig,
    dataset_pruning,
    herding,
    k_center,
)
from tests.scores.oracles import (
    EPS,
    covering_gain,
    distribution_sets,
    diversity_gain,
    facility_location,
    feature_sets,
    generator,
    herding_gain,
    pairwise,
    radius,
    regrets,
)


def gaussian(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


METHODS = {
    "herding": lambda x, k, classes=None: herding(x, k, classes=classes),
    "k_center": lambda x, k, classes=None: k_center(x, k, generator(), classes=classes),
    "contextual_diversity": lambda x, k, classes=None: contextual_diversity(
        torch.as_tensor(x).double().softmax(1), k, generator(), classes=classes
    ),
    "craig": lambda x, k, classes=None: craig(x, k, classes=classes)[0],
    "dataset_pruning": lambda x, k, classes=None: dataset_pruning(
        x, k, generator(), classes=classes, sweeps=5
    ),
}


@given(feature_sets(), st.data())
def test_every_method_keeps_k_different_samples_also_of_degenerate_data(x, data):
    k = data.draw(st.integers(1, len(x)))
    x = x / max(1.0, np.abs(x).max())
    for method in METHODS.values():
        kept = method(x, k).tolist()
        assert len(kept) == len(set(kept)) == k
        assert set(kept) <= set(range(len(x)))


@pytest.mark.parametrize("name", METHODS)
def test_classes_are_selected_from_by_themselves(name):
    x = gaussian(60, 3)
    labels = np.random.default_rng(1).choice([3, 5, 9], size=60, p=[0.6, 0.3, 0.1])
    kept = METHODS[name](x, 20, labels).numpy()
    present, budgets = class_budgets(labels, 20)
    counts = [(labels[kept] == label).sum() for label in present.tolist()]
    assert counts == budgets.tolist()
    if name in ("herding", "craig"):
        for label, budget in zip(present.tolist(), budgets.tolist(), strict=True):
            rows = np.flatnonzero(labels == label)
            assert (
                kept[labels[kept] == label].tolist()
                == rows[METHODS[name](x[rows], budget)].tolist()
            )


@pytest.mark.parametrize("name", METHODS)
def test_arrays_and_tensors_of_both_precisions_mean_the_same(name):
    x = gaussian(40, 3).astype(np.float32)
    kept = METHODS[name](x, 10)
    assert torch.equal(kept, METHODS[name](torch.from_numpy(x), 10))
    assert torch.equal(kept, METHODS[name](x.astype(np.float64), 10))


@pytest.mark.parametrize("name", ["herding", "k_center", "contextual_diversity", "craig"])
def test_the_order_of_samples_does_not_matter(name):
    x = gaussian(100, 4)
    kept = METHODS[name](x, 10)
    order = np.random.default_rng(2).permutation(100)
    first = int(kept[0])  # the traversals draw it: leave it at its place
    here = int(np.flatnonzero(order == first)[0])
    order[[here, first]] = order[[first, here]]
    assert order[METHODS[name](x[order], 10)].tolist() == kept.tolist()


@pytest.mark.parametrize("name", ["herding", "k_center", "craig"])
def test_translation_does_not_matter(name):
    x = gaussian(80, 4)
    assert torch.equal(METHODS[name](x, 15), METHODS[name](x + 1000, 15))


@pytest.mark.parametrize("name", ["herding", "k_center", "craig"])
@pytest.mark.parametrize("exponent", [-990, 1000])
def test_scale_does_not_matter_where_squares_would_overflow(name, exponent):
    x = gaussian(80, 4)
    assert torch.equal(METHODS[name](x, 15), METHODS[name](np.ldexp(x, exponent), 15))


@given(feature_sets(max_n=12), st.data())
def test_herding_is_greedy(x, data):
    k = data.draw(st.integers(1, len(x)))
    chosen = herding(x, k).tolist()
    # A criterion of up to (k R)^2 from sums of k terms and products of d.
    tolerance = 8 * (k + x.shape[1] + 4) * EPS * (k * _spread(x)) ** 2
    assert max(regrets(herding_gain(x), chosen, len(x))) <= tolerance


def test_herding_is_greedy_at_200():
    x = gaussian(200, 5)
    assert max(regrets(herding_gain(x), herding(x, 60).tolist(), 200)) <= 1e-10


def test_the_first_herded_sample_is_the_best_single_one():
    x = gaussian(10, 3)
    best = min(range(10), key=lambda i: np.linalg.norm(x[i] - x.mean(0)))
    assert herding(x, 1).tolist() == [best]


def test_herding_beats_random_by_far():
    """Mean of 100 of 2000 Gaussian samples: ten times nearer than the nearest of 20 random sets."""
    x = gaussian(2000, 10)
    draws = np.random.default_rng(1)

    def error(kept):
        return np.linalg.norm(x[kept].mean(0) - x.mean(0))

    random = min(error(draws.choice(2000, 100, replace=False)) for _ in range(20))
    assert 10 * error(herding(x, 100).numpy()) < random


@given(feature_sets(max_n=12), st.data())
def test_k_center_is_greedy(x, data):
    k = data.draw(st.integers(1, len(x)))
    chosen = k_center(x, k, generator()).tolist()
    if k > 1:
        # Squared distances from inner products of vectors within R, of d terms.
        tolerance = 16 * (x.shape[1] + 4) * EPS * _spread(x) ** 2
        assert max(regrets(covering_gain(x), chosen, len(x), start=1)) <= tolerance


def test_k_center_is_greedy_at_200():
    x = gaussian(200, 5)
    chosen = k_center(x, 60, generator()).tolist()
    assert max(regrets(covering_gain(x), chosen, 200, start=1)) <= 1e-12


@pytest.mark.parametrize("seed", range(20))
def test_k_center_is_within_twice_the_least_radius(seed):
    x = gaussian(9, 2, seed)
    distances = pairwise(x)

    def covering_radius(kept):
        return distances[:, list(kept)].min(1).max()

    least = min(covering_radius(kept) for kept in combinations(range(9), 3))
    assert least <= covering_radius(k_center(x, 3, generator(seed)).tolist()) <= 2 * least


def test_k_center_starts_anywhere():
    """400 first samples of 8: each 50 times, standard deviation 6.6; 45 is 6.8 deviations."""
    x, draws = gaussian(8, 2), generator()
    first = [int(k_center(x, 1, draws)) for _ in range(400)]
    assert np.abs(np.bincount(first, minlength=8) - 50).max() < 45
    assert np.abs(np.array([400] + [0] * 7) - 50).max() >= 45


def test_k_center_takes_duplicates_last():
    x = gaussian(10, 3)
    kept = k_center(np.concatenate([x, x]), 12, generator()).numpy() % 10
    assert sorted(kept[:10]) == list(range(10))


@given(distribution_sets(), st.data())
def test_contextual_diversity_is_greedy_in_extended_reals(p, data):
    k = data.draw(st.integers(1, len(p)))
    chosen = contextual_diversity(p, k, generator()).tolist()
    if k > 1:
        assert max(regrets(diversity_gain(p), chosen, len(p), start=1)) <= 64 * EPS


def test_contextual_diversity_is_greedy_at_100():
    p = np.random.default_rng(0).dirichlet(np.ones(5) / 2, size=100)
    chosen = contextual_diversity(p, 30, generator()).tolist()
    assert max(regrets(diversity_gain(p), chosen, 100, start=1)) <= 1e-12


@given(feature_sets(), st.data())
def test_craig_is_greedy_and_near_the_optimum(x, data):
    n, k = len(x), data.draw(st.integers(1, len(x)))
    distances = pairwise(x)
    far = 2 * radius(x)
    kept, weights = craig(x, k)
    chosen = kept.tolist()
    # Each distance comes from a square with an error of some d eps R^2: sqrt of that at worst.
    tolerance = 4 * n * np.sqrt((x.shape[1] + 4) * EPS) * _spread(x)

    def value(subset):
        return facility_location(distances, subset, far)

    gains = regrets(lambda before, i: value([*before, i]) - value(before), chosen, n)
    assert max(gains) <= tolerance
    best = max(value(subset) for subset in combinations(range(n), k))
    assert value(chosen) >= (1 - 1 / e) * best - tolerance
    assert weights.sum() == n
    assert (weights >= 1).all()


def test_craig_is_greedy_at_200_and_weights_count_the_nearest():
    x = gaussian(200, 5)
    distances = pairwise(x)
    far = 2 * radius(x)
    kept, weights = craig(x, 50)
    chosen = kept.tolist()
    values = {t: facility_location(distances, chosen[:t], far) for t in range(51)}
    for t in range(50):
        # Two samples that gain nothing but each other tie, so the gain is compared.
        best = max(facility_location(distances, [*chosen[:t], j], far) for j in range(200))
        assert values[t + 1] >= best - 1e-10
    counts = np.bincount(distances[:, chosen].argmin(1), minlength=50)
    assert weights.tolist() == counts.tolist()


def test_craig_of_everything_weighs_each_sample_one():
    x = gaussian(30, 2)
    kept, weights = craig(x, 30)
    assert sorted(kept.tolist()) == list(range(30))
    assert weights.tolist() == [1.0] * 30


def test_craig_of_doubled_data_has_doubled_weights():
    x = gaussian(100, 3)
    kept, weights = craig(x, 10)
    twice, doubled = craig(np.concatenate([x, x]), 10)
    assert (twice % 100).tolist() == kept.tolist()
    assert doubled.tolist() == (2 * weights).tolist()


def test_craig_weights_sum_to_each_class():
    x = gaussian(101, 3)
    labels = np.arange(101) % 3
    kept, weights = craig(x, 17, classes=labels)
    assert weights.sum() == 101
    for label in range(3):
        assert weights[labels[kept] == label].sum() == (labels == label).sum()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("k", [1, 4, 8])
def test_dataset_pruning_reaches_the_optimum_of_few(seed, k):
    x = gaussian(9, 2, seed)
    kept = dataset_pruning(x, k, generator(seed), sweeps=300).tolist()

    def moved(stay):
        return np.linalg.norm(x.sum(0) - x[list(stay)].sum(0))

    least = min(moved(stay) for stay in combinations(range(9), k))
    np.testing.assert_allclose(moved(kept), least, rtol=1e-12)


@pytest.mark.parametrize(("d", "sets", "factor"), [(2, 100, 20), (20, 10_000, 2)])
def test_dataset_pruning_bounds_the_influence_far_below_random(d, sets, factor):
    """40 of 200 pruned: far below the least of many random prunings.

    In 2 dimensions a chain that visits many sets does it; in 20, where the random ones are as many
    as the swaps proposed, it takes the cooling.
    """
    x = gaussian(200, d)
    draws = np.random.default_rng(1)

    def moved(kept):
        return np.linalg.norm(x.sum(0) - x[kept].sum(0))

    random = min(moved(draws.choice(200, 160, replace=False)) for _ in range(sets))
    assert factor * moved(dataset_pruning(x, 160, generator()).numpy()) < random


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("k", [0, 5])
def test_budgets_outside_the_data_are_refused(name, k):
    with pytest.raises(ValueError, match=f"cannot keep {k} of 4"):
        METHODS[name](gaussian(4, 2), k)


@pytest.mark.parametrize("method", [herding, craig])
def test_features_must_be_a_finite_matrix(method):
    with pytest.raises(ValueError, match="row 1"):
        method(np.array([[0.0], [np.inf]]), 1)
    with pytest.raises(ValueError, match="shape"):
        method(np.zeros(3), 1)


def _spread(x: np.ndarray) -> float:
    """A length within which all samples are of their mean; twice as much covers its rounding."""
    return 2 * radius(x) + 4 * len(x) * EPS * float(np.abs(x).max())
