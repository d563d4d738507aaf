"""How far the kept samples' weights gamma_j / q, or any other weights, are from uniform ones, 1/n.

A function of a design returns zero for q = s, and its relative error is at most 1e-14 for every
design (proofs/inclusion.md). The same function of weights `(n,)`, which add up to 1, serves any
rule; there an excess n w - 1 has the rounding error of w, relative to uniform weights.
"""

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked, double_array, require_design, require_population
from orderdp_theory.common.arrays import Array
from orderdp_theory.common.errors import InputError
from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities


def relative_excess(design: Design) -> Float64[Array, "{design.n}"]:
    """n gamma_j / q - 1, the density of the weights relative to uniform ones, less 1; `(n,)`.

    Non-increasing, with the mean 0; each value is off by at most 2e-15 times the larger part of the
    difference that it is. Where nearly all candidates are kept, the difference is that of the
    candidates left out: s/n - gamma_j is the probability of being a candidate that is left out, and
    these are the s - q lowest.
    """
    require_design(design)
    require_population(design.n)
    n, s, q = design.n, design.s, design.q
    if q == s:
        return np.zeros(n)
    if 2 * q <= s:
        return inclusion_probabilities(design) * (n / q) - 1
    left_out = inclusion_probabilities(Design(n, s, s - q))[::-1]
    return ((s - q) - n * left_out) / q


def _excess(weights: Design | ArrayLike) -> Float64[Array, "n"]:
    """n w - 1 for weights, `relative_excess` of a design."""
    if isinstance(weights, Design):
        return relative_excess(weights)
    weights = double_array(weights, "weights")
    if weights.ndim != 1 or not abs(weights.sum() - 1) <= 1e-6:
        raise InputError(
            "weights must be one-dimensional, finite and add up to 1, "
            f"got shape {weights.shape} and sum {weights.sum()}"
        )
    return weights.size * weights - 1


@checked
def chi(weights: Design | ArrayLike) -> float:
    """chi = sqrt(n sum_j w_j^2 - 1), the chi-square divergence from uniform, rooted.

    For a design at most sqrt(s/q - 1), attained for s = n (proofs/sandwich.md).

    Example:
        >>> round(chi(Design(10, 10, 5)), 12)  # s = n attains sqrt(s/q - 1)
        1.0
        >>> round(chi([0.25, 0.25, 0.25, 0.25]), 12)
        0.0
    """
    return float(np.sqrt(np.mean(_excess(weights) ** 2)))


@checked
def total_variation(weights: Design | ArrayLike) -> float:
    """TV(w, uniform) = (1/2) sum_j |w_j - 1/n|.

    For a design at most 1 - q/s, attained for s = n (proofs/sandwich.md).

    Example:
        >>> round(total_variation(Design(10, 10, 5)), 12)  # s = n attains 1 - q/s
        0.5
        >>> round(total_variation([0.5, 0.25, 0.25]), 3)
        0.167
    """
    return float(np.mean(np.abs(_excess(weights))) / 2)


@checked
def effective_sample_size(weights: Design | ArrayLike) -> float:
    """1 / sum_j w_j^2 = n / (1 + chi^2) (Kish), at most n and for a design at least n q/s.

    Example:
        >>> round(effective_sample_size(Design(10, 10, 5)), 12)  # q have all the weight
        5.0
        >>> round(effective_sample_size([0.5, 0.25, 0.25]), 3)
        2.667
    """
    excess = _excess(weights)
    return float(excess.size / (1 + np.mean(excess**2)))


@checked
def spectrum_deviation(design: Design) -> float:
    """C_s of the paper (Theorem 4, Appendix A.4): max_j |n gamma_j/q - 1|.

    The largest difference between the densities of the spectrum gamma/q and of the uniform
    distribution on (0, 1). As gamma falls from gamma_1 = s/n to gamma_n, which is 0 unless q = s,
    it is the larger of s/q - 1 and 1.

    Example:
        >>> round(spectrum_deviation(Design(100, 50, 30)), 12)  # some samples are never kept: 1
        1.0
        >>> round(spectrum_deviation(Design(100, 50, 10)), 12)  # s/q - 1
        4.0
    """
    require_design(design)
    s, q = design.s, design.q
    return max((s - q) / q, 1.0) if q < s else 0.0
