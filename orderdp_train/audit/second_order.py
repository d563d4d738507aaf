"""Second-order inclusion probabilities of the rules: what their covariance needs.

One selection's estimator is ``g~ = sum_{i in selection} a_i g_i``. Its covariance needs
``P(i and j selected)``, which for every rule known here has the form

    A + B (p_i + p_j) + D p_i p_j + C pi(i, j),       i != j,

with ``p_i = P(i selected)`` and ``pi`` the joint inclusion probability of random-then-top
selection, which depends on the larger rank only (averaged over the orders of tied scores).

Known in closed form: ``FullData``, ``RandomSubset``, ``OrderDP``, ``UnbiasedOrderDP``,
``InfoBatch``, and ``EpsilonGreedy`` and ``UCB`` unless scores are tied at their border.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from orderdp_theory import Design, Ranking, inclusion_probabilities, joint_inclusion_probabilities
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
from orderdp_train.rules.base import finite


@dataclass(frozen=True)
class RankPairs:
    """``pi`` of random-then-top selection by ``ranking``, float64 ``(n,)`` in rank order.

    ``between[k]`` is ``pi`` of rank k and any rank of an earlier tie group, ``within[k]`` of rank k
    and another of its own group.
    """

    ranking: Ranking
    between: Tensor
    within: Tensor

    @classmethod
    def of(cls, design: Design, ranking: Ranking) -> RankPairs:
        joint = joint_inclusion_probabilities(design)
        starts = ranking.starts[:-1]
        sizes = np.diff(ranking.starts)
        between = ranking.average_ties(joint)
        # Of the t(t-1)/2 pairs in a group, k - start have rank k as their larger.
        position = np.arange(len(joint)) - np.repeat(starts, sizes)
        pairs = np.maximum(sizes * (sizes - 1) / 2, 1)
        within = np.repeat(np.add.reduceat(joint * position, starts) / pairs, sizes)
        return cls(ranking, torch.from_numpy(between), torch.from_numpy(within))


@dataclass(frozen=True)
class SecondOrder:
    """The design of a rule at its present scores, ``inclusion`` and ``coefficient`` float64
    ``(n,)``.

    ``coefficient`` holds the ``a_i``; the other names are those of the form above.
    """

    inclusion: Tensor
    coefficient: Tensor
    constant: float = 0.0  # A
    linear: float = 0.0  # B
    product: float = 0.0  # D
    pairs: RankPairs | None = None
    pairs_factor: float = 0.0  # C


def second_order(rule: SelectionRule, scores: Tensor | None = None) -> SecondOrder | None:
    """The second-order design of ``rule`` (at ``scores`` if given); None if it is not known."""
    n = rule.n
    ones = torch.ones(n, dtype=torch.float64)
    # Exact types: a subclass may select differently.
    if type(rule) is FullData:
        return SecondOrder(ones, ones / n, product=1.0)
    if type(rule) is RandomSubset:
        return _certain_and_random(ones > 1, rule.m, 1 / rule.m, 1 / rule.m)
    if type(rule) is OrderDP:
        if scores is None and rule.scorer is not None:
            scores = rule.scorer(torch.arange(n, device=rule.scores.device))
        gamma, pairs = _random_then_top(rule.design, rule.scores if scores is None else scores)
        return SecondOrder(gamma, ones / rule.design.q, pairs=pairs, pairs_factor=1.0)
    if type(rule) is UnbiasedOrderDP:
        gamma, pairs = _random_then_top(rule.design, rule.scores if scores is None else scores)
        # Of the samples not kept by rank, one is added with chance single, a pair with chance both.
        rest = max(n - rule.design.q, 1)
        single = rule.q2 / rest
        both = single * (rule.q2 - 1) / (rest - 1) if rest > 1 else 0.0
        inclusion = gamma + (1 - gamma) * single
        return SecondOrder(
            inclusion,
            1 / (n * inclusion),
            # both (1 - g_i - g_j + pi) + single (g_i + g_j - 2 pi) + pi, with g = (p - single) / (1
            # - single)
            constant=both - 2 * (single - both) * single / (1 - single),
            linear=(single - both) / (1 - single),
            pairs=pairs,
            pairs_factor=both - 2 * single + 1,
        )
    if type(rule) is InfoBatch:
        low, kept = rule.prunable(rule.scores if scores is None else scores)
        m = n - int(low.sum()) + kept
        return _certain_and_random(~low.cpu(), kept, 1 / m, 1 / (rule.keep_probability * m))
    if type(rule) is EpsilonGreedy or type(rule) is UCB:
        chance = rule.expected_weights(scores).cpu() * rule.k
        certain = chance >= 1 - 1e-12
        number = rule.num_top if isinstance(rule, EpsilonGreedy) else rule.k
        if int(certain.sum()) != number and not bool(certain.all()):
            return None
        return _certain_and_random(certain, rule.k - number, 1 / rule.k, 1 / rule.k)
    return None


def _random_then_top(design: Design, scores: Tensor) -> tuple[Tensor, RankPairs]:
    ranking = Ranking.of(finite(scores).cpu().numpy())
    gamma = ranking.average_ties(inclusion_probabilities(design))
    return torch.from_numpy(ranking.to_input_order(gamma)), RankPairs.of(design, ranking)


def _certain_and_random(
    certain: Tensor, kept: int, certain_weight: float, random_weight: float
) -> SecondOrder:
    """All of ``certain`` ``(n,)`` with one weight, ``kept`` of the rest at random with another."""
    inclusion = certain.double()
    coefficient = torch.where(certain, certain_weight, random_weight).double()
    size = int((~certain).sum())
    if size in (0, kept):
        return SecondOrder(torch.ones_like(inclusion), coefficient, product=1.0)
    p = kept / size
    inclusion[~certain] = p
    pair = p * (kept - 1) / (size - 1) if size > 1 else 0.0
    # A + 2B + D = 1 for two certain samples, A + B (1 + p) + D p = p for one, A + 2Bp + D p² = pair
    # for none.
    product = (1 - 2 * p + pair) / (1 - p) ** 2
    linear = 1 - product
    return SecondOrder(inclusion, coefficient, 1 - 2 * linear - product, linear, product)
