"""Predictive entropy."""

import torch
from jaxtyping import Float64, Real
from torch import Tensor

from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import Array, distributions
from orderdp_train.scores.recording import Recording
from orderdp_train.scores.static_rule import ScoreRule


def entropy(probabilities: Real[Array, "*networks n c"]) -> Float64[Tensor, "*networks n"]:
    """Entropy -sum_c p_c log p_c in nats, float64 `(n,)`, with 0 log 0 = 0; in [0, log c].

    Args:
        probabilities: softmax outputs `(n, c)` of a trained proxy; logits are a `ValueError`.

    Source: Coleman et al. (2020). Cost O(n c).

    Example:
        >>> entropy(np.array([[1.0, 0.0], [0.5, 0.5]])).numpy().round(4).tolist()  # 0 and log 2
        [0.0, 0.6931]
    """
    return torch.special.entr(distributions(probabilities)).sum(-1)


@register
class Entropy(ScoreRule):
    """`entropy` of the proxy's predictions."""

    name, label = "entropy", "entropy"

    def scores(self, recording: Recording, generator: torch.Generator) -> Tensor:
        return entropy(recording.last_layer.probabilities)
