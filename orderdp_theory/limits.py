"""What the inclusion probabilities and the surrogate loss tend to as the population grows."""

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy.special import betaincc

from orderdp_theory.arguments import checked, double_array
from orderdp_theory.common.arrays import Array
from orderdp_theory.common.errors import InputError
from orderdp_theory.design import Design
from orderdp_theory.ranking import Ranking


@checked
def limit_gamma(z: ArrayLike, s: int, q: int) -> Float64[Array, "..."]:
    """gamma(z) of Proposition 2: the limit of n gamma_j for fixed s, q as n grows and j/n -> z.

    gamma(z) = sum_{l=1..q} s! / ((l-1)! (s-l)!) z^(l-1) (1-z)^(s-l) = s (1 - I_z(q, s-q)), with
    the regularized incomplete beta function I, for q < s, and s for q = s. The largest error over
    all ranks is O(1/n). float64, same shape as z; the complement is not taken by subtraction, so
    small values keep their relative accuracy. `ValueError` unless 0 <= z <= 1 and 1 <= q <= s.

    Example:
        >>> limit_gamma([0.0, 0.5, 1.0], s=5, q=3).tolist()
        [5.0, 3.4375, 0.0]
        >>> middle = inclusion_probabilities(Design(1000, 5, 3))[499]
        >>> round(float(1000 * middle), 2)  # n gamma_j at j = n/2
        3.44
    """
    Design(s, s, q)
    z = double_array(z, "z")
    if not np.all((z >= 0) & (z <= 1)):
        raise InputError("z must lie in [0, 1]")
    if q == s:
        return np.full(z.shape, float(s))
    return s * betaincc(q, s - q, z)


@checked
def cvar(losses: ArrayLike, beta: float) -> float:
    """Mean of the worst beta-fraction of the losses: CVaR at level 1 - beta, the superquantile.

    The limit of L_q as n grows with s = alpha n and q = beta s. If beta n is not an integer the
    last loss counts in part. `ValueError` unless 0 < beta <= 1 and the losses are a finite vector.

    Example:
        >>> cvar([5.0, 2.0, 1.0, 1.0], beta=0.5)
        3.5
        >>> cvar([5.0, 2.0, 1.0, 1.0], beta=0.375)  # the second counts half
        4.0
    """
    if not 0 < beta <= 1:
        raise InputError(f"beta must lie in (0, 1], got {beta!r}")
    ranking = Ranking.of(losses)
    worst = double_array(losses)[ranking.order]
    mass = beta * len(ranking)
    return float(np.clip(mass - np.arange(len(ranking)), 0, 1) @ worst / mass)
