"""InfoBatch (Qin et al., 2024) as the authors of OrderDP compare with it."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from jaxtyping import Bool
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.palette import ORANGE
from orderdp_train.rules.base import ScoredRule, Scores, Selection, Weights, random_subset
from orderdp_train.rules.option import Option
from orderdp_train.rules.pairs import SecondOrder, certain_and_random
from orderdp_train.rules.registry import Setting, register


@register
class InfoBatch(ScoredRule):
    """Prune a fraction r of the samples scored below the mean, weight the others of those 1/(1-r).

    Of the n_low samples below the mean a uniform subset of fixed size round((1-r) n_low) is kept
    with weight 1/(1-r); all others are kept with weight 1. The number kept therefore depends on the
    scores (`budget` is None; a selection's length says it). The mean over a selection of m samples
    has expectation about (n/m) grad L: the right direction, and a longer step for fewer steps an
    epoch.

    Before the first update all scores are equal, nothing is below their mean and all is kept.
    `anneal_from`: from that epoch on, counted from 0, train on everything with weight 1.

    Cost of a selection: a mean and a comparison over n, a random permutation of n_low.

    Example:
        >>> rule = InfoBatch(4, prune_probability=0.5)
        >>> rule.update(range(4), [3.0, 2.0, 0.0, 0.0])
        >>> indices, weights = rule.select(torch.Generator().manual_seed(0))
        >>> sorted(weights.tolist())  # of the two below the mean one is kept, and counts twice
        [1.0, 1.0, 2.0]
    """

    name, label, colour, marker = "infobatch", "InfoBatch", ORANGE, "v"
    order = 4
    per_step = False
    options = {
        "keep": Option(0.5, "One minus its prune probability.", low=0, high=1, open="low"),
        "anneal": Option(
            0.0,
            "Last part of the epochs that it trains on everything.",
            low=0,
            high=1,
            open="high",
        ),
    }

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        anneal = options["anneal"]
        if anneal and setting.epochs is None:
            raise InputError("annealing needs the length of the training: give epochs")
        start = round((1 - anneal) * setting.epochs) if anneal and setting.epochs else None
        return cls(setting.n, 1 - options["keep"], anneal_from=start, device=setting.device)

    def __init__(
        self,
        n: int,
        prune_probability: float = 0.5,
        *,
        anneal_from: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(n, initial_score=1.0, device=device)
        if not 0 <= prune_probability < 1:
            raise InputError(f"the prune probability must lie in [0, 1), got {prune_probability}")
        self.budget = None
        self.keep_probability = 1 - prune_probability
        self.anneal_from = anneal_from
        self._annealing = anneal_from is not None and anneal_from <= 0

    def set_epoch(self, epoch: int) -> None:
        self._annealing = self.anneal_from is not None and epoch >= self.anneal_from

    def select(self, generator: torch.Generator) -> Selection:
        low, size = self.prunable(self.scores)
        weights = torch.ones(self.n, device=low.device)
        weights[low] = 0
        candidates = low.nonzero().squeeze(1)
        kept = candidates[random_subset(len(candidates), size, generator, low.device)]
        weights[kept] = 1 / self.keep_probability
        indices = weights.nonzero().squeeze(1)
        return indices, weights[indices]

    def expected_weights(self, scores: Scores | None = None) -> Weights:
        low, size = self.prunable(self._given(scores))
        n_low = int(low.sum())
        weights = torch.ones(self.n, dtype=torch.float64, device=low.device)
        if n_low:
            weights[low] = size / (n_low * self.keep_probability)
        return weights / (self.n - n_low + size)

    def prunable(self, scores: Scores) -> tuple[Bool[Tensor, "{self.n}"], int]:
        """Which samples are below the mean, bool `(n,)`, and how many of them are kept."""
        scores = scores.double()
        low = scores < scores.mean()
        if self._annealing:
            low = torch.zeros_like(low)
        return low, round(self.keep_probability * int(low.sum()))

    def second_order(self) -> SecondOrder:
        low, kept = self.prunable(self.scores)
        m = self.n - int(low.sum()) + kept
        return certain_and_random(~low.cpu(), kept, 1 / m, 1 / (self.keep_probability * m))
