"""The bias of an expected gradient, split by cause into vectors that add up to it."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

CAUSES = ("ranking", "staleness", "normalisation")


def split_bias(
    full: Float64[Tensor, "d"],
    fresh: Float64[Tensor, "d"],
    stored: Float64[Tensor, "d"],
    fresh_sum: float,
    stored_sum: float,
) -> dict[str, Tensor]:
    """Split `stored - full` into its causes; all vectors float64 `(P,)`.

    `full` is `grad L`; `fresh` and `stored` are the expected gradients with the current
    losses and with the stored scores for scores, whose weights add up to `fresh_sum` and
    `stored_sum`.

    - *ranking*: what preferring samples of high loss does, even with perfect scores and weights
      scaled to add up to 1. Zero for a rule that is unbiased up to its step length.
    - *staleness*: what ranking by old losses instead of current ones changes.
    - *normalisation*: weights that do not add up to 1, so only the step length. InfoBatch divides
      by the number of samples kept rather than by n; OrderDP's weights add up to 1.
    """
    unit_fresh, unit_stored = fresh / fresh_sum, stored / stored_sum
    return {
        "ranking": unit_fresh - full,
        "staleness": unit_stored - unit_fresh,
        "normalisation": stored - unit_stored,
    }
