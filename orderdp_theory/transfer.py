"""From the surrogate loss back to the empirical loss one wants."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked, double_array
from orderdp_theory.common.errors import InputError
from orderdp_theory.design import Design
from orderdp_theory.surrogate_gap import Gap, gap


@dataclass(frozen=True)
class Transfer:
    """Upper bounds on the true empirical loss L of an approximate minimizer of the surrogate.

    reference, gap: L and L_q - L at the point compared with. found_gap: L_q - L at the point found,
    or 0, which it is never below. ratio: s/q. value: the sharp bound, reference + gap.value -
    found_gap + optimization_error; the others replace the gap at the reference by a bound on it.
    Subtracting `reference` gives bounds on the excess.

    Example:
        >>> found = transfer_bound([1.0, 0.0, 0.0, 0.0], Design(4, 2, 1))
        >>> round(found.reference, 12), round(found.value, 12), round(found.nonnegative, 12)
        (0.25, 0.5, 0.5)
    """

    reference: float
    gap: Gap
    optimization_error: float
    found_gap: float
    ratio: float

    @property
    def value(self) -> float:
        return self.reference + self.gap.value + self._rest

    @property
    def chi_std(self) -> float:
        return self.reference + self.gap.chi_std + self._rest

    @property
    def tv_range(self) -> float:
        return self.reference + self.gap.tv_range + self._rest

    @property
    def nonnegative(self) -> float:
        """With L_q <= (s/q) L, which holds for losses >= 0, of which it needs the mean alone."""
        return self.ratio * self.reference + self._rest

    @property
    def _rest(self) -> float:
        return self.optimization_error - self.found_gap


@checked
def transfer_bound(
    reference_losses: ArrayLike,
    design: Design,
    optimization_error: float = 0.0,
    found_losses: ArrayLike | None = None,
) -> Transfer:
    """If L_q(a) <= L_q(b) + eps then L(a) <= L_q(b) + eps - gap(a) = L(b) + gap(b) - gap(a) + eps.

    Statement and proof: proofs/transfer.md. Usually b minimizes L and a minimizes L_q up to
    eps, as the convergence theorem provides. No convexity is needed. gap(a) can be observed, and it
    is an equality if eps is not larger than it has to be. Interpolation: if every loss at b is zero
    then so is the gap, and L(a) <= eps: pruning is lossless. Without gap(a) too, the bound is
    attained for every design and every eps >= 0.

    Args:
        reference_losses: per-sample losses at b, `(n,)`.
        optimization_error: eps, finite and not negative, else `ValueError`.
        found_losses: per-sample losses at a, `(n,)`, if known.

    Example:
        >>> transfer_bound(np.zeros(4), Design(4, 2, 1)).value  # interpolation: pruning is lossless
        0.0
    """
    if not (np.isfinite(optimization_error) and optimization_error >= 0):
        raise InputError(f"optimization_error must be finite and >= 0, got {optimization_error!r}")
    at_reference = gap(reference_losses, design)  # refuses what are no losses
    return Transfer(
        reference=float(np.mean(double_array(reference_losses, "reference_losses"))),
        gap=at_reference,
        optimization_error=float(optimization_error),
        found_gap=0.0 if found_losses is None else gap(found_losses, design).value,
        ratio=design.s / design.q,
    )
