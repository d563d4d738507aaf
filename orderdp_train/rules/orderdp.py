"""OrderDP: draw candidates at random, keep those with the largest losses (Section 2.2)."""

import copy
import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from orderdp_theory import Design, surrogate_weights
from orderdp_theory.arguments import require_design
from orderdp_theory.common.palette import SKY
from orderdp_train.rules.base import (
    ScoredRule,
    Scorer,
    Scores,
    Selection,
    Weights,
    design_of,
    finite,
    present_losses,
    random_subset,
    top,
    where_true,
)
from orderdp_train.rules.option import EXPLORE, INITIAL_SCORE, KEEP, as_number
from orderdp_train.rules.pairs import SecondOrder, random_then_top
from orderdp_train.rules.registry import Setting, register


@register
class OrderDP(ScoredRule):
    """Random-then-top selection of a `Design(n, s, q)`, by stored or by fresh scores.

    Stored (`scorer=None`): a sample's score is its loss when it was last used. Fresh: `scorer` maps
    candidate indices `(s,)` to their present losses `(s,)`, so a selection costs a forward pass
    over s samples, and the expectation is the gradient of the surrogate loss L_q (Theorem 1).

    The rule serves per-epoch selection (the released code) and per-iteration selection (Algorithm
    1, with q the batch size) alike; the training loop decides how often it is asked.

    `initial_score`: `inf` (never-used samples first), a constant (the released code: 3 on CIFAR, 1
    on ImageNet); for scores from a first pass over the data, `update` with its losses.

    Cost of a selection: s random samples of n, in O(s) where s is small beside n, a gather and one
    partial selection of s.

    Example:
        >>> rule = OrderDP(Design(4, 2, 1))
        >>> rule.update(range(4), [3.0, 2.0, 1.0, 0.0])
        >>> rule.expected_weights().numpy().round(4).tolist()  # the easiest sample is never seen
        [0.5, 0.3333, 0.1667, 0.0]
    """

    name, label, colour, marker = "orderdp", "OrderDP (stored scores)", SKY, "^"
    order = 3
    options = {"keep": KEEP, "explore": EXPLORE, "initial_score": INITIAL_SCORE}

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        return cls(
            design_of(setting.n, options["keep"], options["explore"]),
            initial_score=as_number(options["initial_score"]),
            device=setting.device,
        )

    def __init__(
        self,
        design: Design,
        *,
        initial_score: float = math.inf,
        scorer: Scorer | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        require_design(design)
        super().__init__(design.n, initial_score=initial_score, device=device)
        self.design = design
        self.budget = design.q
        self.scorer = scorer

    def select(self, generator: torch.Generator) -> Selection:
        candidates = random_subset(self.n, self.design.s, generator, self.scores.device)
        q = self.design.q
        kept = candidates[where_true(top(self._scores_of(candidates), q), q)]
        return kept, torch.ones(q, device=kept.device)

    def expected_weights(self, scores: Scores | None = None) -> Weights:
        weights = surrogate_weights(finite(self.ranked_by(scores)).cpu().numpy(), self.design)
        return torch.from_numpy(weights).to(self.scores.device)

    def ranked_by(self, losses: Scores | None = None) -> Scores:
        """What ranks the samples, `(n,)`: at present, or if `losses` were all up to date."""
        return self._scores_of(self._everybody()) if losses is None else self._given(losses)

    def _everybody(self) -> Int64[Tensor, "{self.n}"]:
        return torch.arange(self.n, device=self.scores.device)

    def _scores_of(self, indices: Int64[Tensor, "s"]) -> Float[Tensor, "s"]:
        if self.scorer is None:
            return self.scores[indices]
        return present_losses(self.scorer, indices)

    def at_present(self) -> Self:
        if self.scorer is None:
            return self
        fixed = copy.copy(self)
        fixed.scorer = present_losses(self.scorer, self._everybody()).__getitem__
        return fixed

    def surrogate_design(self) -> Design | None:
        return self.design

    def second_order(self) -> SecondOrder:
        gamma, pairs = random_then_top(self.design, self.ranked_by())
        return SecondOrder(
            gamma, torch.full_like(gamma, 1 / self.design.q), pairs=pairs, pairs_factor=1.0
        )
