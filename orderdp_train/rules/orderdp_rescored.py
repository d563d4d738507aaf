"""OrderDP with stored scores that are never older than n/r selections."""

import copy
import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike
from torch import Tensor

from orderdp_theory import Design
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.palette import FOREST
from orderdp_train.rules.base import Scorer, design_of, present_losses, rounded
from orderdp_train.rules.option import EXPLORE, INITIAL_SCORE, KEEP, Option, as_number
from orderdp_train.rules.orderdp import OrderDP
from orderdp_train.rules.registry import Setting, register


@register
class RescoredOrderDP(OrderDP):
    """`OrderDP` that scores `rescored` samples anew, in turn, before each selection.

    `scorer` maps sample indices to their present losses. Cost: `rescored` = r forward passes a
    selection, next to none for stored and s for fresh scores, so it pays for r < s only. From the
    n/r-th selection on no score is older than ceil(n/r) - 1 selections, which bounds what stale
    ranks cost; Algorithm 1 has no such bound.

    The r new scores are those of the model that selects. They are stored, and the turn passes on,
    at the first `update` after it; a selection that is not trained on leaves no trace in them. A
    state taken in between has the new scores.

    Example:
        >>> losses, generator = torch.tensor([3.0, 2.0, 1.0, 0.0]), torch.Generator().manual_seed(0)
        >>> rule = RescoredOrderDP(Design(4, 4, 1), rescored=2, scorer=lambda turn: losses[turn])
        >>> kept, _ = rule.select(generator)
        >>> rule.update(kept, losses[kept])
        >>> rule.in_turn().tolist()  # samples 0 and 1 had their turn
        [2, 3]
    """

    name, label, colour, marker = "orderdp-rescored", "OrderDP (rescored)", FOREST, "H"
    order = 12
    needs_scorer = True
    options = {
        "keep": KEEP,
        "explore": EXPLORE,
        "rescore": Option(
            0.1,
            "Share r/n of the samples scored anew before each selection.",
            low=0,
            high=1,
            open="low",
            share=True,
        ),
        "initial_score": INITIAL_SCORE,
    }

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        assert setting.scorer is not None  # who builds it sees to that
        return cls(
            design_of(setting.n, options["keep"], options["explore"]),
            rounded(options["rescore"], setting.n),
            setting.scorer,
            initial_score=as_number(options["initial_score"]),
            device=setting.device,
        )

    def __init__(
        self,
        design: Design,
        rescored: int,
        scorer: Scorer,
        *,
        initial_score: float = math.inf,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(design, initial_score=initial_score, device=device)
        if not 1 <= rescored <= design.n:
            raise InputError(f"rescored must lie in 1 ... n = {design.n}, got {rescored}")
        self.rescored, self.rescorer = rescored, scorer
        self.turn = torch.zeros((), dtype=torch.int64)
        self.fresh = torch.zeros(rescored, device=device)
        self.selected = torch.zeros((), dtype=torch.bool)
        """Whether `fresh` holds the new scores of a selection that is not trained on yet."""

    def in_turn(self) -> Int64[Tensor, "{self.rescored}"]:
        """The samples scored before the next selection, int64 `(rescored,)`."""
        return (torch.arange(self.rescored, device=self.scores.device) + int(self.turn)) % self.n

    def _scores_of(self, indices: Int64[Tensor, "s"]) -> Float[Tensor, "s"]:
        turn = self.in_turn()
        self.fresh = present_losses(self.rescorer, turn).to(self.scores)
        self.selected = torch.ones_like(self.selected)
        return self.scores.index_put((turn,), self.fresh)[indices]

    def update(self, indices: ArrayLike, losses: ArrayLike) -> None:
        if self.selected:
            super().update(self.in_turn(), self.fresh)
            self.turn.add_(self.rescored).remainder_(self.n)
            self.selected = torch.zeros_like(self.selected)
        super().update(indices, losses)

    def at_present(self) -> Self:
        fixed = copy.copy(self)
        present = present_losses(self.rescorer, self.in_turn())
        fixed.rescorer = lambda _: present
        return fixed

    def state_dict(self) -> dict[str, Any]:
        own = {"turn": self.turn, "fresh": self.fresh, "selected": self.selected}
        return super().state_dict() | own
