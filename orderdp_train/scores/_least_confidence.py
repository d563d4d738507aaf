"""Least confidence."""

import torch
from jaxtyping import Float64, Real
from torch import Tensor

from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import Array, distributions
from orderdp_train.scores.recording import Recording
from orderdp_train.scores.static_rule import ScoreRule


def least_confidence(probabilities: Real[Array, "*networks n c"]) -> Float64[Tensor, "*networks n"]:
    """One minus the largest class probability, float64 `(n,)`, in [0, 1 - 1/c].

    Args:
        probabilities: softmax outputs `(n, c)` of a trained proxy; logits are a `ValueError`.

    Source: Coleman et al. (2020). Cost O(n c).

    Example:
        >>> least_confidence(np.array([[1.0, 0.0], [0.5, 0.5]])).tolist()
        [0.0, 0.5]
    """
    return 1 - distributions(probabilities).amax(-1)


@register
class LeastConfidence(ScoreRule):
    """`least_confidence` of the proxy's predictions."""

    name, label = "least-confidence", "least confidence"

    def scores(self, recording: Recording, generator: torch.Generator) -> Tensor:
        return least_confidence(recording.last_layer.probabilities)
