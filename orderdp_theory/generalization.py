"""Theorem 4 term by term as printed, and the bounds on the population risk that hold instead.

Statements and proofs: proofs/generalization.md. R is the population risk, L the empirical loss on n
i.i.d. samples, L_q the surrogate.
"""

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked, double_array, require_design
from orderdp_theory.common.arrays import Array
from orderdp_theory.common.errors import InputError
from orderdp_theory.design import Design
from orderdp_theory.deviation import relative_excess, spectrum_deviation, total_variation
from orderdp_theory.surrogate_gap import gap


@dataclass(frozen=True)
class PrintedBound:
    """The terms of Theorem 4's right-hand side.

    spectrum_deviation: C_s = max_j |n gamma_j/q - 1| (Appendix A.4; the exponent in the main text
    is a footnote mark). finite_population_factor: sqrt((n-s) / (s(n-1))). largest_loss_inf,
    largest_loss_sup: the smallest and the largest over the iterates of max_i |L_i|; B is printed as
    the first, the proof needs the second. gap_inf: Q_n, the smallest L_q - L over the iterates.
    optimization_error: the bound of Theorem 3.

    Example:
        >>> bound = PrintedBound(1.0, 0.01, 2.0, 3.0, gap_inf=0.1, optimization_error=0.05)
        >>> round(bound.wasserstein_term, 4), round(bound.value, 4)
        (0.0283, -0.0217)
    """

    spectrum_deviation: float
    finite_population_factor: float
    largest_loss_inf: float
    largest_loss_sup: float
    gap_inf: float
    optimization_error: float

    @property
    def wasserstein_term(self) -> float:
        """sqrt(2) C_s B sqrt((n-s) / (s(n-1))) with B as printed."""
        factor = self.spectrum_deviation * self.finite_population_factor
        return sqrt(2) * factor * self.largest_loss_inf

    @property
    def value(self) -> float:
        """What the paper says bounds R(theta*) - E[L_q(theta^t)]."""
        return self.wasserstein_term - self.gap_inf + self.optimization_error


@checked
def printed_bound(
    design: Design, optimization_error: float, losses: ArrayLike | None = None
) -> PrintedBound:
    """Theorem 4 as printed, for per-sample losses `(n,)` or, one row per iterate, `(T, n)`.

    Without losses, what depends on them is nan.

    Example:
        >>> bound = printed_bound(Design(100, 50, 30), 0.01, losses=np.linspace(0.0, 1.0, 100))
        >>> bound.spectrum_deviation, round(bound.gap_inf, 3), round(bound.value, 3)
        (1.0, 0.2, -0.048)
    """
    rows = np.full((1, design.n), np.nan) if losses is None else _rows(losses, design)
    largest = np.abs(rows).max(axis=1)
    n, s = design.n, design.s
    return PrintedBound(
        spectrum_deviation=spectrum_deviation(design),
        finite_population_factor=sqrt((n - s) / (s * (n - 1))) if n > 1 else 0.0,
        largest_loss_inf=float(largest.min()),
        largest_loss_sup=float(largest.max()),
        gap_inf=_smallest_gap(rows, design),
        optimization_error=optimization_error,
    )


@dataclass(frozen=True)
class LinearPredictors:
    """Losses phi(<theta, x>, y) on a ball of this radius around a point chosen before the data.

    phi is rho-Lipschitz in its first argument and |x| <= X; `lipschitz` is G = rho X, a Lipschitz
    constant of each loss in theta. loss_range: b such that the values of all losses in the ball lie
    in one interval of length b.

    Example:
        >>> linear = LinearPredictors(lipschitz=1.0, radius=0.5, loss_range=2.0)
        >>> linear.rademacher_term(10_000), round(linear.uniform_deviation(10_000, failure=0.05), 4)
        (0.01, 0.0345)
    """

    lipschitz: float
    radius: float
    loss_range: float

    def __post_init__(self) -> None:
        for name in ("lipschitz", "radius", "loss_range"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"{name} must be finite and >= 0, got {value!r}")

    def rademacher_term(self, n: int) -> float:
        """2 G radius / sqrt(n) >= E sup_theta (R - L), by symmetrization and contraction."""
        return 2 * self.lipschitz * self.radius / sqrt(n)

    def fluctuation_term(self, n: int, failure: float) -> float:
        """b sqrt(ln(1/failure) / (2n)): exceeded by a bounded difference with that probability."""
        if not 0 < failure < 1:
            raise InputError(f"the failure probability must lie in (0, 1), got {failure!r}")
        return self.loss_range * sqrt(log(1 / failure) / (2 * n))

    def uniform_deviation(self, n: int, failure: float) -> float:
        """U with P(R(theta) <= L(theta) + U for all theta in the ball) >= 1 - failure."""
        return self.rademacher_term(n) + self.fluctuation_term(n, failure)


@dataclass(frozen=True)
class CorrectedBound:
    """What holds for the population risk, with probability at least 1 - failure over the data.

    rademacher, fluctuation: the sampling terms, the second at failure / 2 as it is used twice.
    gap_inf: smallest L_q - L over the iterates, or 0, which it never falls below.
    reference_gap: L_q - L at the reference, or its bound TV b, which needs no data.
    optimization_error: as given.

    Example:
        >>> bound = CorrectedBound(0.02, 0.01, gap_inf=0.3, reference_gap=0.2, optimization_error=0)
        >>> round(bound.risk_above_surrogate, 12), round(bound.excess_risk, 12)
        (-0.27, 0.24)
    """

    rademacher: float
    fluctuation: float
    gap_inf: float
    reference_gap: float
    optimization_error: float

    @property
    def risk_above_surrogate(self) -> float:
        """R(theta^t) - L_q(theta^t) <= this for every iterate at once."""
        return self.rademacher + self.fluctuation - self.gap_inf

    @property
    def excess_risk(self) -> float:
        """E[R(average iterate)] - R(reference) <= this, expectation over the selections."""
        sampling = self.rademacher + 2 * self.fluctuation
        return self.optimization_error + self.reference_gap + sampling


@checked
def corrected_bound(
    design: Design,
    optimization_error: float,
    predictors: LinearPredictors,
    failure: float = 0.05,
    losses: ArrayLike | None = None,
    reference_losses: ArrayLike | None = None,
) -> CorrectedBound:
    """The population bounds that replace Theorem 4; both hold together.

    R(theta) <= L_q(theta) - gap(theta) + sampling error at every iterate, and, for a reference
    point fixed before the data (such as the minimizer of R), excess risk <= optimization error +
    gap(reference) + sampling errors. Neither needs C_s or the finite-population factor, as the
    surrogate is the exact expectation over candidate sets.

    Args:
        design: n is the number of i.i.d. samples.
        optimization_error: E[L_q(average iterate)] - L_q(reference) is at most this
            (`convergence_bound` with the distance to the reference).
        predictors: the class; its ball holds all iterates and the reference.
        failure: probability over the draw of the data that the bounds may fail.
        losses: per-sample losses at the iterates, `(n,)` or `(T, n)`, if known.
        reference_losses: per-sample losses at the reference, `(n,)`, if known.

    Example:
        >>> linear = LinearPredictors(lipschitz=1.0, radius=0.5, loss_range=2.0)
        >>> bound = corrected_bound(Design.from_ratios(50_000), 0.01, linear)
        >>> round(bound.excess_risk, 3), round(bound.reference_gap, 3)  # without data: TV b
        (0.836, 0.797)
    """
    require_design(design)
    if reference_losses is None:
        reference_gap = total_variation(design) * predictors.loss_range
    else:
        reference_gap = gap(reference_losses, design).value
    return CorrectedBound(
        rademacher=predictors.rademacher_term(design.n),
        fluctuation=predictors.fluctuation_term(design.n, failure / 2),
        gap_inf=0.0 if losses is None else _smallest_gap(_rows(losses, design), design),
        reference_gap=reference_gap,
        optimization_error=optimization_error,
    )


def _smallest_gap(rows: Float64[Array, "rows {design.n}"], design: Design) -> float:
    """The smallest `gap(row, design).value`, for many rows at once."""
    descending = -np.sort(-rows, axis=1)
    centred = descending - descending.mean(axis=1, keepdims=True)
    return float(np.min(centred @ relative_excess(design))) / design.n


def _rows(losses: ArrayLike, design: Design) -> Float64[Array, "rows {design.n}"]:
    rows = np.atleast_2d(double_array(losses))
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] != design.n:
        raise InputError(
            f"losses must have shape ({design.n},) or (iterates, {design.n}), got {rows.shape}"
        )
    if not np.isfinite(rows).all():
        raise InputError("losses must be finite")
    return rows
