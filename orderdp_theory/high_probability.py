"""From the expectation over the selections to the run at hand: Azuma's inequality.

Statement and proof: proofs/high_probability.md.
"""

from math import log, sqrt

from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked, require_not_negative, step_array
from orderdp_theory.common.errors import InputError


@checked
def martingale_deviation(bound: float, step_sizes: ArrayLike, failure: float) -> float:
    """c sqrt(2 ln(1/failure) sum eta^2) / sum eta, c sqrt(2 ln(1/failure) / T) for constant steps.

    What sum_t eta^t X_t / sum_t eta^t exceeds with probability at most `failure` if, given the
    past, X_t has mean <= 0 and lies in an interval of length 2c (Azuma and Hoeffding). Added to
    `convergence_bound` with c = G D, D the diameter of a convex set that the run is projected onto
    and that holds the minimizer, it bounds the excess of the run at hand; likewise for K minibatch
    steps a selection, eta one step size per selection.

    Args:
        bound: c >= 0. step_sizes: eta, positive, `(T,)`. failure: in (0, 1]; else `ValueError`.

    Example:
        >>> round(martingale_deviation(bound=2.0, step_sizes=[0.1] * 1000, failure=0.05), 4)
        0.1548
    """
    eta = step_array(step_sizes)
    require_not_negative(bound=bound)
    if not 0 < failure <= 1:
        raise InputError(f"the failure probability must lie in (0, 1], got {failure!r}")
    return bound * sqrt(2 * log(1 / failure) * float(eta @ eta)) / float(eta.sum())
