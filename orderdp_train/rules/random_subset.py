"""Uniform dynamic pruning."""

from collections.abc import Mapping
from typing import Any, Self

import torch

from orderdp_theory import Design
from orderdp_theory.common.palette import GREY
from orderdp_train.rules.base import (
    Scores,
    Selection,
    SelectionRule,
    Weights,
    check_budget,
    random_subset,
    rounded,
)
from orderdp_train.rules.option import KEEP
from orderdp_train.rules.pairs import SecondOrder, certain_and_random
from orderdp_train.rules.registry import Setting, register


@register
class RandomSubset(SelectionRule):
    """A uniform subset of m samples, a new one each time: unbiased for the mean loss.

    The paper's "dynamic random". One random permutation a selection, no memory.

    Example:
        >>> indices, weights = RandomSubset(6, 4).select(torch.Generator().manual_seed(0))
        >>> len(set(indices.tolist())), weights.tolist()
        (4, [1.0, 1.0, 1.0, 1.0])
    """

    name, label, colour, marker = "random", "random subset", GREY, "s"
    order = 1
    options = {"keep": KEEP}

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        return cls(setting.n, rounded(options["keep"], setting.n), device=setting.device)

    def __init__(self, n: int, m: int, *, device: torch.device | str = "cpu") -> None:
        self.n = n
        self.m = self.budget = check_budget(m, n)
        self.device = torch.device(device)

    def select(self, generator: torch.Generator) -> Selection:
        kept = random_subset(self.n, self.m, generator, self.device)
        return kept, torch.ones(self.m, device=self.device)

    def expected_weights(self, scores: Scores | None = None) -> Weights:
        return torch.full((self.n,), 1 / self.n, dtype=torch.float64, device=self.device)

    def surrogate_design(self) -> Design:
        """Nothing is ranked: s = q."""
        return Design(self.n, self.m, self.m)

    def second_order(self) -> SecondOrder:
        nobody = torch.zeros(self.n, dtype=torch.bool)
        return certain_and_random(nobody, self.m, 0.0, 1 / self.m)
