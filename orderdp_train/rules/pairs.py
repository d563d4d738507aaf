"""Second-order inclusion probabilities: what the covariance of a rule needs.

One selection's estimator is `g~ = sum_{i in selection} a_i g_i`. Its covariance needs
`P(i and j selected)`, which for every rule known here has the form

    A + B (p_i + p_j) + D p_i p_j + C pi(i, j) + S(i, j),       i != j,

with `p_i = P(i selected)` and `pi` the joint inclusion probability of random-then-top
selection, which depends on the larger rank only (averaged over the orders of tied scores), and
`S` what a sampling in sequence adds, a recurrence.

A rule states its own in `second_order`; here is what several of them are made of.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from orderdp_theory import Design, Ranking, inclusion_probabilities, joint_inclusion_probabilities
from orderdp_theory.horvitz_thompson import simple_random_sampling
from orderdp_train.rules.base import SelectionRule, finite


@dataclass(frozen=True)
class RankPairs:
    """`pi` of random-then-top selection by `ranking`, float64 `(n,)` in rank order.

    `between[k]` is `pi` of rank k and any rank of an earlier tie group, `within[k]` of rank k
    and another of its own group.
    """

    ranking: Ranking
    between: Float64[Tensor, "n"]
    within: Float64[Tensor, "n"]

    @classmethod
    def of(cls, design: Design, ranking: Ranking) -> RankPairs:
        joint = joint_inclusion_probabilities(design)
        between = ranking.average_ties(joint)
        within = between + ranking.pair_excess(joint)[ranking.group_of_rank()]
        return cls(ranking, torch.from_numpy(between), torch.from_numpy(within))


@dataclass(frozen=True)
class SequencePairs:
    """What a sampling in sequence adds to all pairs: the recurrence, in the sequence of `order`.

    `order` int64 `(n,)` lists the samples. The sum `S` over all pairs of what is added is
    `-2 sum_l loss_l <h_l, R before l>`, with `R <- decay_l R + gain_l h_l`; see
    `orderdp_theory.pivotal.PairRecurrence`, float64 `(n,)` each.
    """

    order: Int64[Tensor, "n"]
    loss: Float64[Tensor, "n"]
    gain: Float64[Tensor, "n"]
    decay: Float64[Tensor, "n"]


@dataclass(frozen=True)
class SecondOrder:
    """The design of a rule at its present scores, `inclusion` and `coefficient` float64
    `(n,)`.

    `coefficient` holds the `a_i`; the other names are those of the form above.
    """

    inclusion: Float64[Tensor, "n"]
    coefficient: Float64[Tensor, "n"]
    constant: float = 0.0  # A
    linear: float = 0.0  # B
    product: float = 0.0  # D
    pairs: RankPairs | None = None
    pairs_factor: float = 0.0  # C
    sequence: SequencePairs | None = None


def second_order(rule: SelectionRule) -> SecondOrder | None:
    """What `rule.second_order()` states; None if nothing, or if it is about another `select`.

    A class that overrides `select` alone inherits a statement that need not hold for it.
    """
    for cls in type(rule).__mro__:
        if "second_order" in vars(cls):
            return rule.second_order()
        if "select" in vars(cls):
            return None
    return None


def random_then_top(
    design: Design, scores: Float[Tensor, "{design.n}"]
) -> tuple[Float64[Tensor, "{design.n}"], RankPairs]:
    """Inclusion probabilities float64 `(n,)` in input order, and those of pairs."""
    ranking = Ranking.of(finite(scores).cpu().numpy())
    gamma = ranking.average_ties(inclusion_probabilities(design))
    return torch.from_numpy(ranking.to_input_order(gamma)), RankPairs.of(design, ranking)


def random_among(possible: Bool[Tensor, "n"], kept: int, weight: float) -> SecondOrder:
    """`kept` of the samples `possible` `(n,)` at random with one weight, nobody else."""
    size = int(possible.sum())
    p = kept / size
    pair = p * (kept - 1) / (size - 1) if size > 1 else p * p
    inclusion = possible.double() * p
    return SecondOrder(inclusion, torch.full_like(inclusion, weight), product=pair / p**2)


def certain_and_random(
    certain: Bool[Tensor, "n"], kept: int, certain_weight: float, random_weight: float
) -> SecondOrder:
    """All of `certain` `(n,)` with one weight, `kept` of the rest at random with another."""
    inclusion = certain.double()
    coefficient = torch.full_like(inclusion, random_weight).masked_fill_(certain, certain_weight)
    size = int((~certain).sum())
    if size in (0, kept):
        return SecondOrder(torch.ones_like(inclusion), coefficient, product=1.0)
    p, pair = simple_random_sampling(size, kept)
    inclusion[~certain] = p
    # A + 2B + D = 1 for two certain samples, A + B (1 + p) + D p = p for one, A + 2Bp + D p² = pair
    # for none.
    product = (1 - 2 * p + pair) / (1 - p) ** 2
    linear = 1 - product
    return SecondOrder(inclusion, coefficient, 1 - 2 * linear - product, linear, product)
