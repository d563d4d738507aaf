"""OrderDP made unbiased for the full gradient at an exact budget, by Horvitz-Thompson weights."""

import math

import torch
from torch import Tensor

from orderdp_theory import Design, Ranking
from orderdp_theory.horvitz_thompson import horvitz_thompson_inclusion
from orderdp_train.rules.base import ScoredRule, Selection, finite, random_subset, top


class UnbiasedOrderDP(ScoredRule):
    """Keep design.q samples by random-then-top on stored scores and q2 uniform ones of the others.

    Every sample has a known chance pi_i > 0 to be kept, so with weights m / (n pi_i), m = q + q2,
    the expectation is the gradient of the mean loss whatever the scores. Tied samples share the
    mean of their chances, which is their true chance as ties are broken at random.

    The weights need the ranks of all n scores, so there is no variant with fresh scores of the
    candidates only. Cost of a selection: two random permutations and a sort of n.
    Raises `ValueError` if some sample could never be kept, as with q2 = 0 and q < s.
    """

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
            raise ValueError(f"with {q2=} the lowest scores could never be kept: take q2 >= 1")
        self.design, self.q2 = design, q2
        self.budget = design.q + q2

    def select(self, generator: torch.Generator) -> Selection:
        order = random_subset(self.n, self.n, generator, self.scores.device)
        kept = torch.zeros_like(order, dtype=torch.bool)
        kept[: self.design.s] = top(self.scores[order[: self.design.s]], self.design.q)
        rest = order[~kept]
        # A draw of its own: what is left of the candidates comes first in `order`.
        drawn = rest[random_subset(len(rest), self.q2, generator, rest.device)]
        indices = torch.cat([order[kept], drawn])
        weights = len(indices) / (self.n * self.inclusion_probabilities()[indices])
        return indices, weights.float()

    def inclusion_probabilities(self) -> Tensor:
        """The chance pi of every sample to be kept at the present scores, float64 `(n,)`."""
        ranking = Ranking.of(finite(self.scores).cpu().numpy())
        pi = ranking.to_input_order(ranking.average_ties(self.inclusion_by_rank))
        return torch.from_numpy(pi).to(self.scores.device)

    def expected_weights(self, scores: Tensor | None = None) -> Tensor:
        return torch.full((self.n,), 1 / self.n, dtype=torch.float64, device=self.scores.device)
