"""Numbers of rules that a test of directions or of inequalities alone lets slip."""

import pytest
import torch

from orderdp_theory import Design
from orderdp_train.rules import (
    EpsilonGreedy,
    FixedSubset,
    FullData,
    InfoBatch,
    OrderDP,
    RandomSubset,
    RuleConfig,
    SelectionRule,
    SurveySampling,
    UnbiasedOrderDP,
    build_rule,
)
from orderdp_train.rules.base import rounded
from orderdp_train.runs import RunConfig
from orderdp_train.training.loop import _Clock
from orderdp_train.training.recipe import Recipe
from orderdp_train.training.sampler import RuleSampler

DRAWS = 400


@pytest.mark.parametrize(("keep", "q2"), [(0.3, 3), (0.02, 1), (0.9, 9)])
def test_a_tenth_of_the_budget_and_at_least_one_is_uniform(keep, q2):
    rule = build_rule("orderdp-unbiased", 100, keep)
    assert isinstance(rule, UnbiasedOrderDP)
    assert (rule.q2, rule.design.q) == (q2, round(100 * keep) - q2)


def test_a_fraction_is_the_nearest_number_and_at_least_one():
    assert [rounded(f, 10) for f in (0.001, 0.04, 0.14, 0.16, 0.5, 0.96, 1.0)] == [
        1,
        1,
        1,
        2,
        5,
        10,
        10,
    ]
    assert build_rule("random", 10, 0.04).budget == 1


def test_the_design_of_every_step_keeps_the_ratio():
    config = RunConfig(
        rule=RuleConfig("orderdp", {"keep": 0.3, "explore": 0.5}),
        selection="iteration",
        recipe=Recipe(batch_size=64),
    )
    rule, steps = config.per_step(1000)
    built = rule.build(1000)
    assert isinstance(built, OrderDP)
    assert built.design == Design(1000, 107, 64)
    assert steps == 5


def test_epsilon_greedy_of_everybody_keeps_everybody():
    for epsilon in (0.0, 0.3, 1.0):
        rule = EpsilonGreedy(5, 5, epsilon=epsilon)
        indices, weights = rule.select(torch.Generator().manual_seed(0))
        assert sorted(indices.tolist()) == [0, 1, 2, 3, 4]
        assert weights.tolist() == [1.0] * 5
        assert rule.expected_weights().tolist() == pytest.approx([0.2] * 5, abs=0)


class Doubled(RandomSubset):
    def select(self, generator):
        indices, weights = super().select(generator)
        return indices, 2 * weights


def off_in_total(rule: SelectionRule) -> float:
    """By how much the mean weight of its selections differs from what it expects.

    In the rules here the mean weight of a selection has a standard deviation below 1.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = [float(rule.select(generator)[1].double().mean()) for _ in range(DRAWS)]
    return abs(sum(drawn) / DRAWS - float(rule.expected_weights().sum()))


def test_the_total_weight_is_the_expected_one():
    # Hoeffding: weights lie in [0, 2], so a deviation above 0.3 has chance below 2 exp(-18).
    rules = [RandomSubset(12, 5), OrderDP(Design(12, 7, 3)), UnbiasedOrderDP(Design(12, 7, 3), 3)]
    rules.append(SurveySampling(12, 5))
    for rule in rules:
        if hasattr(rule, "scores"):
            rule.update(torch.arange(12), torch.linspace(0.1, 3, 12))
        assert off_in_total(rule) < 0.3
    assert off_in_total(Doubled(12, 5)) > 0.9


def test_before_the_first_pass_no_sample_has_a_weight():
    sampler = RuleSampler(RandomSubset(4, 2), torch.Generator().manual_seed(0))
    assert sampler.weights_of(torch.arange(4)).tolist() == [0.0] * 4


def test_the_clock_adds_what_passes_in_each_part(monkeypatch):
    now = iter([0.0, 1.0, 1.0, 4.0, 10.0, 12.0])
    monkeypatch.setattr("orderdp_train.training.loop.time.perf_counter", lambda: next(now))
    clock = _Clock(torch.device("cpu"))
    for part in ("selection", "training", "selection"):
        with clock(part):
            pass
    found = {part: clock.seconds(part) for part in ("selection", "training", "evaluation")}
    assert found == {"selection": 3.0, "training": 3.0, "evaluation": 0.0}


def test_what_a_sample_adds_to_the_mean_is_its_weight_over_the_number_kept():
    infobatch = InfoBatch(8, 0.5)
    infobatch.update(range(8), [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 10.0, 12.0])
    for rule in (FullData(3), infobatch):
        second = rule.second_order()
        assert second is not None
        indices, weights = rule.select(torch.Generator().manual_seed(0))
        found = second.coefficient[indices]
        assert found.tolist() == pytest.approx((weights / len(indices)).tolist())


def test_infobatch_anneals_in_the_last_part_of_the_epochs():
    for anneal, start in ((0.25, 8), (0.1, 9), (0.5, 5)):
        rule = build_rule("infobatch", 10, epochs=10, anneal=anneal)
        assert isinstance(rule, InfoBatch)
        assert rule.anneal_from == start
    for keep in (0.0, -0.5):
        with pytest.raises(ValueError, match="keep"):
            build_rule("infobatch", 10, keep)


def test_an_unknown_option_is_named():
    with pytest.raises(ValueError, match="full has no option 'nonsense'"):
        build_rule("full", 3, nonsense=1)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 1.0, 1.0]])
def test_a_subset_has_as_many_weights_as_samples(weights):
    with pytest.raises(ValueError, match="a subset of 2 needs as many"):
        FixedSubset(3, torch.tensor([0, 2]), torch.tensor(weights))
