"""No pruning."""

from collections.abc import Mapping
from typing import Any, Self

import torch

from orderdp_theory import Design
from orderdp_theory.common.palette import BLACK
from orderdp_train.rules.base import Scores, Selection, SelectionRule, Weights, check_budget
from orderdp_train.rules.pairs import SecondOrder, certain_and_random
from orderdp_train.rules.registry import Setting, register


@register
class FullData(SelectionRule):
    """Every sample, every time: E[g~] is the gradient of the mean loss. O(n) a selection.

    Example:
        >>> FullData(4).expected_weights().tolist()
        [0.25, 0.25, 0.25, 0.25]
    """

    name, label, colour, marker = "full", "full data", BLACK, "o"
    order = 0
    per_step = False

    def __init__(self, n: int, *, device: torch.device | str = "cpu") -> None:
        self.n = self.budget = check_budget(n, n)
        self.device = torch.device(device)

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        return cls(setting.n, device=setting.device)

    def select(self, generator: torch.Generator) -> Selection:
        return torch.arange(self.n, device=self.device), torch.ones(self.n, device=self.device)

    def expected_weights(self, scores: Scores | None = None) -> Weights:
        return torch.full((self.n,), 1 / self.n, dtype=torch.float64, device=self.device)

    def surrogate_design(self) -> Design:
        """Nothing is ranked: s = q."""
        return Design(self.n, self.n, self.n)

    def second_order(self) -> SecondOrder:
        return certain_and_random(torch.ones(self.n, dtype=torch.bool), 0, 1 / self.n, 0.0)
