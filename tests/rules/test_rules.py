"""Each rule's exact expectation against enumeration of all its selections, and against its draws.

The enumeration knows the rules from their definitions only: ties broken by every order of the
samples.
"""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from orderdp_theory import Design
from orderdp_train.rules import (
    RULES,
    UCB,
    EpsilonGreedy,
    FullData,
    InfoBatch,
    OrderDP,
    RandomSubset,
    SelectionRule,
    UnbiasedOrderDP,
    build_rule,
    rules_by_name,
)

FALSE_ALARM = 1e-6  # per test of draws against an exact expectation
DRAWS = 3000

# Few distinct values, so that ties and constant vectors are common.
scores_of_4 = st.lists(st.sampled_from([0.0, 0.5, 1.0, 7.0, math.inf]), min_size=4, max_size=4)


def with_scores(rule, scores):
    rule.scores.copy_(torch.tensor(scores))
    return rule


def top(order, scores, k):
    """The k largest of `order`; Python's sort is stable, so ties fall by the order given."""
    return sorted(order, key=lambda i: -scores[i])[:k]


def enumerate_selections(rule: SelectionRule, scores: list[float]) -> Iterator[dict[int, float]]:
    """Equally likely selections, each as {sample: weight}."""
    n = len(scores)
    orders = list(itertools.permutations(range(n)))
    match rule:
        case FullData():
            yield dict.fromkeys(range(n), 1.0)
        case RandomSubset():
            for kept in itertools.combinations(range(n), rule.m):
                yield dict.fromkeys(kept, 1.0)
        case OrderDP():
            for order in orders:
                yield dict.fromkeys(top(order[: rule.design.s], scores, rule.design.q), 1.0)
        case EpsilonGreedy():
            for order in orders:
                best = top(order, scores, rule.num_top)
                rest = [i for i in range(n) if i not in best]
                for drawn in itertools.combinations(rest, rule.num_random):
                    yield dict.fromkeys([*best, *drawn], 1.0)
        case UCB():
            for order in orders:
                yield dict.fromkeys(top(order, scores, rule.k), 1.0)
        case InfoBatch():
            low = [i for i in range(n) if scores[i] < sum(scores) / n]
            high = [i for i in range(n) if i not in low]
            size = round(rule.keep_probability * len(low))
            for kept in itertools.combinations(low, size):
                yield dict.fromkeys(high, 1.0) | dict.fromkeys(kept, 1 / rule.keep_probability)


def enumerated_weights(rule: SelectionRule, scores: list[float]) -> np.ndarray:
    """E[(1/m) sum over the selection of weight * e_i], by counting."""
    selections = list(enumerate_selections(rule, scores))
    mean = np.zeros(len(scores))
    for selection in selections:
        for i, weight in selection.items():
            mean[i] += weight / len(selection) / len(selections)
    return mean


def small_rules() -> list[SelectionRule]:
    designs = [Design(4, s, q) for s in range(1, 5) for q in range(1, s + 1)]
    rules: list[SelectionRule] = [OrderDP(design) for design in designs]
    rules += [RandomSubset(4, m) for m in range(1, 5)] + [FullData(4)]
    rules += [EpsilonGreedy(4, k, epsilon=e) for k in range(1, 5) for e in (0.0, 0.4, 1.0)]
    rules += [UCB(4, k) for k in range(1, 5)] + [InfoBatch(4, r) for r in (0.0, 0.3, 0.5, 0.9)]
    return rules


@settings(max_examples=15, deadline=None)
@given(scores=scores_of_4)
def test_expected_weights_equal_enumeration(scores):
    for rule in small_rules():
        if isinstance(rule, InfoBatch) and math.inf in scores:
            continue  # its scores are losses from the first update on
        expected = enumerated_weights(rule, scores)
        np.testing.assert_allclose(
            rule.expected_weights(torch.tensor(scores)), expected, atol=1e-15
        )
        if hasattr(rule, "scores"):
            stored = with_scores(rule, scores).expected_weights()
            np.testing.assert_allclose(stored, expected, atol=1e-15)


def smallest_p_value(rule: SelectionRule, seed: int) -> float:
    """Bonferroni-corrected two-sided exact binomial p-value of the draws of `rule`.

    In every rule a sample's weight, once kept, and the number kept are fixed by the scores; so the
    times a sample is kept in DRAWS selections is binomial, with a chance read off
    `expected_weights`.
    """
    generator = torch.Generator().manual_seed(seed)
    counts, weight, kept = np.zeros(rule.n), np.ones(rule.n), 0
    for _ in range(DRAWS):
        indices, weights = rule.select(generator)
        assert len(set(indices.tolist())) == len(indices)
        counts[indices.numpy()] += 1
        weight[indices.numpy()] = weights.numpy()
        kept = len(indices)
    chance = np.clip(rule.expected_weights().numpy() * kept / weight, 0, 1)
    tails = np.minimum(binom.cdf(counts, DRAWS, chance), binom.sf(counts - 1, DRAWS, chance))
    return float(np.min(2 * tails) * rule.n)


SPREAD = [0.1, 0.1, 0.3, 0.7, 0.7, 0.7, 0.9, 2.0, 5.0, 0.2, 0.7, 1e6]


@pytest.mark.parametrize(
    "rule",
    [
        RandomSubset(12, 5),
        OrderDP(Design(12, 7, 3)),
        OrderDP(Design(12, 12, 6)),
        OrderDP(Design(12, 7, 3), scorer=lambda indices: torch.tensor(SPREAD)[indices]),
        EpsilonGreedy(12, 6, epsilon=0.5),
        UCB(12, 6),
        InfoBatch(12, 0.6),
        UnbiasedOrderDP(Design(12, 7, 3), 2),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_draws_agree_with_the_expectation(rule):
    if hasattr(rule, "scores"):
        with_scores(rule, SPREAD)
    assert smallest_p_value(rule, seed=1) > FALSE_ALARM


@settings(max_examples=15, deadline=None)
@given(scores=scores_of_4, s=st.integers(1, 4), data=st.data())
def test_the_unbiased_rule_weights_by_its_true_inclusion_probabilities(scores, s, data):
    q1 = data.draw(st.integers(1, s))
    q2 = data.draw(st.integers(0 if q1 == s == 4 else 1, 4 - q1)) if q1 < 4 else 0
    counts, draws = np.zeros(4), 0
    for order in itertools.permutations(range(4)):
        first = top(order[:s], scores, q1)
        for drawn in itertools.combinations([i for i in range(4) if i not in first], q2):
            counts[[*first, *drawn]] += 1
            draws += 1
    rule = with_scores(UnbiasedOrderDP(Design(4, s, q1), q2), scores)
    np.testing.assert_allclose(rule.inclusion_probabilities(), counts / draws, atol=1e-15)
    indices, weights = rule.select(torch.Generator().manual_seed(0))
    true = (q1 + q2) / (4 * counts[indices] / draws)
    np.testing.assert_allclose(weights, true, rtol=1e-6)
    assert rule.expected_weights().tolist() == [0.25] * 4


def test_draws_with_ties_kept_by_position_are_caught():
    class ByPosition(OrderDP):
        def select(self, generator):
            candidates = super().select(generator)[0].sort().values  # any set: only ties matter
            kept = self.scores.sort(stable=True, descending=True).indices[: len(candidates)]
            return kept, torch.ones(len(kept))

    rule = with_scores(ByPosition(Design(12, 12, 6)), SPREAD)
    assert smallest_p_value(rule, seed=1) < FALSE_ALARM


def test_draws_with_a_slightly_wrong_random_part_are_caught():
    class FirstOfTheRest(EpsilonGreedy):
        def select(self, generator):
            order = torch.randperm(self.n, generator=generator)
            order = order[self.scores[order].argsort(descending=True, stable=True)]
            return order[: self.k], torch.ones(self.k)

    rule = with_scores(FirstOfTheRest(12, 6, epsilon=0.5), SPREAD)
    assert smallest_p_value(rule, seed=1) < FALSE_ALARM


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_fixed_budget_is_held_exactly(data):
    n = data.draw(st.integers(1, 60))
    s = data.draw(st.integers(1, n))
    q = data.draw(st.integers(1, s))
    values = data.draw(st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=n, max_size=n))
    for rule in (
        FullData(n),
        RandomSubset(n, q),
        OrderDP(Design(n, s, q)),
        EpsilonGreedy(n, q, epsilon=data.draw(st.floats(0, 1))),
        UCB(n, q),
        UnbiasedOrderDP(Design(n, s, q), n - q),
    ):
        rule.update(torch.arange(n), torch.tensor(values))
        indices, weights = rule.select(torch.Generator().manual_seed(0))
        assert len(indices) == len(set(indices.tolist())) == len(weights) == rule.budget
        assert abs(float(rule.expected_weights().sum()) - 1) < 1e-12


@pytest.mark.parametrize("name", [n for n in rules_by_name() if not RULES[n].needs_recording])
def test_rules_by_name_keep_the_fraction_asked_for(name):
    rule = build_rule(
        name, 1000, 0.3, scorer=lambda indices: indices.float(), holdout=lambda: torch.zeros(1000)
    )
    rule.update(torch.arange(1000), torch.linspace(0, 1, 1000))
    kept = len(rule.select(torch.Generator().manual_seed(0))[0])
    if name == "selective-backprop":  # independently: 300 in the mean, below 1000/4 in variance
        assert abs(kept - 300) < 6 * 250**0.5
    else:
        assert kept == {"full": 1000, "infobatch": 500 + 150}.get(name, 300)


def test_infobatch_keeps_all_before_it_knows_losses_and_when_annealing():
    rule = InfoBatch(50, 0.9, anneal_from=3)
    generator = torch.Generator().manual_seed(0)
    assert len(rule.select(generator)[0]) == 50
    rule.update(torch.arange(50), torch.linspace(0, 1, 50))
    indices, weights = rule.select(generator)
    assert len(indices) == 25 + round(0.1 * 25)
    assert sorted(set(weights.tolist())) == pytest.approx([1, 10])
    rule.set_epoch(2)
    assert len(rule.select(generator)[0]) < 50
    rule.set_epoch(3)
    assert len(rule.select(generator)[0]) == 50
    assert rule.expected_weights().tolist() == [1 / 50] * 50


def test_unused_samples_come_first_until_all_are_used():
    rule = OrderDP(Design(30, 30, 10))
    generator = torch.Generator().manual_seed(0)
    used = set()
    for _ in range(3):
        indices, _ = rule.select(generator)
        rule.update(indices, torch.full((10,), 100.0))
        used |= set(indices.tolist())
    assert len(used) == 30


def test_fresh_scores_are_asked_of_the_candidates_only():
    asked = []

    def scorer(indices):
        asked.append(indices)
        return indices.float()

    rule = OrderDP(Design(40, 11, 4), scorer=scorer)
    indices, _ = rule.select(torch.Generator().manual_seed(0))
    (candidates,) = asked
    assert len(candidates) == 11
    assert sorted(indices.tolist()) == sorted(candidates.tolist())[-4:]


@given(losses=st.lists(st.floats(0, 50), min_size=1, max_size=8))
def test_moving_averages_follow_their_definition(losses):
    rule = UCB(3, 1, c=2.0, decay=0.25)
    mean, variance = losses[0], 0.0
    for loss in losses:
        rule.update(torch.tensor([1]), torch.tensor([loss]))
    for loss in losses[1:]:
        variance = 0.75 * (variance + 0.25 * (loss - mean) ** 2)
        mean = 0.75 * mean + 0.25 * loss
    bound = mean + 2 * math.sqrt(variance)
    # float32 storage: a handful of roundings of numbers up to the largest loss.
    assert float(rule.bounds()[1]) == pytest.approx(bound, rel=1e-4, abs=1e-5 * max(losses) + 1e-20)
    assert rule.bounds()[[0, 2]].tolist() == [math.inf] * 2


@pytest.mark.parametrize(
    "make", [lambda: OrderDP(Design(9, 6, 3)), lambda: InfoBatch(9), lambda: UCB(9, 4)]
)
def test_a_saved_rule_continues_as_the_original(make):
    rule, copy = make(), make()
    rule.update(torch.arange(7), torch.rand(7, generator=torch.Generator().manual_seed(0)))
    rule.update(torch.arange(4), torch.rand(4, generator=torch.Generator().manual_seed(1)))
    copy.load_state_dict(rule.state_dict())
    drawn = [r.select(torch.Generator().manual_seed(3)) for r in (rule, copy)]
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert torch.equal(rule.expected_weights(), copy.expected_weights())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RandomSubset(5, 6), "cannot keep 6 of 5"),
        (lambda: UCB(5, 0), "cannot keep 0 of 5"),
        (lambda: FullData(0), "1\\.\\.0"),
        (lambda: OrderDP(Design(5, 3, 2), initial_score=math.nan), "must be a number"),
        (lambda: InfoBatch(5, 1.0), "prune probability"),
        (lambda: InfoBatch(0), "at least one sample"),
        (lambda: EpsilonGreedy(5, 2, epsilon=1.5), "epsilon"),
        (lambda: EpsilonGreedy(5, 2, decay=0.0), "weight of a new loss"),
        (lambda: UCB(5, 2, c=-1.0), "c must be"),
        (
            lambda: InfoBatch(5).update(torch.tensor([1, 3]), torch.tensor([1.0, math.nan])),
            "sample 3 is nan",
        ),
        (lambda: UnbiasedOrderDP(Design(5, 3, 2), 0), "could never be kept"),
        (lambda: UnbiasedOrderDP(Design(5, 3, 2), 4), "q2 must lie"),
        (lambda: build_rule("best", 5, 0.5), "unknown rule 'best'"),
        (lambda: build_rule("ucb", 5, 0.0), "keep must be a number in"),
        (lambda: build_rule("orderdp", 5, 0.2, explore=2.0), "explore must be a number in"),
        (lambda: build_rule("orderdp-fresh", 5, 0.5), "scorer"),
        (lambda: InfoBatch(5).update(torch.arange(2), torch.ones(3)), "one loss a sample"),
        (lambda: InfoBatch(5).load_state_dict(InfoBatch(6).state_dict()), "InfoBatch over 5"),
        (lambda: UCB(5, 2).load_state_dict(InfoBatch(5).state_dict()), "not one of UCB"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
