"""RHO-loss (Mindermann et al., 2022): rank by how much of a loss can still be reduced."""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from orderdp_theory import Design
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.palette import TEAL
from orderdp_train.rules.base import Scorer, Scores, as_vector
from orderdp_train.rules.orderdp import OrderDP
from orderdp_train.rules.registry import register


@register
class RHOLoss(OrderDP):
    """Random-then-top by loss minus `holdout_losses` `(n,)`, the losses of a model trained
    elsewhere.

    With a `scorer`, as published, the losses are the candidates' present ones; without, the stored
    ones. Selected at every step with q of s candidates it is the authors' algorithm. Labels that
    no model predicts have a large holdout loss, and so do not come first as in `OrderDP`.

    Raises `ValueError` unless there is one finite holdout loss a sample. It is made from them, so
    no name builds it.

    Example:
        >>> rule = RHOLoss(Design(4, 4, 1), holdout_losses=torch.tensor([3.0, 0.5, 0.5, 0.0]))
        >>> rule.update(range(4), [3.0, 2.0, 1.0, 0.0])
        >>> rule.expected_weights().tolist()  # nobody predicts the label of the first
        [0.0, 1.0, 0.0, 0.0]
    """

    name, label, colour, marker = "rho-loss", "RHO-loss", TEAL, "h"
    order = 10
    options = {}
    made_from = "holdout losses"
    per_step = False

    def __init__(
        self,
        design: Design,
        holdout_losses: Float[Tensor, "{design.n}"],
        *,
        initial_score: float = math.inf,
        scorer: Scorer | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(design, initial_score=initial_score, scorer=scorer, device=device)
        holdout = as_vector("holdout_losses", holdout_losses).to(self.scores)
        if holdout.shape != (design.n,) or not holdout.isfinite().all():
            raise InputError(
                f"RHO-loss needs a finite holdout loss for each of {design.n} samples, "
                f"got shape {tuple(holdout.shape)}"
            )
        self.holdout_losses = holdout

    def ranked_by(self, losses: Scores | None = None) -> Scores:
        if losses is None:
            return super().ranked_by()
        losses = self._given(losses)
        return losses - self.holdout_losses.to(losses)

    def _scores_of(self, indices: Int64[Tensor, "s"]) -> Float[Tensor, "s"]:
        return super()._scores_of(indices) - self.holdout_losses[indices]
