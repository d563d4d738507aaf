"""Poisson sampling: every sample is kept or not on its own, so the number kept is random.

The mean over what is kept, the gradient that training follows, then has other expected weights than
the inclusion probabilities over their sum. Statements and proofs: proofs/survey_sampling.md.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orderdp_theory.arguments import checked, double_array
from orderdp_theory.common.errors import InputError

Array = NDArray[np.float64]

# In units of 1/mu. The integrand is at most exp(-mu u), its k-th derivative at most mu^k. So what
# is cut off is at most exp(-44) / mu and a panel's error 4^25 (12!)^4 / (25 (24!)^3 mu), below
# 1e-23 / mu, where the integral is at least 1 / (1 + mu).
REACH, PANEL, NODES = 44.0, 4.0, 12


@checked
def poisson_mean_weights(inclusion: ArrayLike) -> Array:
    """E[1{i kept} / number kept], float64 `(n,)`: the weight of sample i in the expected mean.

    It is pi_i times the integral over u from 0 to 1 of prod_(j != i) (1 - pi_j u). The weights sum
    to the probability that anything is kept, and a selection of nothing counts as 0.

    Gauss-Legendre rules on panels of length at most 4/mu, mu = sum pi, until the integrand is below
    exp(-44): the error is rounding alone, below 1e-13 relative. O(n) with a factor of about 130.
    `ValueError` unless inclusion is `(n,)` numbers in [0, 1].

    Example:
        >>> poisson_mean_weights([0.5, 0.5]).round(12).tolist()  # alone 1/4, of two 1/4 times 1/2
        [0.375, 0.375]
    """
    pi = double_array(inclusion, "inclusion")
    if pi.ndim != 1 or not pi.size or not np.all((pi >= 0) & (pi <= 1)):
        raise InputError(f"inclusion probabilities must be (n,) numbers in [0, 1], got {pi.shape}")
    mean = max(float(pi.sum()), 1.0)
    end = min(1.0, REACH / mean)
    panels = int(np.ceil(end * mean / PANEL))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    total = np.zeros_like(pi)
    width = end / panels
    for panel in range(panels):
        for u, weight in zip((panel + (nodes + 1) / 2) * width, weights, strict=True):
            product = np.exp(np.log1p(-pi * u).sum())
            total += weight * width / 2 * product / (1 - pi * u)
    return pi * total
