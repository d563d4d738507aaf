"""Herding: a subset whose mean is the mean of all."""

import math

import torch
from jaxtyping import Int64, Integer, Real
from torch import Tensor

from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import Array, finite_matrix, well_scaled
from orderdp_train.scores._balance import select_by_class
from orderdp_train.scores.recording import Recording
from orderdp_train.scores.static_rule import StaticRule


def herding(
    features: Real[Array, "n d"], k: int, *, classes: Integer[Array, "n"] | None = None
) -> Int64[Tensor, "{k}"]:
    """k of n samples, int64 `(k,)`, in the order in which they were chosen.

    With m the mean of the features, step t + 1 takes the sample, not taken yet, that is *nearest*
    to the running target (t + 1) m - (sum of those taken), so that the mean of the t + 1 samples is
    as near to m as one more sample can make it. For features of one length this is Welling's
    update, argmax <w_t, x>; without replacement. The error of the mean falls like O(1/k), against
    O(1/sqrt(k)) at random.

    Args:
        features: `(n, d)`.
        classes: labels `(n,)`; each class is herded to its own mean. None: all to the common mean.

    Source: Welling (2009); Chen, Welling, Smola (2010); as in Rebuffi et al. (2017), Algorithm 4.
    Cost O(k n d) time (divided by the number of classes with `classes`), O(n d) memory.

    Example:
        >>> herding(np.array([[0.0], [1.0], [2.0], [7.0]]), k=2).tolist()  # the mean is 2.5
        [2, 1]
    """
    x = finite_matrix(features, "features")

    def select(rows: Tensor, budget: int) -> Tensor:
        points = well_scaled(x, rows)  # so the target is 0
        squares = points.square().sum(1)
        total = torch.zeros_like(points[0])
        chosen = torch.empty(budget, dtype=torch.int64)
        for t in range(budget):
            # |total + x|^2 - |total|^2
            change = torch.addmv(squares, points, total, alpha=2)
            best = int(change.argmin())
            chosen[t] = best
            total += points[best]
            squares[best] = math.inf
        return chosen

    return select_by_class(len(x), k, classes, select)


@register
class Herding(StaticRule):
    """`herding` of the proxy's embeddings."""

    name, label = "herding", "herding"

    def subset(
        self, recording: Recording, k: int, classes: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        return herding(recording.last_layer.features, k, classes=classes)
