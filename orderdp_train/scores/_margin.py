"""Margin between the two likeliest classes."""

import torch
from jaxtyping import Float64, Real
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import Array, distributions
from orderdp_train.scores.recording import Recording
from orderdp_train.scores.static_rule import ScoreRule


def margin(probabilities: Real[Array, "*networks n c"]) -> Float64[Tensor, "*networks n"]:
    """One minus the lead of the likeliest class over the second, float64 `(n,)`, in [0, 1].

    Args:
        probabilities: softmax outputs `(n, c)`, c >= 2, of a trained proxy; logits are a
            `ValueError`.

    Source: Coleman et al. (2020) (Scheffer et al., 2001). Cost O(n c).

    Example:
        >>> margin(np.array([[1.0, 0.0], [0.75, 0.25]])).tolist()
        [0.0, 0.5]
    """
    p = distributions(probabilities)
    if p.shape[-1] < 2:
        raise InputError("a margin needs at least two classes")
    first, second = torch.topk(p, 2).values.unbind(-1)
    return 1 - (first - second)


@register
class Margin(ScoreRule):
    """`margin` of the proxy's predictions."""

    name, label = "margin", "margin"

    def scores(self, recording: Recording, generator: torch.Generator) -> Tensor:
        return margin(recording.last_layer.probabilities)
