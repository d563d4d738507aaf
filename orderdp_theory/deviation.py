"""How far the kept samples' weights gamma_j / q are from uniform weights 1/n.

Every function takes a design and returns a float that is zero for q = s; its relative error is at
most 1e-14 for every design (proofs/inclusion.md).
"""

import numpy as np
from numpy.typing import NDArray

from orderdp_theory.arguments import require_design
from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities


def relative_excess(design: Design) -> NDArray[np.float64]:
    """n gamma_j / q - 1, the density of the weights relative to uniform ones, less 1; `(n,)`.

    Non-increasing, with the mean 0; each value is off by at most 2e-15 times the larger part of the
    difference that it is. Where nearly all candidates are kept, the difference is that of the
    candidates left out: s/n - gamma_j is the probability of being a candidate that is left out, and
    these are the s - q lowest.
    """
    require_design(design)
    n, s, q = design.n, design.s, design.q
    if q == s:
        return np.zeros(n)
    if 2 * q <= s:
        return inclusion_probabilities(design) * (n / q) - 1
    left_out = inclusion_probabilities(Design(n, s, s - q))[::-1]
    return ((s - q) - n * left_out) / q


def chi(design: Design) -> float:
    """chi = sqrt(n sum_j (gamma_j/q)^2 - 1), the chi-square divergence from uniform, rooted.

    At most sqrt(s/q - 1), attained for s = n (proofs/sandwich.md).
    """
    return float(np.sqrt(np.mean(relative_excess(design) ** 2)))


def total_variation(design: Design) -> float:
    """TV(gamma/q, uniform) = (1/2) sum_j |gamma_j/q - 1/n|.

    At most 1 - q/s, attained for s = n (proofs/sandwich.md).
    """
    return float(np.mean(np.abs(relative_excess(design))) / 2)


def effective_sample_size(design: Design) -> float:
    """1 / sum_j (gamma_j/q)^2 = n / (1 + chi^2) (Kish), at most n and at least n q/s."""
    return design.n / (1 + chi(design) ** 2)


def spectrum_deviation(design: Design) -> float:
    """C_s of the paper (Theorem 4, Appendix A.4): max_j |n gamma_j/q - 1|.

    The largest difference between the densities of the spectrum gamma/q and of the uniform
    distribution on (0, 1). As gamma falls from gamma_1 = s/n to gamma_n, which is 0 unless q = s,
    it is the larger of s/q - 1 and 1.
    """
    require_design(design)
    s, q = design.s, design.q
    return max((s - q) / q, 1.0) if q < s else 0.0
