"""What the pairs of a sampling in sequence add to a covariance, taken on the way of a walk.

The walk goes in the sequence's order. A batch of it needs the inner products of its samples'
weighted gradients with the recurrence's running sum before it, and with that in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from orderdp_train.auditing.per_sample import Asked, PerSample, Recurrence, Seen
from orderdp_train.rules.pairs import SequencePairs


class SequenceMoments:
    """Takes the `trace` `(layers,)` of a `sequence` with `coefficient` `(n,)` from a walk."""

    weighted = True  # it keeps a running sum as long as a row of gradients

    def __init__(
        self,
        sequence: SequencePairs,
        coefficient: Float64[Tensor, "n"],
        sizes: Sequence[int],
        *,
        batch_size: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.order = sequence.order
        self.sequence, self.batch_size, self.sizes = sequence, batch_size, sizes
        self.trace = torch.zeros(len(sizes), dtype=torch.float64)
        self.missing: set[int] = set()
        self._coefficient = coefficient[self.order].to(device, torch.float64)
        self._running: dict[int, Tensor] = {}
        self._latest: tuple[int, Recurrence] | None = None

    def asks(self, start: int, layer: int, cut: slice, running: Tensor) -> Asked | None:
        """As `walk.Moments` says: with the recurrence's sum before the batch, and in it."""
        if layer in self.missing:
            return None
        vectors = running.new_zeros(1, self.sizes[layer])
        if start:
            vectors[0, cut] = self._running[layer]
        return Asked(vectors, [self._recurrence(start)])

    def take(
        self,
        start: int,
        layer: int,
        cut: slice,
        running: Tensor,
        total: Tensor,
        single: PerSample | None,
        seen: Seen | None,
    ) -> None:
        """As `walk.Moments` says."""
        if single is None or seen is None:
            self.missing.add(layer)
            return
        recurrence = self._recurrence(start)
        here = slice(start, start + len(recurrence.gain))
        left = recurrence.left.to(running.device)
        before = self._running[layer] if start else torch.zeros_like(running)
        products = left[:-1] * seen.dots[:, 0].double()
        if cut.start == 0:  # of a parameter that is cut, with its first piece
            products = products + seen.within[:, 0].double()
        loss = self.sequence.loss[here].to(products) * self._coefficient[here]
        self.trace[layer] -= 2 * float(loss @ products)
        added = single.sums(recurrence.before[-1:])[0, cut].double()
        self._running[layer] = left[-1] * before + added

    def _recurrence(self, start: int) -> Recurrence:
        """That of a batch, the same for all layers."""
        if self._latest is None or self._latest[0] != start:
            here = slice(start, start + self.batch_size)
            gain = self.sequence.gain[here] * self._coefficient[here].cpu()
            self._latest = start, Recurrence(self.sequence.decay[here], gain)
        return self._latest[1]
