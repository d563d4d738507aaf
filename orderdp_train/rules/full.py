"""No pruning."""

import torch
from torch import Tensor

from orderdp_train.rules.base import Selection, SelectionRule, check_budget


class FullData(SelectionRule):
    """Every sample, every time: E[g~] is the gradient of the mean loss. O(n) a selection."""

    def __init__(self, n: int, *, device: torch.device | str = "cpu") -> None:
        self.n = self.budget = check_budget(n, n)
        self.device = torch.device(device)

    def select(self, generator: torch.Generator) -> Selection:
        return torch.arange(self.n, device=self.device), torch.ones(self.n, device=self.device)

    def expected_weights(self, scores: Tensor | None = None) -> Tensor:
        return torch.full((self.n,), 1 / self.n, dtype=torch.float64, device=self.device)
