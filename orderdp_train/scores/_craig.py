"""CRAIG: the weighted subset whose gradients represent all."""

import math

import torch
from jaxtyping import Float64, Int64, Integer, Real
from torch import Tensor

from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import Array, finite_matrix, well_scaled
from orderdp_train.scores._balance import select_by_class
from orderdp_train.scores.recording import Recording
from orderdp_train.scores.static_rule import BALANCED, StaticRule

# So many stale gains are evaluated at once: one product of matrices instead of several of vectors.
BATCH = 16


def craig(
    features: Real[Array, "n d"], k: int, *, classes: Integer[Array, "n"] | None = None
) -> tuple[Int64[Tensor, "{k}"], Float64[Tensor, "{k}"]]:
    """k of n samples, int64 `(k,)`, and how many samples each represents, float64 `(k,)`.

    Greedy maximisation of the facility location function

        F(S) = sum_i (D - min_{j in S} |g_i - g_j|),    D >= every distance,

    monotone and submodular, so that F is at least 1 - 1/e of the greatest. Gains can tie exactly
    (two samples that represent only each other); rounding then decides. The weight of j is the
    number of samples whose nearest one in S it is (of several the one taken first, and a sample in
    S is its own): whole numbers from 1, which sum to n.

    Args:
        features: gradient embeddings `(n, d)`, in the source per-sample gradients at the last
            layer's output, softmax minus one-hot target.
        classes: labels `(n,)`; as published, each class is represented by its own. None: all.

    Source: Mirzasoleiman, Bilmes, Leskovec (2020), Algorithm 1, with lazy evaluation (Minoux,
    1978): gains only fall as S grows, so an old gain is an upper bound. Distances are computed anew
    from `BATCH` rows at a time, never kept. The first gains cost O(n^2 d), a step O(n d) for
    each gain evaluated, a few in practice and n at worst: O(k n^2 d); with c even classes n is
    replaced by n / c and k by k / c, c times. Memory O(n d + BATCH n).

    Example:
        >>> indices, weights = craig(np.array([[0.0], [0.1], [-0.1], [5.0]]), k=2)
        >>> indices.tolist(), weights.tolist()  # the middle of three, and the one far away
        ([0, 3], [3.0, 1.0])
    """
    x = finite_matrix(features, "features")
    represented = torch.zeros(len(x), dtype=torch.float64)

    def select(rows: Tensor, budget: int) -> Tensor:
        chosen, counts = _facility_location(well_scaled(x, rows), budget)
        represented[rows[chosen]] = counts
        return chosen

    kept = select_by_class(len(x), k, classes, select)
    return kept, represented[kept]


def _facility_location(points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k chosen of n points of mean 0, and how many points each represents."""
    n = len(points)
    squares = points.square().sum(1)
    nearest = torch.full_like(squares, 2 * math.sqrt(float(squares.max())))
    owner = torch.zeros(n, dtype=torch.int64, device=points.device)

    def distances(rows: Tensor) -> Tensor:
        products = torch.addmm(squares, points[rows], points.T, alpha=-2)
        return products.add_(squares[rows, None]).clamp_(min=0).sqrt_()

    def gains(rows: Tensor) -> Tensor:
        return distances(rows).neg_().add_(nearest).clamp_(min=0).sum(1)

    bounds = torch.cat([gains(rows) for rows in torch.arange(n, device=points.device).split(BATCH)])
    fresh = torch.ones(n, dtype=torch.bool, device=points.device)
    chosen = torch.empty(k, dtype=torch.int64)
    for t in range(k):
        while not fresh[best := int(bounds.argmax())]:
            stale = bounds.topk(min(BATCH, n)).indices
            bounds[stale] = torch.where(bounds[stale] == -math.inf, -math.inf, gains(stale))
            fresh[stale] = True
        chosen[t] = best
        here = distances(torch.tensor([best], device=points.device))[0]
        owner[here < nearest] = t
        owner[best] = t
        nearest = torch.minimum(nearest, here)
        nearest[best] = 0
        bounds[best] = -math.inf
        fresh[:] = False
    return chosen, torch.bincount(owner, minlength=k).double().cpu()


@register
class Craig(StaticRule):
    """`craig` of the proxy's gradients in the logits."""

    name, label = "craig", "CRAIG"
    options = {**StaticRule.options, "balance": BALANCED}

    def subset(
        self, recording: Recording, k: int, classes: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        return craig(recording.last_layer.logit_gradients(), k, classes=classes)
