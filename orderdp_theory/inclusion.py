"""Inclusion probabilities of a design in double precision."""

import numpy as np
from numpy.typing import NDArray

from orderdp_theory.design import Design


def inclusion_probabilities(design: Design) -> NDArray[np.float64]:
    """gamma_j = P(the sample of rank j is kept), float64 `(n,)`, rank 1 is the largest loss.

    Relative error at most 1e-13 for every value >= 1e-290; exact zeros beyond rank n - s + q;
    the sum is q to 1e-12 relative.
    """
    n, s, q = design.n, design.s, design.q
    gamma = np.zeros(n)
    if q == s:
        gamma[:] = s / n
        return gamma
    first, last = q, n - s + q
    mode = first
    if s > 2:
        mode = min(max((q - 1) * (n - 1) // (s - 2) + 1, first), last)
    j = np.arange(first, last, dtype=np.longdouble)
    ratio = j * (n - j - s + q) / ((j - q + 1) * (n - j - 1))
    pmf = np.empty(last - first + 1, dtype=np.longdouble)
    m = mode - first
    pmf[m] = 1
    pmf[m + 1 :] = np.cumprod(ratio[m:])
    pmf[:m] = np.cumprod(1 / ratio[:m][::-1])[::-1]
    tail = np.cumsum(pmf[::-1])[::-1]
    gamma[:first] = s / n
    gamma[first - 1 : last] = tail / tail[0] * s / n
    return gamma


def joint_inclusion_probabilities(design: Design) -> NDArray[np.float64]:
    """pi_k = P(ranks j and k are both kept), the same for every j < k; float64 `(n,)`, pi_1 = 0.

    Given that rank j < k is among the s candidates, it takes one of the q places before k, and
    the other s - 1 candidates are a draw from the other n - 1 samples, where k has rank k - 1.
    Hence pi_k = (s/n) gamma_{k-1} of the design (n-1, s-1, q-1).
    """
    n, s, q = design.n, design.s, design.q
    joint = np.zeros(n)
    if q > 1:
        joint[1:] = inclusion_probabilities(Design(n - 1, s - 1, q - 1)) * (s / n)
    return joint
