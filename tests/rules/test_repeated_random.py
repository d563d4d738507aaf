"""RS2 against enumeration: all that its cycle has left, then a uniform part of the others."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_train.rules import RandomSubset, RepeatedRandom
from tests.rules.laws import FALSE_ALARM, Law, check_law, same_after_reload, smallest_p_value


def law(n: int, m: int, left: set[int]) -> Law:
    first = list(itertools.combinations(sorted(left), min(m, len(left))))
    rest = list(itertools.combinations(sorted(set(range(n)) - left), max(m - len(left), 0)))
    probability = Fraction(1, len(first) * len(rest))
    return {tuple(sorted(a + b)): probability for a in first for b in rest}


@given(st.integers(1, 6), st.data())
@settings(max_examples=40, deadline=None)
def test_equals_enumeration_given_what_is_left(n, data):
    m = data.draw(st.integers(1, n))
    used = data.draw(st.sets(st.integers(0, n - 1), max_size=n - 1))
    rule = RepeatedRandom(n, m)
    rule.update(torch.tensor(sorted(used), dtype=torch.int64), torch.ones(len(used)))
    check_law(rule, law(n, m, set(range(n)) - used), np.full(n, 1 / m))


@given(st.integers(1, 20), st.integers(0, 2**32 - 1), st.data())
@settings(max_examples=40, deadline=None)
def test_each_cycle_uses_each_sample_once(n, seed, data):
    m = data.draw(st.integers(1, n))
    parts = data.draw(st.integers(1, 3))  # batches in which it is told what was used
    rule = RepeatedRandom(n, m)
    generator = torch.Generator().manual_seed(seed)
    uses = np.zeros(n)
    for _ in range(3 * n):
        indices, weights = rule.select(generator)
        assert len(indices.unique()) == m
        assert weights.tolist() == [1.0] * m
        order = indices[torch.randperm(m, generator=generator)]
        for batch in order.tensor_split(parts):
            rule.update(batch, torch.ones(len(batch)))
        uses[indices.numpy()] += 1
        assert uses.max() - uses.min() <= 1
        assert uses.sum() == uses.min() * n + (uses > uses.min()).sum()


def test_draws_agree_with_the_expectation():
    rule = RepeatedRandom(12, 5)
    rule.update(torch.arange(9), torch.ones(9))
    assert smallest_p_value(rule, rule.expected_weights() * 5) > FALSE_ALARM
    twin = RandomSubset(12, 5)  # what an implementation without memory would draw
    assert smallest_p_value(twin, rule.expected_weights() * 5) < FALSE_ALARM


def test_over_a_cycle_it_is_unbiased():
    """Two epochs of a cycle, n = 4, m = 2, over all first selections: 1/n in the mean, exactly."""
    mean = np.zeros(4)
    for first in itertools.combinations(range(4), 2):
        rule = RepeatedRandom(4, 2)
        rule.update(torch.tensor(first), torch.ones(2))
        mean += rule.expected_weights().numpy() / 6
    np.testing.assert_allclose(mean, 0.25)


def test_state_and_bad_input():
    rule = RepeatedRandom(10, 4)
    rule.update(torch.arange(7), torch.ones(7))
    same_after_reload(rule, RepeatedRandom(10, 4))
    with pytest.raises(ValueError, match="not one of RepeatedRandom over 9"):
        RepeatedRandom(9, 4).load_state_dict(rule.state_dict())
    with pytest.raises(ValueError, match="cannot keep 5 of 4"):
        RepeatedRandom(4, 5)
