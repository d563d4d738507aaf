"""What the two bandit-like rules of Raju et al. (2021) share: a moving average of the loss."""

import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from numpy.typing import ArrayLike

from orderdp_theory import Ranking
from orderdp_theory.common.errors import InputError
from orderdp_train.rules.base import ScoredRule, Scores, Weights, check_budget, finite, rounded
from orderdp_train.rules.option import KEEP, Option
from orderdp_train.rules.pairs import SecondOrder, certain_and_random
from orderdp_train.rules.registry import Setting


class MovingAverage(ScoredRule):
    """Scores start as the first loss, then m <- (1-decay) m + decay loss; unused samples first."""

    options = {
        "keep": KEEP,
        "decay": Option(0.8, "Weight of a new loss in the average.", low=0, high=1, open="low"),
    }

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        """Each option but the budget is an argument of that name."""
        own = {name: value for name, value in options.items() if name != "keep"}
        return cls(setting.n, rounded(options["keep"], setting.n), device=setting.device, **own)

    def __init__(self, n: int, k: int, *, decay: float, device: torch.device | str) -> None:
        super().__init__(n, initial_score=math.inf, device=device)
        if not 0 < decay <= 1:
            raise InputError(f"the weight of a new loss must lie in (0, 1], got {decay}")
        self.k = self.budget = check_budget(k, n)
        self.decay = decay

    def update(self, indices: ArrayLike, losses: ArrayLike) -> None:
        indices, losses = self._checked(indices, losses)
        old = self.scores[indices]
        average = (1 - self.decay) * old + self.decay * losses
        self.scores[indices] = torch.where(old.isinf(), losses, average)

    def _by_rank(self, scores: Scores, per_rank: Weights) -> Weights:
        """Give every sample the value of its score's rank, tied ranks sharing their mean."""
        ranking = Ranking.of(finite(scores).cpu().numpy())
        values = ranking.to_input_order(ranking.average_ties(per_rank.numpy()))
        return torch.from_numpy(values).to(self.scores.device)

    def _by_threshold(self, number: int) -> SecondOrder | None:
        """Second order where `number` samples are certain and the rest of the budget is random."""
        chance = self.expected_weights().cpu() * self.k
        certain = chance >= 1 - 1e-12
        if int(certain.sum()) != number and not bool(certain.all()):
            return None  # scores are tied at the border
        return certain_and_random(certain, self.k - number, 1 / self.k, 1 / self.k)
