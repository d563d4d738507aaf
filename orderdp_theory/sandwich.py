"""The surrogate loss lies between the mean and the CVaR, and how near the CVaR it lies."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked, double_array, require_design
from orderdp_theory.design import Design
from orderdp_theory.deviation import relative_excess
from orderdp_theory.ranking import Ranking


@dataclass(frozen=True)
class CvarSandwich:
    """mean <= surrogate <= cvar <= surrogate + width.

    mean: L, of all losses. surrogate: L_q. cvar: the mean of the worst q/s share of the losses, of
    which the last one counts in part if n q/s is not an integer. width: the bound on their distance
    that `sandwich_width` gives for the range of the losses.

    Example:
        >>> found = cvar_sandwich([1.0, 0.5, 0.0, 0.0], Design(4, 4, 2))
        >>> found.width, round(found.surrogate, 12), round(found.cvar, 12)  # s = n: L_q is the CVaR
        (0.0, 0.75, 0.75)
    """

    mean: float
    surrogate: float
    cvar: float
    width: float


@checked
def sandwich_width(design: Design) -> float:
    """(1/2) sqrt((1 - q/s) (n - s) / (q (n - 1))), 0 for n = 1: how far L_q is from the CVaR.

    CVaR_{q/s} - L_q <= this times the range of the losses, for all losses. It is exactly 0 for
    s = n and for q = s, where L_q is the CVaR, and O(1/sqrt(q)) otherwise; no factor below
    sqrt(2/pi) = 0.798 can stand before it.

    Example:
        >>> sandwich_width(Design(10, 10, 6))  # L_q is the CVaR
        0.0
        >>> round(sandwich_width(Design.from_ratios(50_000)), 5)
        0.00183
    """
    require_design(design)
    n, s, q = design.n, design.s, design.q
    return sqrt((s - q) * (n - s) / (s * q * (n - 1))) / 2 if n > 1 else 0.0


@checked
def cvar_sandwich(losses: ArrayLike, design: Design) -> CvarSandwich:
    """L <= L_q <= CVaR_{q/s} <= L_q + width for losses `(n,)`: what random-then-top minimizes.

    Statement and proof: proofs/sandwich.md. A candidate set is a random sample of the data, so
    keeping the top q of s is nearly keeping the top q/s share of everything. The values are sums of
    centred losses, off by about 1e-14 times their range. `ValueError` and `TypeError` as for
    `surrogate_weights`.

    Example:
        >>> found = cvar_sandwich([4.0, 1.0, 0.0, 0.0], Design(4, 2, 1))
        >>> found.mean, round(found.surrogate, 4), found.cvar
        (1.25, 2.3333, 2.5)
        >>> round(found.surrogate + found.width, 4)
        3.488
    """
    width = sandwich_width(design)
    losses = double_array(losses)
    order = Ranking.of(losses, design.n).order
    mean = float(losses.mean())
    centred = losses[order] - mean
    rounding = float(centred.mean())  # of the mean: without it, constant losses have another one
    mean, centred = mean + rounding, centred - rounding
    mass = design.n * design.q / design.s
    worst = np.clip(mass - np.arange(design.n), 0, 1)
    # Rounding may not turn around what holds for the exact values.
    gap = max(float(relative_excess(design) @ centred) / design.n, 0.0)
    excess = max(float(worst @ centred) / mass, gap)
    return CvarSandwich(mean, mean + gap, mean + excess, width * float(np.ptp(losses)))
