"""OrderDP made unbiased for the full gradient at an exact budget, by Horvitz-Thompson weights."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike
from torch import Tensor

from orderdp_theory import Design, Ranking
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.palette import GREEN
from orderdp_theory.horvitz_thompson import horvitz_thompson_inclusion, pair_constants, uniform_part
from orderdp_train.rules.base import (
    ScoredRule,
    Scores,
    Selection,
    Weights,
    design_of,
    few,
    finite,
    others,
    random_subset,
    rounded,
    top,
    where_true,
)
from orderdp_train.rules.option import EXPLORE, INITIAL_SCORE, KEEP, as_number
from orderdp_train.rules.ordered import AscendingScores
from orderdp_train.rules.pairs import SecondOrder, certain_and_random, random_then_top
from orderdp_train.rules.registry import Setting, register

UNIFORM_SHARE = 0.1  # of the budget


@register
class UnbiasedOrderDP(ScoredRule):
    """Keep design.q samples by random-then-top on stored scores and q2 uniform ones of the others.

    Every sample has a known chance pi_i > 0 to be kept, so with weights m / (n pi_i), m = q + q2,
    the expectation is the gradient of the mean loss whatever the scores. Tied samples share the
    mean of their chances, which is their true chance as ties are broken at random.

    The weights need the ranks of all n scores, so there is no variant with fresh scores of the
    candidates only. Cost of a selection: two random permutations and a sort of n; where s and the
    budget are small beside n, O(s) and a merge of what was scored since into the sorted scores.
    Raises `ValueError` if some sample could never be kept, as with q2 = 0 and q < s.

    Example:
        >>> rule = UnbiasedOrderDP(Design(4, 2, 1), q2=1)
        >>> rule.update(range(4), [3.0, 2.0, 1.0, 0.0])
        >>> rule.inclusion_probabilities().numpy().round(4).tolist()
        [0.6667, 0.5556, 0.4444, 0.3333]
        >>> rule.expected_weights().numpy().round(12).tolist()
        [0.25, 0.25, 0.25, 0.25]
    """

    name, label, colour, marker = "orderdp-unbiased", "unbiased rule", GREEN, "P"
    order = 5
    options = {"keep": KEEP, "explore": EXPLORE, "initial_score": INITIAL_SCORE}

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        """A tenth of the budget, at least one sample, is spent on the uniform part."""
        budget = rounded(options["keep"], setting.n)
        q2 = rounded(UNIFORM_SHARE, budget)
        if q2 == budget:
            raise InputError(f"{cls.name} must keep at least 2 samples, got {budget}")
        return cls(
            design_of(setting.n, options["keep"], options["explore"], less=q2),
            q2,
            initial_score=as_number(options["initial_score"]),
            device=setting.device,
        )

    def __init__(
        self,
        design: Design,
        q2: int,
        *,
        initial_score: float = math.inf,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(design.n, initial_score=initial_score, device=device)
        self.inclusion_by_rank = horvitz_thompson_inclusion(design, q2)
        if self.inclusion_by_rank[-1] <= 0:
            raise InputError(f"with {q2=} the lowest scores could never be kept: take q2 >= 1")
        self.design, self.q2 = design, q2
        self.budget = design.q + q2
        self._ascending = AscendingScores()

    def update(self, indices: ArrayLike, losses: ArrayLike) -> None:
        self._ascending.change(self.scores, *self._checked(indices, losses))

    def select(self, generator: torch.Generator) -> Selection:
        if few(self.n, max(self.design.s, self.q2)):
            return self._select_few(generator)
        order = random_subset(self.n, self.n, generator, self.scores.device)
        kept = torch.zeros_like(order, dtype=torch.bool)
        kept[: self.design.s] = top(self.scores[order[: self.design.s]], self.design.q)
        rest = order[where_true(~kept, self.n - self.design.q)]
        # A draw of its own: what is left of the candidates comes first in `order`.
        drawn = rest[random_subset(len(rest), self.q2, generator, rest.device)]
        indices = torch.cat([order[where_true(kept, self.design.q)], drawn])
        if self.scores.device.type == "cuda":  # without waiting for it
            chance = self.inclusion_at(self.scores[indices])
        else:
            chance = self.inclusion_probabilities()[indices]
        return indices, (len(indices) / (self.n * chance)).float()

    def _select_few(self, generator: torch.Generator) -> Selection:
        """The same law without a step that costs O(n), but for the scores in order."""
        n, s, q, device = self.n, self.design.s, self.design.q, self.scores.device
        candidates = random_subset(n, s, generator, device)
        kept = candidates[where_true(top(self.scores[candidates], q), q)]
        places = random_subset(n - q, self.q2, generator, device)
        indices = torch.cat([kept, others(kept, places)])
        weights = len(indices) / (n * self.inclusion_at(self.scores[indices]))
        return indices, weights.float()

    def inclusion_at(self, scores: Float[Tensor, "b"]) -> Float64[Tensor, "b"]:
        """The chance pi of samples with these `scores` `(b,)`, float64, at the present scores.

        By prefix sums: among tied scores with a relative error of up to about (n m / q2) 2^-53,
        which is far below that of a float32 weight for n m / q2 up to 10^8.
        """
        ascending = self._ascending.of(self.scores)
        first = self.n - torch.searchsorted(ascending, scores, right=True)
        last = self.n - torch.searchsorted(ascending, scores)
        by_rank, up_to = self._tables
        mean = (up_to[last] - up_to[first]) / (last - first)
        return torch.where(last - first == 1, by_rank[first], mean)

    @cached_property
    def _tables(self) -> tuple[Tensor, Tensor]:
        """Inclusion by rank and its sums over the first 0 … n ranks, float64."""
        sums = np.insert(np.cumsum(self.inclusion_by_rank.astype(np.longdouble)), 0, 0)
        tables = torch.from_numpy(self.inclusion_by_rank), torch.from_numpy(sums.astype(float))
        return tables[0].to(self.scores.device), tables[1].to(self.scores.device)

    def inclusion_probabilities(self) -> Weights:
        """The chance pi of every sample to be kept at the present scores, float64 `(n,)`."""
        ranking = Ranking.of(finite(self.scores).cpu().numpy())
        pi = ranking.to_input_order(ranking.average_ties(self.inclusion_by_rank))
        return torch.from_numpy(pi).to(self.scores.device)

    def expected_weights(self, scores: Scores | None = None) -> Weights:
        return torch.full((self.n,), 1 / self.n, dtype=torch.float64, device=self.scores.device)

    def second_order(self) -> SecondOrder:
        n = self.n
        if self.q2 == n - self.design.q:
            return certain_and_random(torch.ones(n, dtype=torch.bool), 0, 1 / n, 0.0)
        gamma, pairs = random_then_top(self.design, self.scores)
        a, b, c = pair_constants(self.design, self.q2)
        one, _ = uniform_part(self.design, self.q2)
        inclusion = gamma + (1 - gamma) * one
        # A pi + B (gamma_i + gamma_j) + C, with gamma = (p - one) / (1 - one)
        return SecondOrder(
            inclusion,
            1 / (n * inclusion),
            constant=c - 2 * b * one / (1 - one),
            linear=b / (1 - one),
            pairs=pairs,
            pairs_factor=a,
        )
