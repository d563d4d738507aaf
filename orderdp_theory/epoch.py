"""Convergence of what everybody runs: one selection an epoch, then minibatch steps over it."""

import operator

from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked, double_array
from orderdp_theory.common.errors import InputError
from orderdp_theory.convergence import ConvergenceBound, convergence_bound


@checked
def epoch_bound(
    distance: float, lipschitz: float, step_sizes: ArrayLike, minibatches: int
) -> ConvergenceBound:
    """Theorem 3 with one selection an epoch: that of T steps of size K eta, T epochs.

    (D^2 + G^2 sum (K eta)^2) / (2 sum K eta) bounds E[L_q(.) - min L_q] at the mean of the points
    at which the T selections are made, weighted by the step sizes, and at the best of them.
    Statement and proof: proofs/epoch.md.

    Protocol: rank by the losses at the start of the epoch, keep q, split them into K minibatches
    and take a plain subgradient step of size eta on the mean of each, in any order if they have
    equal sizes, in a random split whatever their sizes. With scores at most tau epochs old add
    `stored_score_penalty` of the step sizes K eta.

    What it says of K: at the best step size, D / (K G sqrt(T)), the bound is D G / sqrt(T) whatever
    K. It counts selections: K minibatches an epoch promise what one step on all that is kept does,
    and among runs of N = K T steps the rate D G sqrt(K / N) is best at K = 1. At a fixed step size
    the noise term K eta G^2 / 2 is of the right order: for adverse orders the error stays above a
    quarter of it.

    Args:
        distance, lipschitz: D and G, as for `convergence_bound`.
        step_sizes: eta of the minibatch steps, one an epoch, `(T,)`.
        minibatches: K >= 1, else `ValueError`.

    Example:
        >>> once = epoch_bound(distance=1.0, lipschitz=1.0, step_sizes=[0.01] * 100, minibatches=10)
        >>> round(once.value, 12), round(convergence_bound(1.0, 1.0, [0.1] * 100).value, 12)
        (0.1, 0.1)
    """
    count = operator.index(minibatches)
    if count < 1:
        raise InputError(f"minibatches must be at least 1, got {count}")
    return convergence_bound(distance, lipschitz, count * double_array(step_sizes, "step_sizes"))
