"""Exact moments of the gradient estimator (1/q) sum_{i in Q} g_i."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities, joint_inclusion_probabilities
from orderdp_theory.ranking import Ranking
from orderdp_theory.surrogate import surrogate_weights


def _checked(gradients: ArrayLike, design: Design) -> NDArray[np.floating]:
    gradients = np.asarray(gradients)
    if gradients.ndim != 2 or len(gradients) != design.n:
        raise ValueError(f"gradients must have shape ({design.n}, d), got {gradients.shape}")
    return gradients


def estimator_mean(gradients: ArrayLike, losses: ArrayLike, design: Design) -> NDArray[np.float64]:
    """E[(1/q) sum_{i in Q} g_i], float64 `(d,)`; gradients `(n, d)`, losses `(n,)`."""
    return surrogate_weights(losses, design) @ _checked(gradients, design)


def estimator_covariance_trace(gradients: ArrayLike, losses: ArrayLike, design: Design) -> float:
    """tr Cov[(1/q) sum_{i in Q} g_i] over the random draw, ties broken uniformly at random."""
    gradients = _checked(gradients, design).astype(np.float64)
    weights = surrogate_weights(losses, design)
    ranking = Ranking.of(losses)
    g = (gradients - weights @ gradients)[ranking.order]
    gamma = ranking.average_ties(inclusion_probabilities(design))
    pi = joint_inclusion_probabilities(design)
    across = ranking.average_ties(pi)
    squares = np.einsum("ij,ij->i", g, g)
    prefix = np.cumsum(g, axis=0) - g
    pairs = float(across @ np.einsum("ij,ij->i", g, prefix))
    for start, stop in zip(ranking.starts[:-1], ranking.starts[1:], strict=True):
        m = stop - start
        if m > 1:
            within = np.arange(m) @ pi[start:stop] / (m * (m - 1) / 2)
            total = g[start:stop].sum(axis=0)
            inside = (total @ total - squares[start:stop].sum()) / 2
            pairs += (within - across[start]) * inside
    return float(gamma @ squares + 2 * pairs) / design.q**2
