"""What the inclusion probabilities and the surrogate loss tend to as the population grows."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc

from orderdp_theory.design import Design


def limit_gamma(z: ArrayLike, s: int, q: int) -> NDArray[np.float64]:
    """gamma(z) of Proposition 2, the limit of n gamma_j as j/n -> z; float64, same shape as z."""
    Design(s, s, q)
    z = np.asarray(z, dtype=np.float64)
    if not np.all((z >= 0) & (z <= 1)):
        raise ValueError("z must lie in [0, 1]")
    if q == s:
        return np.full(z.shape, float(s))
    return s * betainc(s - q, q, 1 - z)


def cvar(losses: ArrayLike, beta: float) -> float:
    """Mean of the worst beta-fraction of the losses (superquantile, expected shortfall)."""
    if not 0 < beta <= 1:
        raise ValueError(f"beta must lie in (0, 1], got {beta!r}")
    losses = np.sort(np.asarray(losses, dtype=np.float64))[::-1]
    mass = beta * losses.size
    weights = np.clip(mass - np.arange(losses.size), 0, 1)
    return float(weights @ losses / mass)
