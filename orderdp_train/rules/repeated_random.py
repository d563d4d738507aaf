"""RS2 (Okanovic et al., 2024): repeated random sampling without replacement across epochs."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from numpy.typing import ArrayLike

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.palette import INDIGO
from orderdp_train.rules.base import (
    Scores,
    Selection,
    SelectionRule,
    Weights,
    check_budget,
    losses_of_samples,
    random_subset,
    rounded,
)
from orderdp_train.rules.option import KEEP
from orderdp_train.rules.pairs import SecondOrder, certain_and_random, random_among
from orderdp_train.rules.registry import Setting, register


@register
class RepeatedRandom(SelectionRule):
    """A uniform m of the samples not used yet in the present cycle; a cycle uses each just once.

    Where fewer than m are left, all of them are kept, and the rest of the selection is drawn from
    the others and opens the next cycle. What counts as used is what `update` was told.

    Over the draws of a whole cycle every sample has chance m/n: unbiased for the mean loss. Given
    what its cycle has left, as `expected_weights` says, it follows the mean loss of that. One
    random permutation a selection, 2n bytes.

    Example:
        >>> rule, generator = RepeatedRandom(4, 2), torch.Generator().manual_seed(0)
        >>> first, _ = rule.select(generator)
        >>> rule.update(first, torch.zeros(2))
        >>> second, _ = rule.select(generator)
        >>> sorted(torch.cat([first, second]).tolist())  # a cycle uses each just once
        [0, 1, 2, 3]
    """

    name, label, colour, marker = "rs2", "RS2", INDIGO, "<"
    order = 8
    options = {"keep": KEEP}

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        return cls(setting.n, rounded(options["keep"], setting.n), device=setting.device)

    def __init__(self, n: int, m: int, *, device: torch.device | str = "cpu") -> None:
        self.n = n
        self.m = self.budget = check_budget(m, n)
        self.left = torch.ones(n, dtype=torch.bool, device=device)
        self.ahead = torch.zeros_like(self.left)
        """Used in this cycle, and before its turn in the next one."""

    def select(self, generator: torch.Generator) -> Selection:
        order = random_subset(self.n, self.n, generator, self.left.device)
        kept = order[self.left[order].logical_not().sort(stable=True).indices][: self.m]
        return kept, torch.ones(self.m, device=kept.device)

    def update(self, indices: ArrayLike, losses: ArrayLike) -> None:
        used = torch.zeros_like(self.left)
        indices, _ = losses_of_samples(indices, losses, self.n, used.float())
        used.index_fill_(0, indices, True)
        self.ahead |= used & ~self.left
        self.left &= ~used
        over = ~self.left.any()
        # The next cycle is not empty: who was used last was left, so not ahead.
        self.left = torch.where(over, ~self.ahead, self.left)
        self.ahead &= ~over

    def expected_weights(self, scores: Scores | None = None) -> Weights:
        left = int(self.left.sum())
        chance = torch.zeros(self.n, dtype=torch.float64, device=self.left.device)
        chance[self.left] = min(self.m / left, 1.0)
        if left < self.m:
            chance[~self.left] = (self.m - left) / (self.n - left)
        return chance / self.m

    def second_order(self) -> SecondOrder:
        left = self.left.cpu()
        number = int(left.sum())
        if number <= self.m:
            return certain_and_random(left, self.m - number, 1 / self.m, 1 / self.m)
        return random_among(left, self.m, 1 / self.m)

    def state_dict(self) -> dict[str, Any]:
        return {"left": self.left, "ahead": self.ahead}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        own = self.state_dict()
        if state.keys() != own.keys() or any(
            getattr(state[name], "shape", None) != mask.shape for name, mask in own.items()
        ):
            raise InputError(f"the state is not one of {type(self).__name__} over {self.n} samples")
        for name, mask in own.items():
            mask.copy_(state[name])
