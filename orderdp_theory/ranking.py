"""The descending order of a loss vector, with its ties."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Ranking:
    """Ranks of n losses, largest first. Tied losses form one group and are interchangeable.

    order: int64 `(n,)`, `order[j - 1]` is the input index of rank j (ties in input order).
    starts: int64 `(groups + 1,)`, group g occupies the 0-based ranks `starts[g]:starts[g + 1]`.
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, losses: ArrayLike) -> "Ranking":
        """Rank a vector; `ValueError` unless it is 1-D, not empty and finite."""
        losses = np.asarray(losses)
        if losses.ndim != 1:
            raise ValueError(f"losses must be one-dimensional, got shape {losses.shape}")
        if losses.size == 0:
            raise ValueError("losses must not be empty")
        finite = np.isfinite(losses)
        if not finite.all():
            index = int(np.argmin(finite))
            raise ValueError(f"losses must be finite, but losses[{index}] is {losses[index]}")
        order = np.argsort(-losses, kind="stable")
        ordered = losses[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1], True])
        return cls(order, starts)

    def __len__(self) -> int:
        return self.order.size

    def average_ties(self, per_rank: NDArray[np.float64]) -> NDArray[np.float64]:
        """Replace the values of tied ranks by their mean; `(n,)` in rank order."""
        sizes = np.diff(self.starts)
        return np.repeat(np.add.reduceat(per_rank, self.starts[:-1]) / sizes, sizes)

    def to_input_order(self, per_rank: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give each sample the value of its rank; `(n,)` in input order."""
        values = np.empty_like(per_rank)
        values[self.order] = per_rank
        return values
