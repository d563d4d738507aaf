"""Inner products of long vectors by layer, added up over pieces of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from orderdp_train.auditing.walk import within

# Differences of vectors are made of so many entries at a time.
PIECE = 2**20


def pieces(part: slice, sizes: Sequence[int]) -> Iterator[tuple[int, slice, slice]]:
    """Cut a part of all parameters into pieces of one layer each, of at most `PIECE` entries.

    Each piece is the layer, the entries in the part, and the entries among all parameters.
    """
    at = 0
    for layer, cut in within(part, sizes):
        end = at + cut.stop - cut.start
        while at < end:
            stop = min(at + PIECE, end)
            yield layer, slice(at, stop), slice(part.start + at, part.start + stop)
            at = stop


class Inner:
    """Inner products by name and layer, float64 `(layers,)` each."""

    def __init__(self, layers: int) -> None:
        self._sums: defaultdict[str, list[list[Tensor]]] = defaultdict(
            lambda: [[] for _ in range(layers)]
        )

    def add(self, layer: int, **pairs: tuple[Tensor, Tensor]) -> None:
        """Add the product of each pair of pieces, `(p,)`, of the layer."""
        for name, (a, b) in pairs.items():
            self._sums[name][layer].append(a @ b)

    def __getitem__(self, name: str) -> Tensor:
        by_layer = self._sums[name]
        return torch.tensor([math.fsum(map(float, s)) for s in by_layer], dtype=torch.float64)

    def total(self, name: str) -> float:
        """The product over all layers."""
        return float(self[name].sum())

    def norm(self, name: str) -> float:
        """The length of a vector that was paired with itself."""
        return math.sqrt(self.total(name))
