"""From the surrogate loss back to the empirical loss one wants."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from orderdp_theory.arguments import double_array
from orderdp_theory.common.errors import InputError
from orderdp_theory.design import Design
from orderdp_theory.surrogate_gap import Gap, gap


@dataclass(frozen=True)
class Transfer:
    """Upper bounds on the true empirical loss L of an approximate minimizer of the surrogate.

    value: the sharp one, reference + gap.value + optimization_error; `chi_std` and `tv_range`
    replace the gap by its bounds. Subtracting `reference` gives bounds on the excess.
    """

    reference: float
    gap: Gap
    optimization_error: float

    @property
    def value(self) -> float:
        return self.reference + self.gap.value + self.optimization_error

    @property
    def chi_std(self) -> float:
        return self.reference + self.gap.chi_std + self.optimization_error

    @property
    def tv_range(self) -> float:
        return self.reference + self.gap.tv_range + self.optimization_error


def transfer_bound(
    reference_losses: ArrayLike, design: Design, optimization_error: float = 0.0
) -> Transfer:
    """If L_q(a) <= L_q(b) + eps then L(a) <= L_q(b) + eps = L(b) + gap(b) + eps.

    Statement and proof: proofs/transfer.md. Usually b minimizes L and a minimizes L_q up to
    eps, as the convergence theorem provides. No convexity is needed. Interpolation: if every loss
    at b is zero then so is the gap, and L(a) <= eps: pruning is lossless. The bound is attained for
    every design and every eps >= 0.

    Args:
        reference_losses: per-sample losses at b, `(n,)`.
        optimization_error: eps, finite and not negative, else `ValueError`.
    """
    if not (np.isfinite(optimization_error) and optimization_error >= 0):
        raise InputError(f"optimization_error must be finite and >= 0, got {optimization_error!r}")
    return Transfer(
        reference=float(np.mean(double_array(reference_losses, "reference_losses"))),
        gap=gap(reference_losses, design),
        optimization_error=float(optimization_error),
    )
