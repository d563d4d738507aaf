"""Selective backprop against all its outcomes, in fractions."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_train.rules import SelectiveBackprop
from tests.rules.laws import FALSE_ALARM, same_after_reload, smallest_p_value

SCORES = st.lists(st.sampled_from([0.0, 0.5, 1.0, 7.0, math.inf]), min_size=1, max_size=6)


def enumerated(scores: list[float], beta: int) -> list[Fraction]:
    n = len(scores)
    chance = [Fraction(sum(b <= a for b in scores), n) ** beta for a in scores]
    weights = [Fraction(0)] * n
    for kept in itertools.product((False, True), repeat=n):
        probability = math.prod(p if k else 1 - p for p, k in zip(chance, kept, strict=True))
        for i in range(n):
            if kept[i] and probability:
                weights[i] += probability / sum(kept)
    return weights


@given(SCORES, st.integers(0, 4))
@settings(max_examples=50, deadline=None)
def test_expected_weights_equal_enumeration(scores, beta):
    rule = SelectiveBackprop(len(scores), float(beta))
    rule.scores.copy_(torch.tensor(scores))
    expected = np.array(enumerated(scores, beta), float)
    assert sum(enumerated(scores, beta)) == 1  # the largest score is always kept
    np.testing.assert_allclose(rule.expected_weights(), expected, rtol=1e-14)
    other = SelectiveBackprop(len(scores), float(beta))
    np.testing.assert_allclose(other.expected_weights(rule.scores), expected, rtol=1e-14)


def test_the_mean_of_draws_agrees_and_probabilities_over_their_sum_do_not():
    """Mean of 1{kept}/m over 20,000 draws within 5 standard errors (false alarm below 6e-7 each,
    3e-6 of all five); probabilities over their sum, often taken for the expectation, are further.
    """
    rule = SelectiveBackprop(5, 2.0)
    rule.scores.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]))
    generator = torch.Generator().manual_seed(0)
    draws = torch.zeros(20_000, 5, dtype=torch.float64)
    for row in draws:
        indices, weights = rule.select(generator)
        row[indices] = weights.double() / len(indices)
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - rule.expected_weights()).abs() <= 5 * error).all()
    chance = rule.inclusion_probabilities(rule.scores)
    assert ((draws.mean(0) - chance / chance.sum()).abs() > 5 * error).any()


def test_draws_keep_each_sample_with_its_chance():
    rule = SelectiveBackprop(12, 1.5)
    rule.scores.copy_(torch.tensor([0.1, 0.1, 0.3, 0.7, 0.7, 0.7, 0.9, 2.0, 5.0, 0.2, 0.7, 1e6]))
    chance = rule.inclusion_probabilities(rule.scores)
    assert smallest_p_value(rule, chance) > FALSE_ALARM
    strictly_below = torch.tensor([(rule.scores < s).double().mean() for s in rule.scores])
    assert smallest_p_value(rule, strictly_below**1.5) < FALSE_ALARM


def test_edges():
    rule = SelectiveBackprop(40, 9.0)
    assert len(rule.select(torch.Generator().manual_seed(0))[0]) == 40  # nothing used yet
    rule.update(torch.arange(40), torch.full((40,), 2.0))
    assert len(rule.select(torch.Generator().manual_seed(0))[0]) == 40  # all the same
    rule.update(torch.arange(40), torch.linspace(0, 1, 40))
    kept = [rule.select(torch.Generator().manual_seed(k))[0] for k in range(200)]
    assert all(39 in k for k in kept)
    expected = sum((i / 40) ** 9 for i in range(1, 41))
    variance = sum((i / 40) ** 9 * (1 - (i / 40) ** 9) for i in range(1, 41))
    error = 6 * (variance / 200) ** 0.5  # false alarm below 3e-9
    assert np.mean([len(k) for k in kept]) == pytest.approx(expected, abs=error)
    assert rule.budget is None
    assert rule.second_order() is None
    same_after_reload(rule, SelectiveBackprop(40, 9.0))
    for beta in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="beta"):
            SelectiveBackprop(5, beta)
