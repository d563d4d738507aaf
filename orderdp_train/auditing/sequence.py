"""What the pairs of a sampling in sequence add to a covariance, taken on the way of a walk.

The walk goes in the sequence's order. A batch of it needs the inner products of its samples'
weighted gradients `h` with the recurrence's running sum `R` before it and with each other; within
the batch the sum before sample l is `old[l] R + new[l] @ h`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from orderdp_train.auditing.per_sample import PerSample
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
        self._latest: tuple[int, Tensor, Tensor] | None = None

    def take(
        self,
        start: int,
        layer: int,
        cut: slice,
        running: Tensor,
        total: Tensor,
        single: PerSample | None,
    ) -> None:
        """As `walk.Moments` says."""
        if single is None or layer in self.missing:
            self.missing.add(layer)
            return
        here = slice(start, min(start + self.batch_size, len(self.order)))
        old, new = self._factors(here)
        a = self._coefficient[here]
        before = self._running[layer] if start else torch.zeros_like(running)
        vector = before.new_zeros(1, self.sizes[layer])
        vector[0, cut] = before
        products = old[:-1] * a * single.dots(vector)[:, 0].double()
        if cut.start == 0:  # of a parameter that is cut, with its first piece
            gram = single.gram().double() * torch.outer(a, a)
            products = products + (new[:-1] * gram).sum(1)
        self.trace[layer] -= 2 * float(self.sequence.loss[here].to(products) @ products)
        added = single.sums((new[-1] * a)[None])[0, cut].double()
        self._running[layer] = old[-1] * before + added

    def _factors(self, here: slice) -> tuple[Tensor, Tensor]:
        """`old` `(B + 1,)` and `new` `(B + 1, B)` of a batch, the same for all layers."""
        if self._latest is None or self._latest[0] != here.start:
            found = carried(self.sequence.gain[here], self.sequence.decay[here])
            old, new = (x.to(self._coefficient.device) for x in found)
            self._latest = here.start, old, new
        return self._latest[1:]


def carried(gain: Float64[Tensor, "b"], decay: Float64[Tensor, "b"]) -> tuple[Tensor, Tensor]:
    """The running sum before each of b samples, and after all, as `old[l] * R + new[l] @ h`.

    With `R <- decay_l R + gain_l h_l`; float64 `(b + 1,)` and `(b + 1, b)`.
    """
    b = len(gain)
    old, new = torch.ones(b + 1).double(), torch.zeros(b + 1, b).double()
    for k in range(b):
        old[k + 1], new[k + 1] = decay[k] * old[k], decay[k] * new[k]
        new[k + 1, k] = gain[k]
    return old, new
