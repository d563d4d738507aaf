"""Ordered pivotal sampling: a fixed number of samples with given inclusion probabilities, exactly.

Lay the probabilities end to end on a line. Each unit interval of it is a cluster in which samples
fight for one place; who straddles the border of two clusters fights in the first, and whoever loses
to it or from it goes on to the second with what is left of its probability (Deville and Tillé 1998;
Chauvet 2012). Statements and proofs: proofs/survey_sampling.md.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orderdp_theory.arguments import checked, double_array
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_room

Array = NDArray[np.float64]

ROUNDING = 1e-12  # closer to 1 than this is certain


@dataclass(frozen=True)
class PairRecurrence:
    """Pair probabilities of a sampling in sequence, three numbers a sample, float64 `(n,)` each.

    For samples k before l: P(k and l kept) - pi_k pi_l = -loss_l decay_(l-1) ... decay_(k+1)
    gain_k. So one running sum R of vectors h, R <- decay_l R + gain_l h_l, gives all pairs:
    sum_{k<l} Cov(k, l) <h_k, h_l> = -sum_l loss_l <h_l, R before l>.
    """

    loss: Array
    gain: Array
    decay: Array


@checked
def pivotal_sample(inclusion: ArrayLike, uniforms: ArrayLike) -> NDArray[np.int64]:
    """Indices int64 `(m,)` of one sample drawn with the probabilities `inclusion`, sum m.

    inclusion: `(n,)`, in the order in which samples fight: neighbours exclude each other most.
    uniforms: `(2, m)` in [0, 1), all the randomness. O(n + m log n). `ValueError` unless the
    probabilities lie in [0, 1] and sum to an integer, up to rounding.

    Example:
        >>> kept = pivotal_sample([0.5, 0.5, 0.5, 0.5], np.random.default_rng(0).random((2, 2)))
        >>> len(kept), kept.dtype  # one of the first two, one of the last two
        (2, dtype('int64'))
    """
    pi, certain, clusters = _checked(inclusion)
    uniforms = double_array(uniforms, "uniforms")
    kept = np.flatnonzero(certain)
    if uniforms.shape != (2, clusters + len(kept)):
        raise InputError(f"need uniforms (2, {clusters + len(kept)}), got {uniforms.shape}")
    if not clusters:
        return kept
    rest = np.flatnonzero(~certain)
    line = np.cumsum(pi[rest])
    border, before, after = _borders(line, clusters)
    # A point of each cluster's line, without the border sample's part, decides who fights it.
    share = np.append(1 - before, 1.0)
    point = np.arange(clusters) + uniforms[0, :clusters] * share
    last = np.append(border - 1, len(rest) - 1)
    inner = np.minimum(np.searchsorted(line, point, side="right"), last)
    carried = np.append(False, inner[1:] == border)  # the one that came over won again
    border_wins = uniforms[1, : clusters - 1] < before / (1 - after)
    # Who goes on: the border sample if it lost, else the winner inside, else who came over.
    goes_on = np.where(border_wins, inner[:-1], border)
    known = np.where(border_wins & carried[:-1], 0, np.arange(clusters - 1))
    came_over = np.append(0, goes_on[np.maximum.accumulate(known)])
    winner = np.where(carried, came_over, inner)
    winner[:-1] = np.where(border_wins, border, winner[:-1])
    return np.concatenate([kept, rest[winner]])


@checked
def pivotal_pairs(inclusion: ArrayLike) -> PairRecurrence:
    """The pair probabilities of `pivotal_sample`, in its order; exact up to rounding, O(n).

    Example:
        >>> pairs = pivotal_pairs([0.5, 0.5, 0.5, 0.5])
        >>> float(0.25 - pairs.loss[1] * pairs.gain[0])  # P(the first two are both kept)
        0.0
    """
    pi, certain, clusters = _checked(inclusion)
    loss, gain, decay = np.where(certain, 0.0, pi), pi.copy(), np.ones_like(pi)
    gain[certain] = 0.0
    if clusters:
        rest = np.flatnonzero(~certain)
        border, a, b = _borders(np.cumsum(pi[rest]), clusters)
        neither = np.maximum(1 - a - b, 0.0)
        inside = np.maximum(1 - a, ROUNDING)
        border = rest[border]
        loss[border] = a * neither / inside
        gain[border] = b * neither / (1 - b)
        decay[border] = a * b / ((1 - b) * inside)
    return PairRecurrence(loss, gain, decay)


@checked
def pivotal_joint(inclusion: ArrayLike) -> Array:
    """P(i and j are both kept), float64 `(n, n)`, with the inclusion probabilities on the diagonal.

    Exact up to rounding, O(n^2).

    Example:
        >>> pivotal_joint([0.5, 0.5, 0.5, 0.5])[0].tolist()  # neighbours exclude each other
        [0.5, 0.0, 0.25, 0.25]
    """
    pi = double_array(inclusion, "inclusion")
    pairs = pivotal_pairs(pi)
    require_room("n", len(pi), 16, power=2)
    joint = np.outer(pi, pi)
    running = np.zeros(len(pi))
    for k in range(len(pi)):
        joint[k] -= pairs.loss[k] * running
        joint[:, k] -= pairs.loss[k] * running
        running *= pairs.decay[k]
        running[k] = pairs.gain[k]
    np.fill_diagonal(joint, pi)
    return np.maximum(joint, 0.0)


@checked
def pivotal_covariance_trace(gradients: ArrayLike, inclusion: ArrayLike) -> float:
    """tr Cov[sum_{i kept} g_i / (n pi_i)], exact in O(n d); its mean squared error as well.

    gradients `(n, d)` in the order of `inclusion` `(n,)`, all positive. Exact up to rounding.

    Example:
        >>> inclusion = [0.5, 0.5, 0.5, 0.5]
        >>> float(pivotal_covariance_trace(np.ones((4, 1)), inclusion))  # always two of four
        0.0
        >>> float(pivotal_covariance_trace(np.array([[1.0], [0.0], [1.0], [0.0]]), inclusion))
        0.125
    """
    pi = double_array(inclusion, "inclusion")
    g = double_array(gradients, "gradients")
    if g.ndim != 2 or len(g) != len(pi):
        raise InputError(f"gradients must have shape ({len(pi)}, d), got {g.shape}")
    if not np.all(pi > 0):
        raise InputError("a sample that is never kept has no weight that makes up for it")
    pairs = pivotal_pairs(pi)
    h = g / (len(pi) * pi)[:, None]
    running, total = np.zeros(g.shape[1]), float((pi * (1 - pi)) @ np.einsum("ij,ij->i", h, h))
    for row, loss, gain, decay in zip(h, pairs.loss, pairs.gain, pairs.decay, strict=True):
        total -= 2 * loss * float(row @ running)
        running = decay * running + gain * row
    return total


def _checked(inclusion: ArrayLike) -> tuple[Array, NDArray[np.bool_], int]:
    """The probabilities, which of them are 1, and the sum of the others, an integer."""
    pi = double_array(inclusion, "inclusion")
    if pi.ndim != 1 or not pi.size or not np.all((pi >= 0) & (pi <= 1)):
        raise InputError(f"inclusion probabilities must be (n,) numbers in [0, 1], got {pi.shape}")
    certain = pi > 1 - ROUNDING
    total = float(pi[~certain].sum())
    if abs(total - round(total)) > 1e-9 * len(pi):
        raise InputError(f"inclusion probabilities must sum to an integer, got {pi.sum()}")
    return pi, certain, round(total)


def _borders(line: Array, clusters: int) -> tuple[NDArray[np.int64], Array, Array]:
    """Who straddles the points 1 ... clusters - 1 of the line, and its parts before and after."""
    points = np.arange(1, clusters)
    border = np.searchsorted(line, points)
    before = points - line[border - 1]
    return border, before, line[border] - points
