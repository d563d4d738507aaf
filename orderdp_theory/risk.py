"""What L_q estimates: its population version R_{s,q}, and how far L_q strays from it.

Statements and proofs: proofs/surrogate_risk.md. R_{s,q}, the expected mean of the q largest of s
i.i.d. losses, is the expectation of L_q for n i.i.d. samples, whatever n is.
"""

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincc

from orderdp_theory.arguments import checked, double_array, require_design
from orderdp_theory.common.errors import InputError
from orderdp_theory.design import Design


@checked
def surrogate_risk(values: ArrayLike, probabilities: ArrayLike, s: int, q: int) -> float:
    """R_{s,q} of a loss that takes finitely many values, exact up to rounding.

    The integral of the quantile function with spectrum (s/q)(1 - I_z(q, s - q)), the limit of
    n gamma_j / q. Its mass above quantile z is E[min(q, X)]/q, X binomial(s, z). Absolute error: a
    few 1e-15 times the range.

    Args:
        values, probabilities: `(m,)`, in any order; the probabilities sum to 1 up to 1e-12.

    Raises:
        ValueError: shapes differ, something is not finite, or these are no probabilities.

    Example:
        >>> round(surrogate_risk([1.0, 0.0], [0.1, 0.9], s=2, q=1), 12)  # of two the larger
        0.19
    """
    Design(s, s, q)
    v, p = double_array(values, "values"), double_array(probabilities, "probabilities")
    if v.ndim != 1 or v.shape != p.shape or v.size == 0:
        raise InputError(
            f"values and probabilities must be vectors alike, got {v.shape}, {p.shape}"
        )
    if not (np.isfinite(v).all() and np.all(p >= 0) and abs(p.sum() - 1) <= 1e-12):
        raise InputError("values must be finite, and probabilities >= 0 with sum 1")
    order = np.argsort(-v)
    z = np.append(0.0, np.minimum(np.cumsum(p[order]), 1.0))
    z[-1] = 1.0
    mass = z if q == s else z * s / q * betaincc(q, s - q, z) + betainc(q + 1, s - q, z)
    lowest = v.min()
    return float(lowest + np.diff(mass) @ (v[order] - lowest))


@checked
def surrogate_fluctuation(design: Design, loss_range: float, failure: float) -> float:
    """How far L_q may lie from R_{s,q} at a point fixed before the data, to one side.

    b sqrt(ln(1/failure) / (2m)) is exceeded with probability at most `failure`, for losses in an
    interval of length b and m the largest of three numbers of samples: n (q/s)^2, as one sample
    moves L_q by at most s b/(nq); nq/(4s), as all together move it by little (self-bounding);
    floor(n/s), as L_q is an average over disjoint candidate sets. So the price of selection is a
    factor of order sqrt(s/q), and not less: losses 0 and 1 can have
    Var L_q >= (27/256) s/(nq). `ValueError` unless b >= 0 and 0 < failure < 1.

    Example:
        >>> design = Design(10_000, 5000, 3000)
        >>> round(surrogate_fluctuation(design, loss_range=1.0, failure=0.05), 4)
        0.0204
    """
    require_design(design)
    n, s, q = design.n, design.s, design.q
    return _hoeffding(loss_range, max(n * (q / s) ** 2, n * q / (4 * s), n // s), failure)


@dataclass(frozen=True)
class UniformDeviation:
    """How far R_{s,q} and L_q may be apart over a class of predictors, one side at a time.

    expected: bounds E sup (R_{s,q} - L_q) and E sup (L_q - R_{s,q}). risk_above: the first supremum
    exceeds expected + risk_above with at most the failure probability. surrogate_above: likewise
    for the second.

    Example:
        >>> found = surrogate_deviation(Design(10_000, 5000, 500), 0.01, 1.0, failure=0.05)
        >>> round(found.expected, 3), round(found.risk_above, 3), round(found.surrogate_above, 3)
        (0.3, 0.122, 0.077)
    """

    expected: float
    risk_above: float
    surrogate_above: float


@checked
def surrogate_deviation(
    design: Design, rademacher: float, loss_range: float, failure: float
) -> UniformDeviation:
    """Uniform deviation of L_q from R_{s,q}, for any class of losses in an interval of length b.

    expected = (s/q) (2 Rad_n + b/sqrt(n)). The factor s/q is needed, and with it the 2: there are
    classes that come as close to it as one likes for every s and q. So is it before the confidence
    term of R_{s,q} - L_q, (s/q) b sqrt(ln(1/failure)/(2n)), while that of L_q - R_{s,q} need not
    exceed order sqrt(s/q).

    Args:
        rademacher: Rad_n >= E sup (1/n) sum_i sigma_i L_i(theta) over the class, sigma_i
            independent fair signs (`LinearPredictors.rademacher_term` is twice that).
        loss_range: b. failure: for each side, in (0, 1).

    Example:
        >>> selected = surrogate_deviation(Design(100, 50, 10), 0.1, loss_range=1.0, failure=0.05)
        >>> uniform = surrogate_deviation(Design(100, 50, 50), 0.1, loss_range=1.0, failure=0.05)
        >>> round(selected.expected / uniform.expected, 12)  # s/q
        5.0
    """
    require_design(design)
    if not (np.isfinite(rademacher) and rademacher >= 0):
        raise InputError(f"rademacher must be finite and >= 0, got {rademacher!r}")
    n, ratio = design.n, design.s / design.q
    by_one = n / ratio**2
    return UniformDeviation(
        expected=ratio * (2 * rademacher + loss_range / sqrt(n)),
        risk_above=_hoeffding(loss_range, by_one, failure),
        surrogate_above=_hoeffding(loss_range, max(by_one, n / (4 * ratio)), failure),
    )


def _hoeffding(loss_range: float, samples: float, failure: float) -> float:
    if not (np.isfinite(loss_range) and loss_range >= 0):
        raise InputError(f"loss_range must be finite and >= 0, got {loss_range!r}")
    if not 0 < failure < 1:
        raise InputError(f"the failure probability must lie in (0, 1), got {failure!r}")
    return loss_range * sqrt(log(1 / failure) / (2 * samples))
