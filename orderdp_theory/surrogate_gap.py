"""How much larger the surrogate loss is than the loss one wants, and two bounds on it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked, double_array
from orderdp_theory.design import Design
from orderdp_theory.deviation import chi, relative_excess, total_variation
from orderdp_theory.ranking import Ranking


@dataclass(frozen=True)
class Gap:
    """L_q - L at one point, with what bounds it: 0 <= value <= min(chi_std, tv_range).

    chi, total_variation: distances of the design's weights to uniform ones.
    std, range: population standard deviation and max - min of the per-sample losses.

    Example:
        >>> found = gap([1.0, 0.0, 0.0, 0.0], Design(4, 2, 1))
        >>> round(found.value, 12), round(found.chi_std, 4), round(found.tv_range, 4)
        (0.25, 0.3227, 0.3333)
    """

    value: float
    chi: float
    std: float
    total_variation: float
    range: float

    @property
    def chi_std(self) -> float:
        """The Cauchy-Schwarz bound, attained by losses that are affine in the weights."""
        return self.chi * self.std

    @property
    def tv_range(self) -> float:
        """The total-variation bound, attained by two-valued losses that split at weight 1/n."""
        return self.total_variation * self.range


@checked
def gap(losses: ArrayLike, design: Design) -> Gap:
    """L_q - L = sum_j (gamma_j/q - 1/n) L_(j) for losses `(n,)`, and its two upper bounds.

    Statement and proof: proofs/gap.md. Centred losses are summed, so the absolute error is about
    1e-14 `tv_range`, whatever the mean of the losses. Refusals as for `surrogate_weights`.

    Example:
        >>> found = gap([1.0, 1.0, 0.0, 0.0], Design(4, 4, 2))  # both bounds are attained
        >>> round(found.value, 12), round(found.chi_std, 12), round(found.tv_range, 12)
        (0.5, 0.5, 0.5)
    """
    excess = relative_excess(design)
    ranking = Ranking.of(losses, design.n)
    losses = double_array(losses)
    centred = losses - losses.mean()
    return Gap(
        value=float(excess @ centred[ranking.order]) / design.n,
        chi=chi(design),
        std=float(np.sqrt(np.mean(centred**2))),
        total_variation=total_variation(design),
        range=float(np.ptp(losses)),
    )
