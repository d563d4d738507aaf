"""All scores in ascending order, kept up to date where few of them change."""

import numpy as np
import torch
from torch import Tensor

from orderdp_train.rules.base import few


class AscendingScores:
    """The sorted scores `(n,)` of a rule that changes a few of them at a time.

    `of` sorts them the first time, and whenever something else than `changed` has touched them
    since; on the CPU a change of b of n then costs a merge, O(n + b log b), about a thirtieth of a
    sort. A GPU sorts faster than it merges, and keeps nothing.
    """

    def __init__(self) -> None:
        self._ascending: Tensor | None = None
        self._scores: Tensor | None = None
        self._version = -1

    def of(self, scores: Tensor) -> Tensor:
        """The scores `(n,)` in ascending order."""
        if not self._knows(scores) or self._ascending is None:
            self._keep(scores, scores.sort().values)
        assert self._ascending is not None
        return self._ascending

    def change(self, scores: Tensor, indices: Tensor, values: Tensor) -> None:
        """`scores[indices] = values`, remembering the order."""
        known = self._knows(scores) and few(len(scores), len(indices))
        if not known or self._ascending is None or scores.device.type != "cpu":
            scores[indices] = values
            return
        touched = indices.unique()
        old = scores[touched].sort().values.numpy()
        scores[indices] = values
        new = scores[touched].sort().values.numpy()
        ascending = self._ascending.numpy()
        # Of equal scores as many leave as do: one after the other from the first on.
        repeated = np.arange(len(old)) - np.searchsorted(old, old)
        rest = np.delete(ascending, np.searchsorted(ascending, old) + repeated)
        merged = np.insert(rest, np.searchsorted(rest, new), new)
        self._keep(scores, torch.from_numpy(merged))

    def _knows(self, scores: Tensor) -> bool:
        return self._scores is scores and self._version == scores._version

    def _keep(self, scores: Tensor, ascending: Tensor) -> None:
        if scores.device.type == "cpu":
            self._scores, self._version, self._ascending = scores, scores._version, ascending
        else:
            self._scores, self._ascending = None, ascending
