"""The surrogate loss L_q that random-then-top selection minimizes, and its per-sample weights."""

from jaxtyping import Float64
from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked, double_array
from orderdp_theory.common.arrays import Array
from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities
from orderdp_theory.ranking import Ranking


@checked
def surrogate_weights(losses: ArrayLike | Ranking, design: Design) -> Float64[Array, "{design.n}"]:
    """Weights gamma_rank(i) / q of the samples in L_q (Eq. 3), float64 `(n,)` in input order.

    losses: `(n,)`, or their `Ranking`, which many designs can share. Tied losses share the mean
    of their weights, as if ties were broken at random: a permutation of the losses permutes the
    weights. The weights sum to 1; their errors are those of `inclusion_probabilities`.
    `ValueError` for a wrong length or losses that are not finite, `TypeError` for a `RankDesign`
    and for losses that `Ranking` refuses.

    Example:
        >>> surrogate_weights([0.0, 3.0, 1.0, 2.0], Design(4, 2, 1)).round(4).tolist()
        [0.0, 0.5, 0.1667, 0.3333]
        >>> surrogate_weights([1.0, 1.0, 1.0, 1.0], Design(4, 2, 1)).round(4).tolist()  # ties share
        [0.25, 0.25, 0.25, 0.25]
    """
    ranking = Ranking.of(losses, design.n)
    gamma = ranking.average_ties(inclusion_probabilities(design))
    return ranking.to_input_order(gamma / design.q)


@checked
def surrogate_loss(losses: ArrayLike, design: Design) -> float:
    """L_q = (1/q) sum_j gamma_j L_(j) (Eq. 3), the expected mean loss of the kept samples.

    Example:
        >>> surrogate_loss([1.0, 0.0, 0.0, 0.0], Design(4, 2, 1))  # the mean loss is 1/4
        0.5
    """
    weights = surrogate_weights(losses, design)
    return float(weights @ double_array(losses))
