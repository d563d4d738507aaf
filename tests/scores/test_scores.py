"""Scores of single samples, and the one place where they become a subset."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy

from orderdp_train.scores import (
    class_budgets,
    el2n,
    entropy,
    forgetting,
    grand,
    k_means_prototypes,
    keep_top,
    least_confidence,
    margin,
)
from tests.scores.oracles import distribution_sets, generator

UNCERTAINTY = [least_confidence, entropy, margin]


@given(distribution_sets(), st.integers(1, 3), st.randoms(use_true_random=False))
def test_el2n_is_the_mean_length_of_the_error(p, networks, random):
    targets = [random.randrange(p.shape[1]) for _ in p]
    shuffled = [p[:, np.roll(np.arange(p.shape[1]), shift)] for shift in range(networks)]
    expected = [
        sum(math.dist(row[i], np.eye(p.shape[1])[y]) for row in shuffled) / networks
        for i, y in enumerate(targets)
    ]
    scores = el2n(np.stack(shuffled), np.array(targets))
    np.testing.assert_allclose(scores, expected, rtol=1e-14, atol=1e-15)


def test_el2n_of_one_network_takes_its_matrix():
    p = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    targets = torch.tensor([0, 0, 1])
    np.testing.assert_allclose(el2n(p, targets), [0, math.sqrt(2), math.sqrt(0.5)], rtol=1e-15)
    assert torch.equal(el2n(p, targets), el2n(p[None], targets))


def test_grand_is_the_mean_of_norms():
    assert grand(np.array([[1.0, 2.0], [3.0, 6.0]])).tolist() == [2.0, 4.0]
    assert grand(torch.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="negative"):
        grand(np.array([[-1.0]]))


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=8))
def test_forgetting_counts_falls_from_right_to_wrong(history):
    scores = forgetting(np.array(history)).tolist()
    for i, score in enumerate(scores):
        text = "".join("01"[row[i]] for row in history)
        assert score == (text.count("10") if "1" in text else math.inf)


@given(distribution_sets())
def test_uncertainty_by_definition(p):
    ordered = np.sort(p, axis=1)
    np.testing.assert_allclose(least_confidence(p), 1 - ordered[:, -1], atol=1e-16)
    np.testing.assert_allclose(margin(p), 1 - ordered[:, -1] + ordered[:, -2], atol=2e-16)
    np.testing.assert_allclose(entropy(p), scipy_entropy(p, axis=1), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("score", UNCERTAINTY)
def test_uncertainty_is_least_where_sure_and_most_where_even(score):
    p = torch.tensor([[1.0, 0, 0], [0.6, 0.3, 0.1], [1 / 3, 1 / 3, 1 / 3]])
    sure, some, even = score(p).tolist()
    assert sure == 0 < some < even


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_softmax_of_any_precision_is_a_distribution(dtype):
    logits = 5 * torch.randn(1000, 100, generator=generator())
    assert len(entropy(logits.to(dtype).softmax(1))) == 1000


@pytest.mark.parametrize("score", [*UNCERTAINTY, lambda p: el2n(p, np.zeros(len(p), int))])
def test_scores_follow_their_samples(score):
    p = torch.randn(50, 4, generator=generator()).softmax(1)
    order = torch.randperm(50, generator=generator())
    assert torch.equal(score(p)[order], score(p[order]))
    assert torch.equal(score(p), torch.cat([score(part) for part in p.split(7)]))
    assert torch.equal(score(torch.cat([p, p])), torch.cat([score(p), score(p)]))


def test_prototypes_are_distances_to_the_clusters():
    centres = torch.eye(3, 5, dtype=torch.float64)
    spread = torch.linspace(0.0, 0.5, 20, dtype=torch.float64)[:, None]
    features = torch.cat(
        [5 * (c + s * side) for c in centres for side in torch.eye(5)[3:] for s in spread]
    ).view(-1, 5)
    scores = k_means_prototypes(features, 3, generator())
    unit = (features / features.norm(dim=1, keepdim=True)).view(3, 40, 5)
    means = unit.mean(1)
    cosines = (unit * (means / means.norm(dim=1, keepdim=True))[:, None]).sum(2)
    np.testing.assert_allclose(scores, 1 - cosines.flatten(), atol=1e-14)
    # Samples move away from their prototype along each side.
    assert scores[:20].argmax() == 19
    np.testing.assert_allclose(k_means_prototypes(7 * features, 3, generator()), scores, atol=1e-13)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=30).flatmap(
        lambda labels: st.tuples(st.just(labels), st.integers(len(set(labels)), len(labels)))
    )
)
def test_class_budgets_are_hamiltons(case):
    labels, k = case
    n = len(labels)
    present, budgets = class_budgets(np.array(labels), k)
    sizes = {label: labels.count(label) for label in sorted(set(labels))}
    assert present.tolist() == list(sizes)
    shares = {label: Fraction(k * size, n) for label, size in sizes.items()}
    expected = {label: math.floor(share) for label, share in shares.items()}
    by_remainder = sorted(sizes, key=lambda label: (expected[label] - shares[label], label))
    for label in by_remainder[: k - sum(expected.values())]:
        expected[label] += 1
    for label in sizes:
        if expected[label] == 0:
            largest = max(sizes, key=lambda other: (expected[other], -other))
            expected[largest] -= 1
            expected[label] = 1
    assert budgets.tolist() == list(expected.values())
    assert sum(budgets.tolist()) == k
    assert all(1 <= b <= s for b, s in zip(budgets.tolist(), sizes.values(), strict=True))


@given(
    st.lists(st.sampled_from([-math.inf, 0.0, 1.0, 1.5, math.inf]), min_size=1, max_size=12),
    st.data(),
)
def test_keep_top_keeps_the_largest(scores, data):
    n = len(scores)
    labels = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    k = data.draw(st.integers(len(set(labels)), n))
    kept = keep_top(np.array(scores), k, generator()).tolist()
    assert len(set(kept)) == k
    assert [scores[i] for i in kept] == sorted(scores, reverse=True)[:k]
    kept = keep_top(np.array(scores), k, generator(), classes=np.array(labels)).tolist()
    for label, budget in zip(*class_budgets(np.array(labels), k), strict=True):
        own = [s for s, y in zip(scores, labels, strict=True) if y == label]
        mine = [scores[i] for i in kept if labels[i] == label]
        assert mine == sorted(own, reverse=True)[: int(budget)]


def test_ties_are_broken_at_random():
    """10 of 40 equal scores, 400 times: a sample is kept 100 times, standard deviation 8.7.

    The bound of 55 is 6.3 deviations, a false-alarm rate below 40 x 1e-9; the order of the data as
    tie-breaker keeps some samples always.
    """
    draws = generator()
    counts = torch.zeros(40)
    for _ in range(400):
        counts[keep_top(np.zeros(40), 10, draws)] += 1
    assert (counts - 100).abs().max() < 55
    first = torch.tensor([400.0] * 10 + [0.0] * 30)
    assert (first - 100).abs().max() >= 55


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: el2n(np.array([[2.0, -1.0]]), [0]), "softmax"),
        (lambda: el2n(np.array([[0.5, 0.5]]), np.array([2])), "targets must lie in 0..1"),
        (lambda: el2n(np.array([[0.5, 0.5]]), np.array([0.0])), "integers"),
        (lambda: el2n(np.array([0.5, 0.5]), np.array([0])), "shape"),
        (lambda: grand(np.array([[np.nan]])), "finite"),
        (lambda: forgetting(np.zeros((2, 3))), "bool"),
        (lambda: margin(np.ones((3, 1))), "two classes"),
        (lambda: keep_top(np.array([np.nan]), 1, generator()), "NaN"),
        (lambda: keep_top(np.zeros(3), 4, generator()), "cannot keep 4 of 3"),
        (lambda: keep_top(np.zeros(3), 1, generator(), classes=np.arange(3)), "3 classes"),
        (lambda: keep_top(np.zeros(3), 1, generator(), classes=np.arange(2)), "one a sample"),
        (lambda: k_means_prototypes(np.zeros((3, 2)), 4, generator()), "clusters"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
