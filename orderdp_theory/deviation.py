"""How far the kept samples' weights gamma_j / q are from uniform weights."""

import numpy as np

from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities


def chi(design: Design) -> float:
    """chi = sqrt(n sum_j (gamma_j/q)^2 - 1), the chi-square distance of gamma/q to uniform."""
    excess = design.n * inclusion_probabilities(design) / design.q - 1
    return float(np.sqrt(np.mean(excess**2)))


def total_variation(design: Design) -> float:
    """TV(gamma/q, uniform) = (1/2) sum_j |gamma_j/q - 1/n|."""
    excess = design.n * inclusion_probabilities(design) / design.q - 1
    return float(np.mean(np.abs(excess)) / 2)


def effective_sample_size(design: Design) -> float:
    """1 / sum_j (gamma_j/q)^2 = n / (1 + chi^2)."""
    return design.n / (1 + chi(design) ** 2)


def spectrum_deviation(design: Design) -> float:
    """C_s of the paper (Theorem 4, Appendix A.4): max_j |n gamma_j/q - 1|."""
    excess = design.n * inclusion_probabilities(design) / design.q - 1
    return float(np.max(np.abs(excess)))
