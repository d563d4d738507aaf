"""Uniform dynamic pruning."""

import torch
from torch import Tensor

from orderdp_train.rules.base import Selection, SelectionRule, check_budget, random_subset


class RandomSubset(SelectionRule):
    """A uniform subset of m samples, a new one each time: unbiased for the mean loss.

    The paper's "dynamic random". One random permutation a selection, no memory.
    """

    def __init__(self, n: int, m: int, *, device: torch.device | str = "cpu") -> None:
        self.n = n
        self.m = self.budget = check_budget(m, n)
        self.device = torch.device(device)

    def select(self, generator: torch.Generator) -> Selection:
        kept = random_subset(self.n, self.m, generator, self.device)
        return kept, torch.ones(self.m, device=self.device)

    def expected_weights(self, scores: Tensor | None = None) -> Tensor:
        return torch.full((self.n,), 1 / self.n, dtype=torch.float64, device=self.device)
