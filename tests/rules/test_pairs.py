"""Covariances in closed form against the definition, with pair probabilities by enumeration."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from orderdp_theory import Design, Ranking
from orderdp_train.auditing.covariance import covariance_trace, products, signs
from orderdp_train.rules import (
    UCB,
    EpsilonGreedy,
    FullData,
    InfoBatch,
    OrderDP,
    RandomSubset,
    SelectionRule,
    UnbiasedOrderDP,
)
from orderdp_train.rules.pairs import second_order
from tests.auditing.problem import CLASSES, INPUTS, build, small
from tests.oracles import orders

SELECTIONS = dict[tuple[int, ...], Fraction]


def uniform(sets: list[tuple[int, ...]]) -> SELECTIONS:
    found: SELECTIONS = {}
    for chosen in sets:
        key = tuple(sorted(chosen))
        found[key] = found.get(key, Fraction(0)) + Fraction(1, len(sets))
    return found


def top_of_candidates(scores: list[float], s: int, q: int) -> SELECTIONS:
    """Kept sets of random-then-top selection, over all candidate sets and all orders of ties."""
    ranked = list(orders(scores))
    sets = []
    for order in ranked:
        place = {sample: rank for rank, sample in enumerate(order)}
        for candidates in itertools.combinations(range(len(scores)), s):
            sets.append(tuple(sorted(candidates, key=place.__getitem__)[:q]))
    return uniform(sets)


def with_extra(first: SELECTIONS, n: int, extra: int) -> SELECTIONS:
    """To each set, `extra` more, uniform from what is left."""
    found: SELECTIONS = {}
    for chosen, probability in first.items():
        rest = [i for i in range(n) if i not in chosen]
        more = list(itertools.combinations(rest, extra))
        for added in more:
            key = tuple(sorted((*chosen, *added)))
            found[key] = found.get(key, Fraction(0)) + probability / len(more)
    return found


def covariance_by_enumeration(
    selections: SELECTIONS, estimate: Callable[[tuple[int, ...]], Tensor]
) -> float:
    assert sum(selections.values()) == 1
    mean = sum(float(p) * estimate(chosen) for chosen, p in selections.items())
    return float(
        sum(float(p) * (estimate(chosen) - mean).square().sum() for chosen, p in selections.items())
    )


TIED = [2.0, 0.5, 2.0, 1.0, 0.5, 2.0]
DISTINCT = [2.0, 0.5, 3.0, 1.0, 0.25, 1.5]


def cases() -> dict[str, tuple[SelectionRule, SELECTIONS]]:
    n = len(TIED)
    every = range(n)
    found: dict[str, tuple[SelectionRule, SELECTIONS]] = {
        "full": (FullData(n), uniform([tuple(every)])),
        "random": (RandomSubset(n, 4), uniform(list(itertools.combinations(every, 4)))),
        "random, one": (RandomSubset(n, 1), uniform(list(itertools.combinations(every, 1)))),
    }
    for label, scores in (("tied", TIED), ("distinct", DISTINCT)):
        for s, q in ((4, 2), (6, 3), (3, 3), (5, 1)):
            rule = OrderDP(Design(n, s, q))
            rule.update(torch.arange(n), torch.tensor(scores))
            found[f"OrderDP {s} {q} {label}"] = rule, top_of_candidates(scores, s, q)
        unbiased = UnbiasedOrderDP(Design(n, 4, 2), 2)
        unbiased.update(torch.arange(n), torch.tensor(scores))
        first = top_of_candidates(scores, 4, 2)
        found[f"unbiased {label}"] = unbiased, with_extra(first, n, 2)
        info = InfoBatch(n, 0.5)
        info.update(torch.arange(n), torch.tensor(scores))
        low = [i for i in every if scores[i] < float(np.mean(scores))]
        high = tuple(i for i in every if i not in low)
        kept = itertools.combinations(low, round(0.5 * len(low)))
        found[f"InfoBatch {label}"] = info, uniform([high + part for part in kept])
    greedy = EpsilonGreedy(n, 4, epsilon=0.5)
    greedy.update(torch.arange(n), torch.tensor(DISTINCT))
    best = tuple(sorted(every, key=lambda i: -DISTINCT[i])[:2])
    found["ε-greedy"] = greedy, with_extra(uniform([best]), n, 2)
    ucb = UCB(n, 3)
    ucb.update(torch.arange(n), torch.tensor(DISTINCT))
    found["UCB"] = ucb, uniform([tuple(sorted(every, key=lambda i: -DISTINCT[i])[:3])])
    return found


@pytest.mark.parametrize("name", cases())
def test_trace_equals_enumeration(name: str) -> None:
    rule, selections = cases()[name]
    problem = build(nn.Linear(INPUTS, CLASSES), INPUTS, n=rule.n)
    design = second_order(rule)
    assert design is not None
    gradients = problem.gradients
    ranking = design.pairs.ranking if design.pairs else Ranking.of(problem.losses.numpy())
    whole = design.coefficient @ gradients
    expectation = (design.inclusion * design.coefficient) @ gradients

    def by_layer(product: Tensor) -> Tensor:
        sizes = [p.numel() for p in problem.model.parameters()]
        return torch.stack([part.sum() for part in product.split(sizes)])

    found = covariance_trace(
        design,
        products(problem.model, problem.population, ranking, design.coefficient),
        by_layer(expectation * expectation),
        by_layer(whole * whole),
        by_layer(whole * expectation),
    )
    # The weights are the rule's own, read off its selections.
    weight = torch.zeros(rule.n, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        indices, weights = rule.select(generator)
        weight[indices] = weights.double() / len(indices)

    def estimate(chosen: tuple[int, ...]) -> Tensor:
        return weight[list(chosen)] @ gradients[list(chosen)]

    expected = covariance_by_enumeration(selections, estimate)
    scale = float(gradients.square().sum(1).max())
    assert float(found.sum()) == pytest.approx(expected, rel=1e-6, abs=1e-12 * scale)
    mean = sum(float(p) * estimate(c) for c, p in selections.items())
    torch.testing.assert_close(rule.expected_weights() @ gradients, mean, rtol=1e-6, atol=1e-7)


def test_unknown_rules_have_no_closed_form() -> None:
    class Mine(OrderDP):
        """Where a subclass selects in its own way, nothing is claimed about it."""

        def select(self, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
            return super().select(generator)

    assert second_order(Mine(Design(6, 4, 2))) is None
    tied = EpsilonGreedy(6, 4, epsilon=0.5)
    assert second_order(tied) is None  # all scores equal, so the border is tied


@given(st.integers(2, 30), st.data())
@settings(max_examples=15, deadline=None)
def test_products_equal_a_double_loop(n: int, data: st.DataObject) -> None:
    scores = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=float)
    problem = build(nn.Linear(2, CLASSES), 2, n=n)
    ranking = Ranking.of(scores)
    a = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) - 0.5
    found = products(problem.model, problem.population, ranking, a, [n, 2 * n])
    sizes = [p.numel() for p in problem.model.parameters()]
    directions = torch.cat([signs([n, 2 * n], i, size) for i, size in enumerate(sizes)], 1)
    h = a[:, None] * problem.gradients
    for k, sample in enumerate(ranking.order.tolist()):
        before, within = 0.0, 0.0
        for other in ranking.order[:k].tolist():
            value = float(h[sample] @ h[other])
            if scores[other] == scores[sample]:
                within += value
            else:
                before += value
        assert float(found.between[k].sum()) == pytest.approx(before, rel=1e-9, abs=1e-12)
        assert float(found.within[k].sum()) == pytest.approx(within, rel=1e-9, abs=1e-12)
    torch.testing.assert_close(found.squares.sum(1), problem.gradients.square().sum(1))
    torch.testing.assert_close(found.projections, problem.gradients @ directions.double().T)


def test_chunks_and_parts_of_the_parameters_do_not_matter() -> None:
    problem = small()
    scores = torch.tensor([1.0, 2.0, 2.0, 3.0]).repeat(11)[: len(problem.losses)]
    ranking = Ranking.of(scores.numpy())
    ones = torch.ones(len(scores), dtype=torch.float64)
    whole = products(problem.model, problem.population, ranking, ones, [0])
    # Enough for a part of a third of the parameters, one sample at a time or a few.
    limit = 8 * 6 * problem.gradients.shape[1] // 3
    split = products(problem.model, problem.population, ranking, ones, [0], limit)
    for name in ("squares", "between", "within", "projections"):
        torch.testing.assert_close(getattr(split, name), getattr(whole, name))
    assert math.isfinite(float(whole.within.sum()))
