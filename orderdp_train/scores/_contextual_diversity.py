"""Contextual diversity: k-center in the space of predictions."""

import torch
from jaxtyping import Int64, Integer, Real
from torch import Tensor

from orderdp_train.rules.base import check_generator
from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import Array, distributions
from orderdp_train.scores._balance import select_by_class
from orderdp_train.scores._farthest_first import farthest_first
from orderdp_train.scores.recording import Recording
from orderdp_train.scores.static_rule import StaticRule


def contextual_diversity(
    probabilities: Real[Array, "n c"],
    k: int,
    generator: torch.Generator,
    *,
    classes: Integer[Array, "n"] | None = None,
) -> Int64[Tensor, "{k}"]:
    """k of n samples, int64 `(k,)`, whose predicted distributions differ most.

    Farthest-first traversal from a random sample with the distance `symmetric_kl`.

    Args:
        probabilities: softmax outputs `(n, c)`; zeros are allowed.
        classes: labels `(n,)`; a traversal for each class. None: one for all.

    Source: Agarwal et al. (2020), Section 3 (CDAL-CS), whose image has one region here.
    Cost O(k n c) time, O(n c) memory.

    Example:
        >>> likely = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
        >>> found = contextual_diversity(likely, 2, torch.Generator().manual_seed(0))
        >>> 2 in found.tolist()  # the one that differs
        True
    """
    check_generator(generator)
    p = distributions(probabilities)

    def select(rows: Tensor, budget: int) -> Tensor:
        mine = p[rows.to(p.device)]
        first = torch.randint(len(rows), (1,), generator=generator, device=generator.device)
        return farthest_first(lambda i: symmetric_kl(mine, mine[i]), len(rows), budget, int(first))

    return select_by_class(len(p), k, classes, select)


def symmetric_kl(p: Tensor, q: Tensor) -> Tensor:
    """(KL(p_i, q) + KL(q, p_i)) / 2, `(n,)`, of `(n, c)` and `(c,)`: 0 log 0 = 0, p log(p/0) = inf.

    Entropies are finite and cross entropies lie in [0, inf], so that no NaN can arise.
    """
    entropies = torch.special.entr(p).sum(-1) + torch.special.entr(q).sum(-1)
    crossed = torch.special.xlogy(p, q).sum(-1) + torch.special.xlogy(q, p).sum(-1)
    return (-(entropies + crossed) / 2).clamp(min=0)


@register
class ContextualDiversity(StaticRule):
    """`contextual_diversity` of the proxy's predictions."""

    name, label = "contextual-diversity", "contextual diversity"

    def subset(
        self, recording: Recording, k: int, classes: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        return contextual_diversity(
            recording.last_layer.probabilities, k, generator, classes=classes
        )
