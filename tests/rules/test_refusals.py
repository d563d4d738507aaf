"""Scores, losses and indices that are none are refused by every rule, in words that name them."""

import math

import numpy as np
import pytest
import torch

from orderdp_theory import Design
from orderdp_train.rules import (
    RULES,
    UCB,
    EpsilonGreedy,
    FreshOrderDP,
    InfoBatch,
    OrderDP,
    RandomSubset,
    RepeatedRandom,
    RescoredOrderDP,
    RHOLoss,
    SelectiveBackprop,
    SurveySampling,
    UnbiasedOrderDP,
    build_rule,
)
from orderdp_train.rules.base import samples_of

N = 6
DESIGN = Design(N, 4, 2)


def scorer(indices):
    return torch.arange(N, dtype=torch.float32)[indices]


UPDATED = [
    *(OrderDP(DESIGN), UnbiasedOrderDP(DESIGN, 1), EpsilonGreedy(N, 2), UCB(N, 2), InfoBatch(N)),
    *(SelectiveBackprop(N, 1.0), SurveySampling(N, 2), RepeatedRandom(N, 2)),
    *(RescoredOrderDP(DESIGN, 2, scorer), RHOLoss(DESIGN, torch.zeros(N))),
]
names = [type(rule).__name__ for rule in UPDATED]


@pytest.mark.parametrize("rule", UPDATED, ids=names)
def test_an_update_takes_arrays_and_lists_and_refuses_the_rest_by_name(rule):
    before = {name: value.clone() for name, value in rule.state_dict().items()}
    for indices, losses, error, message in (
        ([-1], [1.0], ValueError, "indices must lie in 0..5, got -1"),
        ([N], [1.0], ValueError, "indices must lie in 0..5, got 6"),
        ([0.5], [1.0], TypeError, "indices must be integers"),
        ([True], [1.0], TypeError, "indices must be integers"),
        ([1], [math.nan], ValueError, "loss of sample 1 is nan"),
        ([1], [math.inf], ValueError, "loss of sample 1 is inf"),
        ([1, 2], [1.0], ValueError, "one loss a sample"),
        ([[1]], [[1.0]], ValueError, "indices must be a vector"),
        (None, [1.0], TypeError, "indices must be numbers"),
        ([1], None, TypeError, "losses must be numbers"),
        ([1], [1j], TypeError, "losses must be real"),
    ):
        with pytest.raises(error, match=message):
            rule.update(indices, losses)
    after = rule.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    rule.update([1, 2], np.array([1.0, 2.0]))
    rule.update(np.array([3]), torch.tensor([1.0]))
    rule.load_state_dict(before)


@pytest.mark.parametrize("rule", UPDATED, ids=names)
def test_a_state_with_nan_or_of_another_kind_is_refused(rule):
    state = {name: value.clone() for name, value in rule.state_dict().items()}
    for name, value in state.items():
        for other in (None, value.new_zeros(N + 1)):
            with pytest.raises(ValueError, match="the state"):
                rule.load_state_dict({**state, name: other})
        if value.is_floating_point():
            poisoned = value.clone()
            poisoned[-1] = math.nan
            with pytest.raises(ValueError, match=f"NaN among its {name}"):
                rule.load_state_dict({**state, name: poisoned})
    rule.load_state_dict(state)


@pytest.mark.parametrize(
    "losses",
    [[math.nan] * N, [math.inf] * N, [0.0] * (N - 1), [[0.0] * N], None],
    ids=["nan", "infinite", "too few", "matrix", "nothing"],
)
def test_a_scorer_that_gives_no_losses_is_refused(losses):
    def bad(indices):
        if losses is None or len(losses) != N:
            return losses
        return torch.tensor(losses)[indices]

    for rule in (
        OrderDP(DESIGN, scorer=bad),
        FreshOrderDP(DESIGN, scorer=bad),
        RescoredOrderDP(DESIGN, N, bad),
        RHOLoss(DESIGN, torch.zeros(N), scorer=bad),
    ):
        with pytest.raises((ValueError, TypeError), match="scorer"):
            rule.select(torch.Generator().manual_seed(0))
        with pytest.raises((ValueError, TypeError), match="scorer"):
            rule.at_present().expected_weights()


@pytest.mark.parametrize("rule", UPDATED[:-2], ids=names[:-2])
def test_given_scores_are_a_number_for_each_sample(rule):
    if isinstance(rule, UnbiasedOrderDP | SurveySampling | RepeatedRandom):
        return  # their expectation does not depend on scores
    for scores in ([0.0] * (N - 1), [math.nan] + [0.0] * (N - 1), "words"):
        with pytest.raises((ValueError, TypeError), match="scores"):
            rule.expected_weights(scores)


def test_samples_are_indices_of_the_data():
    assert samples_of("samples", [0, N - 1], N).tolist() == [0, N - 1]
    for outside in (-1, N):
        with pytest.raises(ValueError, match=rf"^samples must lie in 0\.\.5, got {outside}$"):
            samples_of("samples", [0, outside], N)


def test_a_draw_without_a_generator_is_refused():
    for rule in (*UPDATED, RandomSubset(N, 2)):
        with pytest.raises(TypeError, match=r"generator must be a torch\.Generator"):
            rule.select(None)


@pytest.mark.parametrize("name", [name for name, cls in RULES.items() if not cls.made_from])
def test_every_rule_refuses_to_select_from_nothing(name):
    for n, error in ((0, ValueError), (-1, ValueError), (2**53, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match=r"\bn\b"):
            build_rule(name, n, scorer=scorer)
