"""A subset that never changes: what static pruning and coresets train on."""

from typing import Any

import torch
from jaxtyping import Integer, Real
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.palette import OLIVE
from orderdp_train.rules.base import (
    Scores,
    Selection,
    SelectionRule,
    Weights,
    as_vector,
    check_budget,
)
from orderdp_train.rules.pairs import SecondOrder
from orderdp_train.rules.registry import register


@register
class FixedSubset(SelectionRule):
    """The same `indices`, int64 `(m,)`, in every selection, with fixed `weights` `(m,)`.

    Weights are normalised to mean 1, so those of CRAIG, which sum to n, mean the same to the loop;
    without any, all are 1. E[g~] is the gradient of the weighted mean loss of the subset, with no
    variance: all that separates it from the full gradient is bias. O(m) a selection.

    Raises `ValueError` for indices that are out of range, repeated or none, and for weights that
    are negative, not finite or all 0. It is made from its indices, so no name builds it.

    Example:
        >>> rule = FixedSubset(4, torch.tensor([0, 2]), weights=torch.tensor([3.0, 1.0]))
        >>> rule.expected_weights().tolist()
        [0.75, 0.0, 0.25, 0.0]
    """

    name, label, colour, marker = "fixed-subset", "fixed subset", OLIVE, "p"
    order = 14
    made_from = "the indices of a subset"
    per_step = False

    def __init__(
        self,
        n: int,
        indices: Integer[Tensor, "m"],
        weights: Real[Tensor, "m"] | None = None,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        indices = as_vector("indices", indices).to(device)
        if indices.is_floating_point() or indices.dtype == torch.bool:
            raise InputError("a fixed subset needs the indices of its samples, integers (m,)")
        self.n, self.budget = n, check_budget(len(indices), n)
        self.indices = indices.long()
        if int(indices.min()) < 0 or int(indices.max()) >= n or len(indices.unique()) < self.budget:
            raise InputError(f"the indices of a subset must be different and lie in 0..{n - 1}")
        if weights is None:
            weights = torch.ones(self.budget)
        weights = as_vector("weights", weights).to(device, torch.float64)
        total = float(weights.sum())
        if weights.shape != indices.shape or not (weights.isfinite() & (weights >= 0)).all():
            raise InputError(f"a subset of {self.budget} needs as many finite weights >= 0")
        if total == 0:
            raise InputError("the weights of a subset are all 0: nothing would be trained on")
        self.weights = weights * (self.budget / total)

    def select(self, generator: torch.Generator) -> Selection:
        return self.indices.clone(), self.weights.float()

    def expected_weights(self, scores: Scores | None = None) -> Weights:
        expected = torch.zeros(self.n, dtype=torch.float64, device=self.indices.device)
        expected[self.indices] = self.weights / len(self.indices)
        return expected

    def second_order(self) -> SecondOrder:
        expected = self.expected_weights().cpu()
        kept = torch.zeros_like(expected)
        kept[self.indices.cpu()] = 1.0
        return SecondOrder(kept, expected, product=1.0)

    def state_dict(self) -> dict[str, Any]:
        return {"indices": self.indices, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        mine = self.state_dict()
        if state.keys() != mine.keys() or not all(
            torch.equal(state[k].to(mine[k]), mine[k]) for k in mine
        ):
            raise InputError(
                f"the state is that of another subset than this one of {self.n} samples"
            )
