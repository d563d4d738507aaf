"""k-center, the core-set of active learning."""

import torch
from jaxtyping import Int64, Integer, Real
from torch import Tensor

from orderdp_train.rules.base import check_generator
from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import Array, finite_matrix, well_scaled
from orderdp_train.scores._balance import select_by_class
from orderdp_train.scores._farthest_first import farthest_first
from orderdp_train.scores.recording import Recording
from orderdp_train.scores.static_rule import StaticRule


def k_center(
    features: Real[Array, "n d"],
    k: int,
    generator: torch.Generator,
    *,
    classes: Integer[Array, "n"] | None = None,
) -> Int64[Tensor, "{k}"]:
    """k of n samples, int64 `(k,)`, that cover the others: greedy for min max_i min_j |x_i - x_j|.

    The first is drawn uniformly, each next one is the sample farthest from those taken; the radius
    is at most twice the least possible.

    Args:
        features: `(n, d)`; the distance is Euclidean.
        classes: labels `(n,)`; each class is covered by its own samples. None: all at once.

    Source: Sener, Savarese (2018), Algorithm 1. Cost O(k n d) time, O(n d) memory: distances to the
    nearest sample taken are all that is kept. A distance is exact to some 1e-8 of the spread of the
    features, since it comes from inner products.

    Example:
        >>> kept = k_center(np.array([[0.0], [0.1], [5.0]]), 2, torch.Generator().manual_seed(0))
        >>> 2 in kept.tolist()
        True
    """
    check_generator(generator)
    x = finite_matrix(features, "features")

    def select(rows: Tensor, budget: int) -> Tensor:
        points = well_scaled(x, rows)
        squares = points.square().sum(1)

        def squared_distances(i: int) -> Tensor:
            return torch.addmv(squares, points, points[i], alpha=-2).add_(squares[i]).clamp_(min=0)

        first = torch.randint(len(rows), (1,), generator=generator, device=generator.device)
        return farthest_first(squared_distances, len(rows), budget, int(first))

    return select_by_class(len(x), k, classes, select)


@register
class KCenter(StaticRule):
    """`k_center` of the proxy's embeddings."""

    name, label = "k-center", "k-center"

    def subset(
        self, recording: Recording, k: int, classes: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        return k_center(recording.last_layer.features, k, generator, classes=classes)
