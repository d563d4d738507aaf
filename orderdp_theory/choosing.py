"""Which (s, q) estimates the full gradient best, for given per-sample gradients and a budget.

The estimators are sum_{i in Q} w_i g_i with fixed weights per rank. In all of them
P(j, k in Q) = A J_k + B (gamma_j + gamma_k) + C for j < k, so their mean squared errors are sums
over pairs of inner products <g_j, g_k> with coefficients that are products of a function of j and
one of k. Only inner products of gradients enter. Statements and proofs: proofs/choosing.md.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked, double_array, require_design
from orderdp_theory.common.arrays import Array
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_room
from orderdp_theory.design import Design
from orderdp_theory.horvitz_thompson import (
    MATRICES,
    horvitz_thompson_inclusion,
    horvitz_thompson_joint,
    horvitz_thompson_weights,
    pair_constants,
)
from orderdp_theory.inclusion import inclusion_probabilities, joint_inclusion_probabilities
from orderdp_theory.pivotal import pivotal_joint
from orderdp_theory.proportional import proportional_inclusion
from orderdp_theory.ranking import Ranking

FLOORS = (0.05, 0.25, 0.5, 0.75)  # of survey sampling, in units of q/n


@dataclass(frozen=True)
class Candidate:
    """A rule of budget q1 + q2 with the exact error of its estimator of the mean gradient.

    q2 = 0: random-then-top, weights 1/q. q2 > 0: random-then-top of q1 plus q2 uniform from the
    rest, Horvitz-Thompson weights, so that bias_squared is zero up to rounding.

    Example:
        >>> biased = Candidate(Design(4, 3, 2), q2=0, bias_squared=0.125, variance=0.25)
        >>> unbiased = Candidate(Design(4, 3, 1), q2=1, bias_squared=0.0, variance=0.5)
        >>> biased.mean_squared_error, unbiased.mean_squared_error
        (0.375, 0.5)
    """

    design: Design
    q2: int
    bias_squared: float
    variance: float

    @property
    def mean_squared_error(self) -> float:
        return self.bias_squared + self.variance


@dataclass(frozen=True)
class SurveySample:
    """Survey sampling of a budget with the exact error of its unbiased estimate.

    Inclusion probabilities proportional to estimated norms, none below floor q/n, drawn by ordered
    pivotal sampling; Horvitz-Thompson weights.

    Example:
        >>> SurveySample(floor=0.25, variance=0.5).mean_squared_error  # unbiased: all is variance
        0.5
    """

    floor: float
    variance: float

    @property
    def mean_squared_error(self) -> float:
        return self.variance


@dataclass(frozen=True)
class Choice:
    """All candidates of one budget: random-then-top by s, the unbiased rule by (s, q1).

    Beside them survey sampling by its floor, which has no design.

    Example:
        >>> choice = choose(np.eye(4), losses=[3.0, 2.0, 1.0, 0.0], q=2)
        >>> choice.best.design, round(choice.best.mean_squared_error, 3)
        (Design(n=4, s=2, q=2), 0.25)
        >>> choice.best_survey.floor, round(choice.best_survey.mean_squared_error, 3)
        (0.75, 0.273)
    """

    random_then_top: tuple[Candidate, ...]
    unbiased: tuple[Candidate, ...]
    survey: tuple[SurveySample, ...]

    @property
    def best(self) -> Candidate:
        """The design of the smallest mean squared error, the first one if several have it."""
        return min((*self.random_then_top, *self.unbiased), key=lambda c: c.mean_squared_error)

    @property
    def best_survey(self) -> SurveySample:
        """The floor of the smallest mean squared error, the first one if several have it."""
        return min(self.survey, key=lambda c: c.mean_squared_error)


@checked
def choose(
    gram: ArrayLike,
    losses: ArrayLike,
    q: int,
    sizes: Iterable[int] | None = None,
    splits: Iterable[int] | None = None,
    progress: Callable[[Sequence[tuple[Design, int]]], Iterable[tuple[Design, int]]] = iter,
) -> Choice:
    """The exact mean squared error of every design of budget q, and of every unbiased split.

    Also of survey sampling with the norms estimated by 1 - exp(-loss), as for a cross-entropy.

    Args:
        gram: inner products <g_i, g_j>, `(n, n)`: G @ G.T for gradients G `(n, d)`. Norms alone do
            not determine the error: see `error_bound_from_norms`; diag(norms^2) is the case of
            orthogonal gradients.
        losses: what ranks the samples, `(n,)`; ties are broken at random.
        q: the budget, how many samples a selection keeps.
        sizes: values of s to try, default q ... n (for a split, q1 + 1 ... n).
        splits: values of q1 to try, default 1 ... q - 1.
        progress: wraps the list of what is evaluated, for a progress bar.

    Each candidate costs O(n^2). `ValueError` for a matrix that cannot be a Gram matrix, for losses
    that cannot be ranked and for sizes that no design has.

    Example:
        >>> gradients = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
        >>> choice = choose(gradients @ gradients.T, losses=[3.0, 2.0, 1.0, 0.0], q=2)
        >>> errors = [(c.bias_squared, c.variance) for c in choice.random_then_top]
        >>> np.round(errors, 6).tolist()  # s = 2, 3, 4
        [[0.0, 0.3125], [0.15625, 0.21875], [0.5625, 0.0]]
        >>> choice.best.design
        Design(n=4, s=3, q=1)
    """
    gram = _checked_gram(gram)
    n = len(gram)
    ranking = Ranking.of(losses, n)
    distinct, means = ranking.average_matrix(gram)
    squares, above = np.diag(distinct), np.triu(distinct, 1)
    Design(n, n, q)  # refuses an impossible budget
    wanted = range(1, n + 1) if sizes is None else sorted(set(sizes))
    heads = range(1, q) if splits is None else sorted(set(splits))
    if any(not 1 <= q1 < q for q1 in heads):
        raise InputError(f"splits must lie in 1 ... q - 1 = {q - 1}, got {list(heads)}")
    tried = [(Design(n, s, q), 0) for s in wanted if s >= q or sizes is not None]
    tried += [(Design(n, s, q1), q - q1) for s in wanted for q1 in heads if q1 < s]
    found = []
    for design, q2 in progress(tried):
        weights = _weights(design, q2)
        pi = horvitz_thompson_inclusion(design, q2)
        gamma = inclusion_probabilities(design)
        a, b, c = pair_constants(design, q2)
        later = weights * (a * joint_inclusion_probabilities(design) + b * gamma + c)
        pairs = weights @ above @ later + (b * gamma * weights) @ above @ weights
        mean = weights * pi
        variance = weights**2 * pi @ squares + 2 * pairs - mean @ means @ mean
        bias_squared = (mean - 1 / n) @ means @ (mean - 1 / n)
        found.append(Candidate(design, q2, float(bias_squared), max(float(variance), 0.0)))
    return Choice(
        random_then_top=tuple(c for c in found if c.q2 == 0),
        unbiased=tuple(c for c in found if c.q2 > 0),
        survey=tuple(_survey(gram, ranking, losses, q, floor) for floor in FLOORS),
    )


def _survey(
    gram: Float64[Array, "n n"], ranking: Ranking, losses: ArrayLike, q: int, floor: float
) -> SurveySample:
    """Its error with sizes 1 - exp(-loss), drawn in the order of the losses, tied ones by index."""
    n, order = len(gram), ranking.order
    sizes = -np.expm1(-np.maximum(double_array(losses, "losses"), 0.0))
    pi = proportional_inclusion(sizes[order], q, floor * q / n)
    coefficients = pivotal_joint(pi) / np.outer(pi, pi) - 1
    variance = float(np.vdot(coefficients, gram[np.ix_(order, order)])) / n**2
    return SurveySample(floor, max(variance, 0.0))


@checked
def error_bound_from_norms(
    norms: ArrayLike, losses: ArrayLike, design: Design, q2: int = 0
) -> float:
    """What the mean squared error is at most, whatever the directions of the gradients.

    The error is sum_jk C_jk <g_j, g_k>, so it is at most sum_jk |C_jk| |g_j| |g_k|, where
    C_jk = w_j w_k P(j, k in Q) - (w_j P(j in Q) + w_k P(k in Q)) / n + 1/n^2.

    norms: |g_i|, `(n,)`, not negative. The rule is that of `Candidate(design, q2)`.

    Example:
        >>> norms, losses, design = [2.0, 1.0, 1.0, 0.0], [3.0, 2.0, 1.0, 0.0], Design(4, 3, 2)
        >>> round(error_bound_from_norms(norms, losses, design), 6)
        0.5625
        >>> orthogonal = choose(np.diag(np.square(norms)), losses, q=2, sizes=[3])
        >>> round(orthogonal.best.mean_squared_error, 6)
        0.2375
    """
    require_design(design)
    norms = double_array(norms, "norms")
    if norms.shape != (design.n,) or not np.all(np.isfinite(norms) & (norms >= 0)):
        raise InputError(f"norms must be {design.n} finite numbers >= 0, got shape {norms.shape}")
    require_room("n", design.n, 2 * MATRICES, power=2)
    aligned, _ = Ranking.of(losses, design.n).average_matrix(np.outer(norms, norms))
    weights, joint = _weights(design, q2), horvitz_thompson_joint(design, q2)
    mean = weights * np.diag(joint)
    coefficients = weights[:, None] * weights * joint - (mean[:, None] + mean) / design.n
    return float(np.vdot(np.abs(coefficients + 1 / design.n**2), aligned))


def _weights(design: Design, q2: int) -> Float64[Array, "{design.n}"]:
    """Weights per rank: uniform ones, or those that make the estimator unbiased."""
    return horvitz_thompson_weights(design, q2) if q2 else np.full(design.n, 1 / design.q)


def _checked_gram(gram: ArrayLike) -> Float64[Array, "n n"]:
    gram = double_array(gram, "gram")
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or gram.size == 0:
        raise InputError(f"gram must be a square matrix of inner products, got shape {gram.shape}")
    if not np.isfinite(gram).all():
        raise InputError("gram must be finite")
    scale = np.abs(np.diag(gram)).max()
    if np.abs(gram - gram.T).max() > 1e-6 * scale or np.linalg.eigvalsh(gram)[0] < -1e-6 * scale:
        raise InputError(
            "gram must be symmetric and positive semidefinite, as inner products are; "
            "for gradients G of shape (n, d) it is G @ G.T"
        )
    return gram
