"""The upper-confidence-bound rule of Raju et al. (2021)."""

import math
from typing import Any

import torch
from numpy.typing import ArrayLike

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.palette import PINK
from orderdp_train.rules.base import Scores, Selection, Weights, random_subset, top, where_true
from orderdp_train.rules.moving_average import MovingAverage
from orderdp_train.rules.option import Option
from orderdp_train.rules.pairs import SecondOrder
from orderdp_train.rules.registry import register


@register
class UCB(MovingAverage):
    """Keep the k samples with the largest average loss + c * its moving standard deviation.

    The variance follows v <- (1-decay)(v + decay (loss - m)^2), the exponentially weighted
    counterpart of the average m. Apart from ties the selection is deterministic: a sample outside
    the top k stays out until others fall below it.

    Cost of a selection: a random permutation (for ties), a gather and a partial selection over n;
    memory 8n bytes.

    Example:
        >>> rule = UCB(4, 2, c=1.0)
        >>> rule.update(range(4), [3.0, 2.0, 1.0, 0.0])
        >>> rule.expected_weights().tolist()
        [0.5, 0.5, 0.0, 0.0]
    """

    name, label, colour, marker = "ucb", "UCB", PINK, "*"
    order = 7
    options = {
        **MovingAverage.options,
        "c": Option(1.0, "Standard deviations added to the average.", low=0),
    }

    def __init__(
        self,
        n: int,
        k: int,
        *,
        c: float = 1.0,
        decay: float = 0.8,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(n, k, decay=decay, device=device)
        if not (math.isfinite(c) and c >= 0):
            raise InputError(f"c must be a non-negative number, got {c}")
        self.c = c
        self.variances = torch.zeros_like(self.scores)

    def update(self, indices: ArrayLike, losses: ArrayLike) -> None:
        indices, losses = self._checked(indices, losses)
        old = self.scores[indices]
        spread = self.variances[indices] + self.decay * (losses - old).square()
        self.variances[indices] = torch.where(old.isinf(), 0, (1 - self.decay) * spread)
        super().update(indices, losses)

    def bounds(self) -> Scores:
        """The upper confidence bounds that rank the samples, float32 `(n,)`."""
        return self.scores + self.c * self.variances.sqrt()

    def select(self, generator: torch.Generator) -> Selection:
        order = random_subset(self.n, self.n, generator, self.scores.device)
        kept = order[where_true(top(self.bounds()[order], self.k), self.k)]
        return kept, torch.ones(self.k, device=kept.device)

    def expected_weights(self, scores: Scores | None = None) -> Weights:
        chance = torch.zeros(self.n, dtype=torch.float64)
        chance[: self.k] = 1 / self.k
        return self._by_rank(self.bounds() if scores is None else self._given(scores), chance)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"variances": self.variances}

    def second_order(self) -> SecondOrder | None:
        return self._by_threshold(self.k)
