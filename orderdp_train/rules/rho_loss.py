"""RHO-loss (Mindermann et al., 2022): rank by how much of a loss can still be reduced."""

import copy
import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from orderdp_theory import Design
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.palette import TEAL
from orderdp_train.rules.base import Holdout, Scorer, Scores, as_vector, design_of
from orderdp_train.rules.option import EXPLORE, KEEP
from orderdp_train.rules.orderdp import OrderDP
from orderdp_train.rules.registry import Setting, register


@register
class RHOLoss(OrderDP):
    """Random-then-top by loss minus `holdout_losses` `(n,)`, the losses of models trained on other
    samples.

    With a `scorer`, as published, the losses are the candidates' present ones; without, the stored
    ones. Selected at every step with q of s candidates it is the authors' algorithm. Labels that
    no model predicts have a large holdout loss, and so do not come first as in `OrderDP`. By name
    it has a scorer, and in `run` and `reproduce` the holdout losses of each half of the samples are
    those of the training's model trained on the other half, once, without pruning.

    A function that gives the losses is asked when they are first needed, and not at all if a state
    is loaded before, which has them. Raises `ValueError` unless there is one finite holdout loss a
    sample.

    Example:
        >>> rule = RHOLoss(Design(4, 4, 1), holdout_losses=torch.tensor([3.0, 0.5, 0.5, 0.0]))
        >>> rule.update(range(4), [3.0, 2.0, 1.0, 0.0])
        >>> rule.expected_weights().tolist()  # nobody predicts the label of the first
        [0.0, 1.0, 0.0, 0.0]
    """

    name, label, colour, marker = "rho-loss", "RHO-loss", TEAL, "h"
    order = 10
    options = {"keep": KEEP, "explore": EXPLORE}
    needs_scorer = True
    needs_holdout = True

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        design = design_of(setting.n, options["keep"], options["explore"])
        holdout = setting.holdout or _nobody
        return cls(design, holdout, scorer=setting.scorer, device=setting.device)

    def __init__(
        self,
        design: Design,
        holdout_losses: Float[Tensor, "{design.n}"] | Holdout,
        *,
        initial_score: float = math.inf,
        scorer: Scorer | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(design, initial_score=initial_score, scorer=scorer, device=device)
        self._holdout = holdout_losses if callable(holdout_losses) else self._sound(holdout_losses)

    @property
    def holdout_losses(self) -> Float[Tensor, "{self.n}"]:
        """On the rule's device, in single precision."""
        if callable(self._holdout):
            self._holdout = self._sound(self._holdout())
        return self._holdout

    def _sound(self, losses: Any) -> Float[Tensor, "{self.n}"]:
        holdout = as_vector("holdout_losses", losses).to(self.scores)
        if holdout.shape != (self.n,) or not holdout.isfinite().all():
            raise InputError(
                f"RHO-loss needs a finite holdout loss for each of {self.n} samples, "
                f"got shape {tuple(holdout.shape)}"
            )
        return holdout

    def prepare(self) -> None:
        self.state_dict()

    def ranked_by(self, losses: Scores | None = None) -> Scores:
        if losses is None:
            return super().ranked_by()
        losses = self._given(losses)
        return losses - self.holdout_losses.to(losses)

    def _scores_of(self, indices: Int64[Tensor, "s"]) -> Float[Tensor, "s"]:
        return super()._scores_of(indices) - self.holdout_losses[indices]

    def surrogate_design(self) -> None:
        """None: its weights do not fall with the loss."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "holdout_losses": self.holdout_losses}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        loaded = copy.copy(self)
        loaded._holdout = torch.zeros_like(self.scores)
        super(RHOLoss, loaded).load_state_dict(state)
        self._holdout = self._sound(loaded._holdout)


def _nobody() -> Tensor:
    raise InputError(
        "rho-loss needs losses of models trained on other samples: give a holdout, or use RHOLoss"
    )
