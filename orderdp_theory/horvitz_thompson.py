"""The unbiased rule at the same exact budget: random-then-top plus a uniform draw from the rest.

Keep q1 = design.q samples by random-then-top, then q2 uniformly without replacement from the n - q1
that are not kept. Weighting each by 1 / (n pi_i) makes the sum an unbiased estimator of the full
gradient for any ranking, stale or fresh (Horvitz & Thompson 1952). Statements and proofs:
proofs/horvitz_thompson.md.
"""

import operator

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked, double_array, require_design
from orderdp_theory.common.arrays import Array
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_room
from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities, joint_inclusion_probabilities
from orderdp_theory.ranking import Ranking

MATRICES = 32  # bytes a pair: four matrices of float64 at a time


@checked
def horvitz_thompson_inclusion(design: Design, q2: int) -> Float64[Array, "{design.n}"]:
    """pi_j = gamma_j + (1 - gamma_j) q2 / (n - q1), float64 `(n,)` in rank order; the sum is q1+q2.

    `ValueError` unless 0 <= q2 <= n - q1, `TypeError` if q2 is not an integer.

    Example:
        >>> pi = horvitz_thompson_inclusion(Design(10, 5, 2), q2=1)
        >>> pi.round(4).tolist()
        [0.5625, 0.5625, 0.4896, 0.3854, 0.2812, 0.1979, 0.1458, 0.125, 0.125, 0.125]
        >>> round(float(pi.sum()), 12)
        3.0
    """
    one, _ = uniform_part(design, q2)
    gamma = inclusion_probabilities(design)
    return gamma + (1 - gamma) * one


@checked
def horvitz_thompson_weights(design: Design, q2: int) -> Float64[Array, "{design.n}"]:
    """1 / (n pi_j) per rank, float64 `(n,)`: sum_{i in Q} w_i g_i has expectation (1/n) sum_i g_i.

    `ValueError` also if some rank can never be kept (q2 = 0 and q1 < s), as no weight can make up
    for that.

    Example:
        >>> design = Design(10, 5, 2)
        >>> pi, w = horvitz_thompson_inclusion(design, q2=1), horvitz_thompson_weights(design, q2=1)
        >>> (pi * w).round(12).tolist()  # each sample counts 1/n in expectation
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
    """
    pi = horvitz_thompson_inclusion(design, q2)
    if pi[-1] <= 0:
        raise InputError(
            f"with q2={q2} the last ranks have inclusion probability 0 and no finite weight; "
            "take q2 >= 1"
        )
    return 1 / (design.n * pi)


@checked
def horvitz_thompson_joint(design: Design, q2: int) -> Float64[Array, "{design.n} {design.n}"]:
    """P(ranks j and k are both in Q), float64 `(n, n)`, with pi_j on the diagonal.

    For j < k: A J_k + B (gamma_j + gamma_k) + C with J the joint inclusion probabilities of the
    random-then-top part and the constants of `pair_constants`.

    Example:
        >>> joint = horvitz_thompson_joint(Design(4, 2, 1), q2=1)
        >>> round(float(np.triu(joint, 1).sum()), 12)  # a selection of two holds one pair
        1.0
    """
    a, b, c = pair_constants(design, q2)
    require_room("n", design.n, MATRICES, power=2)
    gamma = inclusion_probabilities(design)
    later = joint_inclusion_probabilities(design)
    joint = a * np.triu(np.broadcast_to(later, (design.n, design.n)), 1)
    joint = joint + joint.T + b * (gamma[:, None] + gamma) + c
    np.fill_diagonal(joint, horvitz_thompson_inclusion(design, q2))
    return joint


@checked
def horvitz_thompson_covariance_trace(
    gradients: ArrayLike, losses: ArrayLike, design: Design, q2: int
) -> float:
    """tr Cov[sum_{i in Q} g_i / (n pi_i)], exact in O(n d); its mean squared error as well.

    gradients `(n, d)`, losses `(n,)` are what the ranking is made of. Ties are broken uniformly at
    random in each draw and a sample is weighted by the rank it got. In rank order, with u = 1/pi,

        n^2 tr Cov = sum_j (u_j - 1) |g_j|^2 + 2 sum_{j<k} (u_j m_k + B gamma_j u_j u_k - 1) g_j.g_k

    where m_k = u_k (A J_k + B gamma_k + C): every pair term is a product of a function of j and one
    of k, so prefix sums do. Within a group of ties the coefficients are replaced by their means.

    Example:
        >>> gradients, losses = np.ones((10, 3)), np.arange(10.0)
        >>> round(horvitz_thompson_covariance_trace(gradients, losses, Design(10, 5, 2), q2=1), 4)
        0.232
    """
    gradients = double_array(gradients, "gradients")
    if gradients.ndim != 2 or len(gradients) != design.n:
        raise InputError(f"gradients must have shape ({design.n}, d), got {gradients.shape}")
    ranking = Ranking.of(losses, design.n)
    a, b, c = pair_constants(design, q2)
    gamma = inclusion_probabilities(design)
    u = design.n * horvitz_thompson_weights(design, q2)
    m = u * (a * joint_inclusion_probabilities(design) + b * gamma + c)
    v = b * gamma * u
    g = gradients[ranking.order]
    squares = np.einsum("ij,ij->i", g, g)
    mean_u, mean_m, mean_v = (ranking.average_ties(x) for x in (u, m, v))

    before = _before(g)
    pairs = mean_m @ np.einsum("ij,ij->i", g, _before(mean_u[:, None] * g))
    pairs += mean_u @ np.einsum("ij,ij->i", g, _before(mean_v[:, None] * g))
    pairs -= np.einsum("ij,ij->", g, before)
    excess = ranking.pair_excess(m, earlier=u) + ranking.pair_excess(u, earlier=v)
    for group in np.flatnonzero(excess):
        tied = gradients[ranking.group(group)]
        total = tied.sum(axis=0)
        pairs += excess[group] * (total @ total - np.einsum("ij,ij->", tied, tied)) / 2
    return float((mean_u - 1) @ squares + 2 * pairs) / design.n**2


def _before(x: Array) -> Array:
    """Sums over the earlier ranks."""
    return np.cumsum(x, axis=0) - x


def uniform_part(design: Design, q2: int) -> tuple[float, float]:
    """P(one), P(two given samples that random-then-top left are drawn by the uniform part)."""
    require_design(design)
    try:
        q2 = operator.index(q2)
    except TypeError:
        raise TypeError(f"q2 must be an integer, got {q2!r}") from None
    rest = design.n - design.q
    if not 0 <= q2 <= rest:
        raise InputError(f"q2 must lie in 0 ... n - q1 = {rest}: only those are left, got {q2=}")
    return simple_random_sampling(rest, q2)


def simple_random_sampling(population: int, drawn: int) -> tuple[float, float]:
    """P(one), P(two given elements are drawn) without replacement; 0 where there are none."""
    one = drawn / population if population else 0.0
    two = one * (drawn - 1) / (population - 1) if population > 1 else 0.0
    return one, two


def pair_constants(design: Design, q2: int) -> tuple[float, float, float]:
    """A, B, C of P(j, k in Q) = pi_jk = A J_max(j,k) + B (gamma_j + gamma_k) + C.

    Both kept at first has probability J, exactly one gamma_j + gamma_k - 2 J, neither
    1 - gamma_j - gamma_k + J; the uniform part then adds what is missing with probability 1, `one`
    and `two`.
    """
    one, two = uniform_part(design, q2)
    return 1 - 2 * one + two, one - two, two
