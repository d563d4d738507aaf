"""Farthest-first traversal."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def farthest_first(distances: Callable[[int], Tensor], n: int, k: int, first: int) -> Tensor:
    """`first`, then k - 1 times the sample farthest from those taken; int64 `(k,)`.

    `distances(i)` gives `(n,)`, infinities included, from sample i to all. Only the distance to the
    nearest sample taken is kept, so memory is O(n). For a metric the radius max_i min_j d(i, j) is
    at most twice the least possible (Gonzalez, 1985).
    """
    chosen = torch.empty(k, dtype=torch.int64)
    nearest = None
    latest = first
    for t in range(k):
        chosen[t] = latest
        here = distances(latest)
        nearest = here.clone() if nearest is None else torch.minimum(nearest, here)
        nearest[latest] = -math.inf  # taken
        latest = int(nearest.argmax())
    return chosen
