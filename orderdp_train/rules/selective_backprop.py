"""Selective backprop (Jiang et al., 2019): keep a sample with a power of its loss's percentile."""

from collections.abc import Mapping
from typing import Any, Self

import torch

from orderdp_theory import poisson_mean_weights
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.palette import WINE
from orderdp_train.rules.base import (
    ScoredRule,
    Scores,
    Selection,
    Weights,
    check_generator,
    finite,
)
from orderdp_train.rules.option import INITIAL_SCORE, Option, as_number
from orderdp_train.rules.registry import Setting, register


@register
class SelectiveBackprop(ScoredRule):
    """Keep each sample on its own with probability (share of scores not above its own) ** beta.

    The authors take the share among recent losses and form full batches of what is kept, weighted
    equally; here it is the share among all stored scores. The number kept is random, about
    n / (beta + 1) of distinct scores (`budget` is None); the largest score is always kept, so it is
    never 0. While all scores are equal everything is kept, and never-used samples (score `inf`)
    are.

    Biased for the mean loss. `expected_weights` is exact for the mean over a random number of
    samples; it is not the probabilities over their sum. A selection costs a sort of n.

    Example:
        >>> rule = SelectiveBackprop(4, beta=1.0)
        >>> rule.update(range(4), [3.0, 2.0, 1.0, 0.0])
        >>> rule.inclusion_probabilities(rule.scores).tolist()
        [1.0, 0.75, 0.5, 0.25]
    """

    name, label, colour, marker = "selective-backprop", "selective backprop", WINE, ">"
    order = 9
    per_step = False
    options = {
        "keep": Option(
            0.3,
            "Kept fraction of distinct losses, 1 / (beta + 1), in the mean.",
            low=0,
            high=1,
            open="low",
        ),
        "initial_score": INITIAL_SCORE,
    }

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        initial = as_number(options["initial_score"])
        beta = 1 / options["keep"] - 1
        return cls(setting.n, beta, initial_score=initial, device=setting.device)

    def __init__(
        self,
        n: int,
        beta: float,
        *,
        initial_score: float = torch.inf,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(n, initial_score=initial_score, device=device)
        if not 0 <= beta < torch.inf:
            raise InputError(f"the power beta must be a number of at least 0, got {beta}")
        self.budget = None
        self.beta = beta

    def select(self, generator: torch.Generator) -> Selection:
        check_generator(generator)
        uniform = torch.rand(
            self.n, generator=generator, device=generator.device, dtype=torch.float64
        )
        chance = self.inclusion_probabilities(self.scores)
        indices = (uniform.to(chance.device) < chance).nonzero().squeeze(1)
        return indices, torch.ones(len(indices), device=indices.device)

    def inclusion_probabilities(self, scores: Scores) -> Weights:
        """The chance of every sample to be kept, float64 `(n,)`; tied samples have the same."""
        scores = finite(scores)
        not_above = torch.searchsorted(scores.sort().values, scores, right=True)
        return (not_above.double() / self.n) ** self.beta

    def expected_weights(self, scores: Scores | None = None) -> Weights:
        chance = self.inclusion_probabilities(self._given(scores))
        return torch.from_numpy(poisson_mean_weights(chance.cpu().numpy())).to(chance.device)
