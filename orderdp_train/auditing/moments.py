"""What covariances need of single samples, taken on the way of a walk in rank order.

Where the pair probabilities of all designs are constant on a batch it is enough to know their
products' sum, and for samples j < k of a batch with gradient sum G that is
`sum_{j<k} <h_j, h_k> = (|G|² - sum |h|²) / 2`, beside `<G, R>` with the sum R of all before it.
Only where they are not, in the transition, are there inner products of single samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from orderdp_theory import Ranking
from orderdp_train.auditing.covariance import Products, signs
from orderdp_train.auditing.per_sample import SMALL, Asked, PerSample, Recurrence, Seen
from orderdp_train.rules.pairs import RankPairs

# How the products of a batch are found.
NOT, TOGETHER, IN_ONE_GROUP, SINGLY = range(4)


class RankedMoments:
    """Takes `Products` from a walk in the order of `ranking`.

    Pair probabilities are those of `designs`, which share the ranking and the `coefficient` `(n,)`
    in input order, of which None means 1. On a batch on which they are constant (to `tolerance` of
    the largest, with their coefficients) `between` and `within` hold the means over the batch,
    whose products with the probabilities have the same sum. Projections are of parameters of
    at most `SMALL` entries.
    """

    def __init__(
        self,
        ranking: Ranking,
        sizes: Sequence[int],
        designs: Sequence[RankPairs],
        *,
        batch_size: int,
        tolerance: float,
        directions: Sequence[int] = (),
        coefficient: Tensor | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        n = len(ranking)
        self.ranking, self.coefficient = ranking, coefficient
        self.order = torch.from_numpy(ranking.order)
        self.batch_size, self.sizes, self.directions = batch_size, sizes, directions
        self.squares, self.between, self.within = (
            torch.zeros(n, len(sizes), dtype=torch.float64, device=device) for _ in range(3)
        )
        self.projections = torch.zeros(n, len(directions), dtype=torch.float64, device=device)
        self._group_start = ranking.starts[ranking.group_of_rank()]
        by_rank = torch.ones(n) if coefficient is None else coefficient.cpu()[self.order]
        self._by_rank = None if coefficient is None else by_rank.to(device, torch.float64)
        self._ways = _ways(self._group_start, designs, by_rank.numpy(), batch_size, tolerance)
        self._running: dict[int, Tensor] = {}
        self._missing: set[int] = set()
        self._at_group: dict[int, Tensor] = {}
        self._turned: dict[int, Tensor] = {}
        self._latest: tuple[int, list[Recurrence]] | None = None

    @property
    def weighted(self) -> bool:
        """Whether it keeps a running sum of its own, as long as a row of gradients."""
        return self.coefficient is not None

    @property
    def missing(self) -> list[int]:
        """The parameters of which some batch had no per-sample gradients."""
        return sorted(self._missing)

    def asks(self, start: int, layer: int, cut: slice, running: Tensor) -> Asked | None:
        """As `walk.Moments` says: with the sums before each sample, where single ones matter."""
        size = self.sizes[layer]
        if layer in self._missing or self._way(start) != SINGLY:
            return None
        before = self._before(start, layer, running)[None]
        if self._group_start[start] < start:
            before = torch.stack([before[0], self._at_group[layer]])
        if before.shape[1] < size:
            before = F.pad(before, (cut.start, size - cut.stop))
        return Asked(before, self._recurrences(start))

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
        if single is None or layer in self._missing:
            self._missing.add(layer)
            return
        here = slice(start, min(start + self.batch_size, len(self.order)))
        count, own = here.stop - start, 0.0
        a = None if self._by_rank is None else self._by_rank[here]
        if cut.start == 0:  # of a parameter that is cut, with its first piece
            squares = (single.squares() if seen is None else seen.squares).double()
            own = -float(squares.sum() if a is None else squares @ a.square()) / 2
            self.squares[here, layer] = squares
            if self.directions and self.sizes[layer] <= SMALL:
                self.projections[here] += single.dots(self._directions(layer))
        way = self._way(start)
        if way == NOT:
            return
        sums = (total if a is None else single.sums(a[None])[0])[cut].double()
        running = self._before(start, layer, running)
        if a is not None:
            self._running[layer] = running + sums
        if way == SINGLY:
            assert seen is not None  # it asked for it
            self._singly(here, layer, cut, seen)
        else:
            own += float(sums @ sums) / 2
            if way == TOGETHER:
                self.between[here, layer] += (float(sums @ running) + own) / count
            else:
                before = running if self._group_start[start] == start else self._at_group[layer]
                between = float(sums @ before)
                self.between[here, layer] += between / count
                self.within[here, layer] += (float(sums @ running) - between + own) / count
        self._carry(here, layer, cut, running, single)

    def products(self) -> Products:
        """Of the parameters that are not missing; of those they mean nothing."""
        by_sample = [torch.empty_like(x, device="cpu") for x in (self.squares, self.projections)]
        for found, x in zip(by_sample, (self.squares, self.projections), strict=True):
            found[self.order] = x.cpu()
        squares, projections = by_sample
        return Products(squares, self.between.cpu(), self.within.cpu(), projections)

    def _way(self, start: int) -> int:
        return self._ways[start // self.batch_size] if len(self._ways) else NOT

    def _before(self, start: int, layer: int, running: Tensor) -> Tensor:
        """The sum of what comes before, weighted if samples are."""
        if self.coefficient is None:
            return running
        return self._running[layer] if start else torch.zeros_like(running)

    def _recurrences(self, start: int) -> list[Recurrence]:
        """Of everything in a batch, and of a sample's group if it has ties, which are last."""
        if self._latest is None or self._latest[0] != start:
            here = slice(start, min(start + self.batch_size, len(self.order)))
            first = self._group_start[here]
            opens = torch.from_numpy(first == np.arange(here.start, here.stop)).double()
            gain = torch.ones_like(opens) if self._by_rank is None else self._by_rank[here].cpu()
            found = [Recurrence(torch.ones_like(opens), gain)]
            if not opens.all():
                found.append(Recurrence(1 - opens, gain))
            self._latest = start, found
        return self._latest[1]

    def _singly(self, here: slice, layer: int, cut: slice, seen: Seen) -> None:
        rank = torch.arange(here.start, here.stop, device=seen.dots.device)
        first = torch.from_numpy(self._group_start[here]).to(rank.device)
        dots, within = seen.dots.double(), seen.within.double()
        all_before = dots[:, 0]
        # Of one vector, no group goes on from the batch before.
        own = (all_before - dots[:, -1]) * (first < here.start)
        if cut.start == 0:
            own = own + (within[:, -1] * (first < rank) if within.shape[1] > 1 else 0.0)
            all_before = all_before + within[:, 0]
        if self._by_rank is not None:
            own, all_before = own * self._by_rank[here], all_before * self._by_rank[here]
        self.within[here, layer] += own
        self.between[here, layer] += all_before - own

    def _carry(
        self, here: slice, layer: int, cut: slice, running: Tensor, single: PerSample
    ) -> None:
        """Keep the sum of everything before the group that the next batch may continue."""
        first, stop = self._group_start, here.stop
        if stop == len(self.order) or first[stop] == stop:
            self._at_group.pop(layer, None)
            return
        if first[stop] < here.start:
            return
        before = running.clone()
        if first[stop] > here.start:
            opened = torch.arange(here.start, stop, device=running.device) < int(first[stop])
            weights = opened.to(running)
            weights = weights if self._by_rank is None else weights * self._by_rank[here]
            before += single.sums(weights[None])[0, cut]
        self._at_group[layer] = before

    def _directions(self, layer: int) -> Tensor:
        if layer not in self._turned:
            self._turned[layer] = signs(self.directions, layer, self.sizes[layer]).to(
                self.squares.device, torch.float32
            )
        return self._turned[layer]


def _ways(
    group_start: np.ndarray,
    designs: Sequence[RankPairs],
    coefficient: np.ndarray,
    batch_size: int,
    tolerance: float,
) -> np.ndarray:
    """How the products of each batch are found, `(batches,)`; none without designs."""
    n = len(group_start)
    starts = np.arange(0, n, batch_size) if designs else np.zeros(0, dtype=int)
    together = np.ones(len(starts), dtype=bool)
    in_one = group_start[np.minimum(starts + batch_size, n) - 1] <= starts
    for design in designs:
        between, within = design.between.numpy(), design.within.numpy()
        # A coefficient is that of the lower rank of a pair, which is the larger one.
        error = tolerance * max(np.abs(x * coefficient**2).max() for x in (between, within))
        scale = np.maximum.reduceat(coefficient**2, starts)

        def spread(*values: np.ndarray, scale: np.ndarray = scale) -> np.ndarray:
            high = np.max([np.maximum.reduceat(v, starts) for v in values], axis=0)
            low = np.min([np.minimum.reduceat(v, starts) for v in values], axis=0)
            return (high - low) * scale

        together &= spread(between, within) <= error
        in_one &= (spread(between) <= error) & (spread(within) <= error)
    return np.where(together, TOGETHER, np.where(in_one, IN_ONE_GROUP, SINGLY))
