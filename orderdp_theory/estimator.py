"""Exact moments of the gradient estimator (1/q) sum_{i in Q} g_i over the random draw of Q."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float64, Int64
from numpy.typing import ArrayLike, NDArray

from orderdp_theory.arguments import checked, real_array
from orderdp_theory.common.arrays import Array, Indices
from orderdp_theory.common.errors import InputError
from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities, joint_inclusion_probabilities
from orderdp_theory.ranking import Ranking
from orderdp_theory.surrogate import surrogate_weights


@checked
def estimator_mean(
    gradients: ArrayLike, losses: ArrayLike | Ranking, design: Design
) -> Float64[Array, "d"]:
    """E[(1/q) sum_{i in Q} g_i] = sum_i (gamma_rank(i) / q) g_i, float64 `(d,)` (Theorem 1).

    gradients: float32 or float64 `(n, d)`, summed in float64; losses: `(n,)`, the scores that Q is
    chosen by, ties broken uniformly at random. `ValueError` on other shapes or non-finite losses.

    Example:
        >>> gradients, losses = np.array([[4.0], [0.0], [0.0], [0.0]]), [1.0, 0.5, 0.2, 0.1]
        >>> estimator_mean(gradients, losses, Design(4, 2, 1)).tolist()  # the mean gradient is 1
        [2.0]
    """
    gradients = _matrix(gradients, design)
    weights = surrogate_weights(losses, design)
    step = max(1, 2**20 // max(gradients.shape[1], 1))  # blocks that are cheap to convert
    parts = (slice(start, start + step) for start in range(0, design.n, step))
    return sum(
        (weights[part] @ gradients[part] for part in parts), start=np.zeros(gradients.shape[1])
    )


@checked
def estimator_covariance_trace(
    gradients: ArrayLike, losses: ArrayLike | Ranking, design: Design
) -> float:
    """tr Cov[(1/q) sum_{i in Q} g_i] = E||. - E[.]||^2, exact; arguments as for `estimator_mean`.

    q^2 times the second moment is sum_i gamma_i |g_i|^2 + 2 sum_{i<k} pi_ik g_i.g_k in rank order.
    pi_ik depends on the larger rank k alone, so one running sum of gradients gives all pairs in
    O(n d). Random tie breaks average pi: over the later group for pairs of different groups of
    tied losses, over its own pairs for pairs within a group. As |Q| = q is fixed, the covariance
    does not change when a constant is subtracted from all gradients, which avoids cancellation.

    Example:
        >>> gradients, losses = np.array([[4.0], [0.0], [0.0], [0.0]]), [1.0, 0.5, 0.2, 0.1]
        >>> round(estimator_covariance_trace(gradients, losses, Design(4, 2, 1)), 12)  # 4 or 0
        4.0
        >>> round(estimator_covariance_trace(gradients, losses, Design(4, 4, 1)), 12)  # always 4
        0.0
    """
    gradients = _matrix(gradients, design)
    ranking = Ranking.of(losses, design.n)
    gamma = ranking.average_ties(inclusion_probabilities(design))
    pi = joint_inclusion_probabilities(design)
    pi[0] = pi[min(1, design.n - 1)]  # rank 1 is never the larger rank of a pair
    across = ranking.average_ties(pi)
    order = ranking.order[: np.count_nonzero(gamma)].copy()
    order[: np.count_nonzero((gamma == gamma[0]) & (across == across[0]))].sort()
    centre = _centre(gradients)

    mean, before = np.zeros_like(centre), np.zeros_like(centre)
    second = 0.0
    for rows, g in _centred_blocks(gradients, order, centre):
        kept, weights = gamma[rows], across[rows]
        total = g.sum(axis=0)
        if kept[0] == kept[-1] and weights[0] == weights[-1]:
            norms = np.einsum("ij,ij->", g, g)  # BLAS would start threads for each block
            mean += kept[0] * total
            second += kept[0] * norms + weights[0] * (total @ (total + 2 * before) - norms)
        else:
            products = g @ g.T
            mean += kept @ g
            second += kept @ products.diagonal()
            second += 2 * (weights @ g @ before + weights @ np.tril(products, -1).sum(axis=1))
        before += total
    second += 2 * _excess_within_ties(gradients, centre, ranking, pi)
    return max(float(second - mean @ mean), 0.0) / design.q**2


def _excess_within_ties(
    gradients: Float[NDArray[np.floating], "n d"],
    centre: Float64[Array, "d"],
    ranking: Ranking,
    pi: Float64[Array, "n"],
) -> float:
    """Sum over tied pairs of g_i.g_k times (mean of pi over the group's pairs - over its ranks)."""
    excess = ranking.pair_excess(pi)
    result = 0.0
    for group in np.flatnonzero(excess):
        tied = ranking.group(group)
        total, norms = np.zeros_like(centre), 0.0
        for _, g in _centred_blocks(gradients, tied, centre):
            total += g.sum(axis=0)
            norms += float(np.einsum("ij,ij->", g, g))
        result += excess[group] * (total @ total - norms) / 2
    return result


def _centre(gradients: Float[NDArray[np.floating], "n d"]) -> Float64[Array, "d"]:
    """The mean of a few gradients, or zero, which is free, if that is small beside their spread."""
    sample = gradients[:: len(gradients) // 256 + 1].astype(np.float64)
    centre = sample.mean(axis=0)
    return centre * (centre @ centre > np.square(sample - centre).sum() / len(sample))


def _centred_blocks(
    gradients: Float[NDArray[np.floating], "n d"],
    order: Int64[Indices, "m"],
    centre: Float64[Array, "d"],
) -> Iterator[tuple[slice, Array]]:
    """Successive rows of gradients[order] - centre, in one buffer that stays in the cache."""
    rows = max(8, min(64, 2**16 // max(len(centre), 1)))
    centred = np.empty((rows, len(centre)))
    in_place = gradients.dtype == centred.dtype
    gathered = centred if in_place else np.empty(centred.shape, gradients.dtype)
    for start in range(0, len(order), rows):
        block = slice(start, min(start + rows, len(order)))
        size = block.stop - start
        np.take(gradients, order[block], axis=0, out=gathered[:size], mode="clip")
        if not in_place or centre.any():
            np.subtract(gathered[:size], centre, out=centred[:size])
        yield block, centred[:size]


def _matrix(gradients: ArrayLike, design: Design) -> Float[NDArray[np.floating], "{design.n} d"]:
    matrix = real_array(gradients, "gradients")
    if matrix.ndim != 2 or len(matrix) != design.n:
        raise InputError(f"gradients must have shape (n={design.n}, d), got {matrix.shape}")
    return matrix
