"""The surrogate loss L_q that random-then-top selection minimizes, and its per-sample weights."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities
from orderdp_theory.ranking import Ranking


def surrogate_weights(losses: ArrayLike, design: Design) -> NDArray[np.float64]:
    """Weights gamma_rank(i) / q of the samples in L_q, float64 `(n,)` in input order."""
    ranking = Ranking.of(losses)
    if len(ranking) != design.n:
        raise ValueError(f"expected n={design.n} losses, got {len(ranking)}")
    gamma = ranking.average_ties(inclusion_probabilities(design))
    return ranking.to_input_order(gamma / design.q)


def surrogate_loss(losses: ArrayLike, design: Design) -> float:
    """L_q = (1/q) sum_j gamma_j L_(j) (Eq. 3), the expected mean loss of the kept samples."""
    return float(surrogate_weights(losses, design) @ np.asarray(losses, dtype=np.float64))
