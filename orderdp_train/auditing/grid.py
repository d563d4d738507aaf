"""A grid of designs, audited side by side at one model."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch

from orderdp_theory import Design
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_at_most
from orderdp_train.auditing.point import Point
from orderdp_train.rules import OrderDP, ScoredRule, SelectionRule
from orderdp_train.rules.base import design_of
from orderdp_train.training.loop import losses_of

AXIS = re.compile(r"(explore|keep|exploit)=([0-9.eE+-]+)(?::([0-9.eE+-]+):([0-9]+))?")
MOST_DESIGNS = 10_000


def parse_grid(text: str, n: int) -> list[Design]:
    """Designs over `n` samples from text such as `explore=0.3:1.0:8,keep=0.2:0.9:8`.

    An axis is `name=value` or `name=first:last:count`. `explore` is s/n; give it and either
    `keep`, q/n, or `exploit`, q/s. Combinations that keep more than they explore are left out.
    Raises `InputError` for anything else, and if no design is left.
    """
    axes: dict[str, Any] = {}
    for part in text.split(","):
        match = AXIS.fullmatch(part.strip())
        try:
            if match is None or match[1] in axes:
                raise ValueError
            first, last, count = float(match[2]), float(match[3] or match[2]), int(match[4] or 1)
        except ValueError:  # also of a number such as 1e, or of thousands of digits
            raise InputError(
                f"cannot read {part[:80]!r} of the grid; write explore=0.3:1.0:8,keep=0.2:0.9:8, "
                "each axis as first:last:count or one value"
            ) from None
        if count < 1 or not (0 < first <= 1 and 0 < last <= 1):
            raise InputError(f"the grid's {match[1]} must lie in (0, 1] with a count of at least 1")
        axes[match[1]] = (first, last, count)
    if set(axes) not in ({"explore", "keep"}, {"explore", "exploit"}):
        raise InputError("a grid has two axes: explore, and either keep or exploit")
    other = "keep" if "keep" in axes else "exploit"
    designs_asked = axes["explore"][2] * axes[other][2]
    require_at_most("the grid's number of designs", designs_asked, MOST_DESIGNS, "each is audited")
    designs: dict[Design, None] = {}
    for explore in np.linspace(*axes["explore"]).tolist():
        for value in np.linspace(*axes[other]).tolist():
            keep = value if other == "keep" else explore * value
            if keep <= explore * (1 + 1e-12):
                designs[design_of(n, keep, explore)] = None
    if not designs:
        raise InputError("every design of the grid keeps more than it explores; raise explore")
    return list(designs)


def grid_rules(text: str, point: Point, *, stored: bool = False) -> dict[str, SelectionRule]:
    """An OrderDP rule a design of the grid, ranking by the point's present losses.

    With `stored` by the scores that its rule has stored instead, if it stores any.
    """
    scores = point.rule.scores if stored and isinstance(point.rule, ScoredRule) else None
    n, device = point.data.num_train, point.data.device
    everybody = torch.arange(n, device=device)
    losses = losses_of(point.model, point.data, everybody, point.recipe) if scores is None else None
    rules: dict[str, SelectionRule] = {}
    for design in parse_grid(text, n):
        name = f"s/n={design.s / design.n:.3f} q/n={design.q / design.n:.3f}"
        rule = OrderDP(design, scorer=None if losses is None else losses.__getitem__, device=device)
        if scores is not None:
            rule.scores = scores.clone()
        rules[name] = rule
    return rules
