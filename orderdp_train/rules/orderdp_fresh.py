"""OrderDP ranked by the candidates' present losses."""

from collections.abc import Mapping
from typing import Any, Self

from orderdp_theory.common.palette import BLUE
from orderdp_train.rules.base import design_of
from orderdp_train.rules.option import EXPLORE, KEEP
from orderdp_train.rules.orderdp import OrderDP
from orderdp_train.rules.registry import Setting, register


@register
class FreshOrderDP(OrderDP):
    """`OrderDP` with a `scorer`: Theorem 1 holds for it as it stands.

    Example:
        >>> losses = torch.tensor([3.0, 2.0, 1.0, 0.0])
        >>> rule = FreshOrderDP(Design(4, 2, 1), scorer=lambda candidates: losses[candidates])
        >>> rule.expected_weights().numpy().round(4).tolist()
        [0.5, 0.3333, 0.1667, 0.0]
    """

    name, label, colour, marker = "orderdp-fresh", "OrderDP (fresh scores)", BLUE, "D"
    order = 2
    options = {"keep": KEEP, "explore": EXPLORE}
    needs_scorer = True

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        design = design_of(setting.n, options["keep"], options["explore"])
        return cls(design, scorer=setting.scorer, device=setting.device)
