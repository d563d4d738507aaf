"""How far the kept samples' weights gamma_j / q are from uniform weights 1/n.

Every function takes a design and returns a float that is zero for q = s; its relative error is of
the order of 1e-14.
"""

import numpy as np
from numpy.typing import NDArray

from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities


def _excess(design: Design) -> NDArray[np.float64]:
    """n gamma_j / q - 1, the density of the weights relative to uniform ones, less 1; `(n,)`."""
    gamma = inclusion_probabilities(design)
    return gamma / gamma[0] * (design.s / design.q) - 1  # as gamma_1 = s/n


def chi(design: Design) -> float:
    """chi = sqrt(n sum_j (gamma_j/q)^2 - 1), the chi-square divergence from uniform, rooted."""
    return float(np.sqrt(np.mean(_excess(design) ** 2)))


def total_variation(design: Design) -> float:
    """TV(gamma/q, uniform) = (1/2) sum_j |gamma_j/q - 1/n|."""
    return float(np.mean(np.abs(_excess(design))) / 2)


def effective_sample_size(design: Design) -> float:
    """1 / sum_j (gamma_j/q)^2 = n / (1 + chi^2) (Kish), at most n."""
    return design.n / (1 + chi(design) ** 2)


def spectrum_deviation(design: Design) -> float:
    """C_s of the paper (Theorem 4, Appendix A.4): max_j |n gamma_j/q - 1|.

    The largest difference between the densities of the spectrum gamma/q and of the uniform
    distribution on (0, 1). As gamma falls from gamma_1 = s/n to gamma_n, which is 0 unless q = s,
    it is the larger of s/q - 1 and 1.
    """
    s, q = design.s, design.q
    return max((s - q) / q, 1.0) if q < s else 0.0
