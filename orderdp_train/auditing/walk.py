"""Every expected gradient of interest from one walk over the data.

The expected gradient of a selection rule is a weighted sum of per-sample gradients,
`E_k = sum_i W[k, i] grad L_i`. In rank order the rows of `W` are constant except in a short
transition, so a batch's block of `W` is, to rounding, a constant per row plus a matrix of very
low rank `r` (0 outside every transition). Hence

- one forward and one backward pass per batch give the loss gradients at the output of every
  layer, whatever the number `K` of rules;
- the plain gradient sum is one *weight-gradient* contraction of these, the last third of an
  ordinary pass, and so is an extra direction, because the backpropagated signal of a sample scales
  with its weight; more than one share the making of single gradients, a few outputs at a time;
- a row whose weight stays constant costs nothing at all: its batches are added up once, in a
  running sum that all rows share (summation by parts).

Everything is accumulated in float64. Source: the weights are Theorem 1's; the trick of scaling
the backpropagated signal per sample is that of per-example gradient clipping (Goodfellow 2015).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from torch import Tensor, nn

from orderdp_theory.common.errors import InputError
from orderdp_train.auditing.layers import FEW, Layers, audit_mode
from orderdp_train.auditing.per_sample import Asked, PerSample, Seen
from orderdp_train.auditing.population import Population
from orderdp_train.training.processes import all_reduce_sum, rank, world_size

# Parts of the weights below this fraction of their row's largest weight are dropped: a tenth of the
# rounding error of a float32 gradient. Models in float64 get the smaller one.
TOLERANCE = 1e-8
TOLERANCE_FLOAT64 = 1e-13
# Default limit for the accumulators, K + 1 vectors of float64 with one entry a parameter.
MEMORY_LIMIT = 4 * 2**30
# Of long gradients, so many entries are added up at a time, so as to stay in the cache.
COLUMNS = 2**16


@dataclass(frozen=True)
class Block:
    """A stretch of the walk: `W[:, start:stop] = level + coefficients @ [1; basis]` to TOLERANCE.

    `level` float64 `(K,)` is each row's weight where it is constant, and the one before where
    it is not; `moved` lists the rows whose level is not that of the block before. `rows` lists
    the `a` rows that are not constant on the block, `coefficients` is `(a, 1 + r)` and
    `basis` `(r, stop - start)`, float64 both; where each row has a direction of its own, only the
    first column of the coefficients is there, the rest being the identity. A block with such rows
    is one batch; without them both are empty and the block may be many batches.
    """

    start: int
    stop: int
    level: NDArray[np.float64]
    moved: list[int]
    rows: list[int]
    coefficients: Tensor
    basis: Tensor


def plan(
    weights: Float64[Tensor, "rows n"], batch_size: int, tolerance: float = TOLERANCE
) -> Iterator[Block]:
    """Cut `weights` `(K, n)`, columns in walk order, into `Block` s of whole batches.

    Cost: one pass over `weights`, and one small singular value decomposition for each batch on
    which some row is not constant.
    """
    values = weights.numpy()
    n = values.shape[1]
    if n == 0:
        return
    starts = np.arange(0, n, batch_size)
    low = np.minimum.reduceat(values, starts, axis=1).T.copy()
    high = np.maximum.reduceat(values, starts, axis=1).T.copy()
    scale = np.maximum(high, -low).max(axis=0).clip(np.finfo(np.float64).tiny)
    error = tolerance * scale
    varies = high - low > error
    constant = ~varies.any(axis=1)
    # Where a row is not constant its level stays that of the last batch where it was.
    last = np.maximum.accumulate(np.where(varies, 0, np.arange(len(starts))[:, None]), axis=0)
    levels = np.take_along_axis(low, last, axis=0)
    # It also stays while it rounds to the same multiple of the error.
    moves = np.diff(np.rint(levels / error), axis=0, prepend=0) != 0
    # A block begins where a row moves, and before and after a batch that is not constant.
    begins = moves.any(axis=1) | ~constant
    begins[1:] |= ~constant[:-1]
    begins[0] = True
    first = np.flatnonzero(begins)
    none = torch.zeros(0, 0, dtype=torch.float64)
    level = np.zeros(len(values))
    for b, start, stop in zip(first, starts[first], [*starts[first[1:]], n], strict=True):
        level = np.where(moves[b], levels[b], level)
        moved, rows = np.flatnonzero(moves[b]).tolist(), np.flatnonzero(varies[b]).tolist()
        coefficients, basis = none, none
        if rows:
            # From the smallest weight of the batch: if none is negative, nothing cancels.
            rest = (values[rows, start:stop] - low[b, rows, None]) / scale[rows, None]
            left, singular, right = np.linalg.svd(rest, full_matrices=False)
            r, a, width = int((singular > tolerance * math.sqrt(stop - start)).sum()), *rest.shape
            offset, size = (low[b] - level)[rows, None], scale[rows, None]
            # Products with coefficients are of float64, of twice the cost.
            if r * width + 2 * a * (1 + r) > a * width:
                coefficients, basis = offset, size * rest
            else:
                coefficients, basis = (
                    np.hstack([offset, size * left[:, :r] * singular[:r]]),
                    right[:r],
                )
            coefficients, basis = torch.from_numpy(coefficients), torch.from_numpy(basis)
        yield Block(int(start), int(stop), level, moved, rows, coefficients, basis)


class _Sums:
    """`K` weighted sums of gradients, float64 `(K, p)`, and the plain sum that they share.

    Of every parameter the entries in its slice are added up. Summation by parts: a row that changes
    its level from c to c' gives back (c' - c) of all that was summed so far, and gets its last
    level of everything at the end.
    """

    def __init__(self, rows: int, device: torch.device, cuts: Sequence[slice]) -> None:
        sizes = [cut.stop - cut.start for cut in cuts]
        self.total = torch.zeros(rows, sum(sizes), dtype=torch.float64, device=device)
        self.running = torch.zeros(sum(sizes), dtype=torch.float64, device=device)
        self._cuts = cuts
        self._total_of = self.total.split(sizes, dim=1)
        self._running_of = self.running.split(sizes)
        self._level = np.zeros(rows)

    def move(self, block: Block) -> None:
        """Take the block's levels for the gradients to come."""
        for row in block.moved:
            self.total[row].sub_(self.running, alpha=block.level[row] - self._level[row])
        self._level = block.level

    def running_of(self, parameter: int) -> Tensor:
        """The sum of a parameter's gradients so far, its slice."""
        return self._running_of[parameter]

    def add_plain(self, gradients: Sequence[Tensor]) -> None:
        """Add a batch's gradient sums, one of each parameter's shape."""
        for running, cut, gradient in zip(self._running_of, self._cuts, gradients, strict=True):
            running.add_(gradient.flatten()[cut])

    def add(
        self,
        parameter: int,
        rows: Sequence[int],
        coefficients: Tensor,
        total: Tensor,
        entries: slice,
        gradients: Tensor,
    ) -> None:
        """Add to rows what some entries of a batch's gradient sums `(1 + r, entries)` give them.

        `rows` and `coefficients` are those of its block. The first sum goes into `total` `(size,)`.
        """
        total[entries] = gradients[0]
        cut = self._cuts[parameter]
        first, end, _ = entries.indices(len(total))
        start, stop = max(first, cut.start), min(end, cut.stop)
        if not rows:
            return
        for at in range(start, stop, COLUMNS):
            here = slice(at, min(at + COLUMNS, stop))
            products = gradients[:, here.start - first : here.stop - first].double()
            if coefficients.shape[1] == len(products):
                products = coefficients @ products
            else:
                products = products[1:].addr_(coefficients[:, 0], products[0])
            own = self._total_of[parameter][:, here.start - cut.start : here.stop - cut.start]
            for row, product in zip(rows, products, strict=True):
                own[row].add_(product)

    def add_total(self, parameter: int, total: Tensor) -> None:
        """Add a batch's gradient sum of a parameter to the sum that all rows share."""
        self._running_of[parameter].add_(total[self._cuts[parameter]])

    def result(self) -> Tensor:
        level = torch.from_numpy(self._level).to(self.total.device)
        return self.total.addr_(level, self.running)


class Moments(Protocol):
    """What looks at single samples on the way of a walk."""

    def asks(self, start: int, layer: int, cut: slice, running: Tensor) -> Asked | None:
        """What it needs of single gradients in the batch that begins at `start` of the order.

        `running` is the sum of a parameter's gradients before it, of the `cut` only.
        """
        ...

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
        """Look at a parameter's gradients in a batch, and what it asked for.

        `total` `(size,)` is their sum; None for the gradients if they do not follow from a layer.
        """
        ...


class _Looks:
    """All moments of a walk, at the batch that begins at `start`."""

    def __init__(
        self, moments: Sequence[Moments], cuts: Sequence[tuple[int, slice]], sums: _Sums
    ) -> None:
        self.start = 0
        self._moments, self._cuts, self._sums = moments, cuts, sums
        self._asked: list[Asked | None] = []

    def ask(self, i: int, total: Tensor, single: PerSample | None) -> Asked:
        running = self._sums.running_of(i)
        looks = () if single is None else self._moments
        self._asked = [look.asks(self.start, *self._cuts[i], running) for look in looks]
        some = [asked for asked in self._asked if asked is not None]
        if len(some) == 1:
            return some[0]
        vectors = [total.new_empty(0, len(total)), *(asked.vectors for asked in some)]
        return Asked(torch.cat(vectors), [r for asked in some for r in asked.recurrences])

    def take(self, i: int, total: Tensor, single: PerSample | None, seen: Seen | None) -> None:
        running, d, w = self._sums.running_of(i), 0, 0
        for look, asked in itertools.zip_longest(self._moments, self._asked):
            own = None
            if seen is not None and asked is not None:
                more = d + len(asked.vectors), w + len(asked.recurrences)
                own = Seen(seen.dots[:, d : more[0]], seen.within[:, w : more[1]], seen.squares)
                d, w = more
            look.take(self.start, *self._cuts[i], running, total, single, own)


def trainable(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The named parameters that training moves, in the order of every gradient vector here."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not named:
        raise InputError("the model has no trainable parameters, so there is nothing to audit")
    return named


def parts(rows: int, sizes: Sequence[int], memory_limit: int = MEMORY_LIMIT) -> list[slice]:
    """Cut the vector of all parameters, of these `sizes`, so that `rows` gradients of a part fit.

    As few parts as do, of whole parameters where that needs no more of them. Whatever the number of
    rows, they fit: norms and inner products are sums over the parts. Each takes as much as it can,
    and leaves to the last what is near the loss, where a backward pass is short.

    Example:
        >>> parts(rows=6, sizes=[4, 2, 4], memory_limit=8 * 7 * 7)
        [slice(0, 6, None), slice(6, 10, None)]
    """
    fit = memory_limit // (8 * (rows + 1))
    if fit < 1:
        raise InputError(
            f"one entry of {rows} gradients takes more than {memory_limit} bytes; raise the limit"
        )
    ends = list(itertools.accumulate(sizes))
    count = -(-ends[-1] // fit)
    bounds = [0]
    for left in range(count - 1, 0, -1):
        most, least = bounds[-1] + fit, ends[-1] - left * fit
        bounds.append(max((end for end in ends if least <= end <= most), default=most))
    return [slice(start, stop) for start, stop in itertools.pairwise([*bounds, ends[-1]])]


def within(part: slice, sizes: Sequence[int]) -> list[tuple[int, slice]]:
    """The parameters that have entries in a part, each with the slice of its own entries."""
    found = []
    for i, (size, end) in enumerate(zip(sizes, itertools.accumulate(sizes), strict=True)):
        begin = end - size
        cut = slice(max(part.start - begin, 0), min(part.stop - begin, size))
        if cut.start < cut.stop:
            found.append((i, cut))
    return found


def expected_gradients(
    model: nn.Module,
    population: Population,
    weights: Float64[Tensor, "rows {population.n}"],
    *,
    order: Int64[Tensor, "{population.n}"] | None = None,
    batch_size: int = 128,
    part: slice | None = None,
    memory_limit: int = MEMORY_LIMIT,
    on_batch: Callable[[int], None] | None = None,
    on_general: Callable[[str], None] | None = None,
    moments: Sequence[Moments] = (),
) -> Float64[Tensor, "rows parameters"]:
    """All `sum_i weights[k, i] grad L_i` at once: float64 `(K, P)` on the model's device.

    `weights` is `(K, n)` with columns in walk order, `order` `(n,)` says which sample each
    column is (default: input order). Any order is right; the rank order of the rules makes it fast.
    Samples are read in batches of `batch_size`, in the population's precision; accumulation is
    float64. `part`: these entries of the gradients only. With an initialised
    `torch.distributed` group the batches are dealt out to the processes and the result is summed
    over them. `on_general` is told the names of the parameters for which no contraction was
    found, so that each batch that is not constant takes a backward pass a direction. `moments`
    look at every batch's single samples too, in one process and with batches of their size.

    Error: float32 gradients summed in float64, so about 1e-7 relative to
    `sum_i |weights[k, i]| |grad L_i|`; weights are used to 1e-8 of their row's largest. On digits
    that is at most 1e-6 relative to the result, at any point of a training. It can be more where a
    result cancels to a small part of the per-sample gradients, or where a ReLU's input is zero to
    rounding and float32 takes the other branch than float64 would; a model and inputs in float64
    leave 1e-9.
    Memory: `8 (K + 1) P` bytes, checked against `memory_limit` (`ValueError`; use
    `parts` to go through the parameters in parts that fit), beside what a backward pass and
    up to `K` gradients of one layer take.

    Example:
        >>> x, y = torch.randn(4, 3), torch.arange(4) % 2
        >>> data = Population(4, lambda indices: (x[indices], y[indices]))
        >>> weights = torch.tensor([[1 / 4] * 4, [1 / 2, 1 / 2, 0, 0]], dtype=torch.float64)
        >>> expected_gradients(torch.nn.Linear(3, 2), data, weights).shape  # 8 parameters
        torch.Size([2, 8])
    """
    named = trainable(model)
    sizes = [p.numel() for _, p in named]
    part = slice(0, sum(sizes)) if part is None else part
    k, n = weights.shape
    if n != population.n:
        raise InputError(f"weights have {n} columns but the population has {population.n} samples")
    if len(parts(k, [part.stop - part.start], memory_limit)) > 1:
        raise InputError(
            f"{k} expected gradients of {part.stop - part.start} parameters need "
            f"{8 * (k + 1) * (part.stop - part.start)} bytes, more than the limit of "
            f"{memory_limit}; go through them part by part, or raise memory_limit"
        )
    cuts = within(part, sizes)
    parameters = [named[i][1] for i, _ in cuts]
    weights = weights.to("cpu", torch.float64)
    device = parameters[0].device
    order = torch.arange(n) if order is None else order
    if world_size() > 1:  # every process has batches of its own
        own = (torch.arange(n) // batch_size) % world_size() == rank()
        weights, order = weights[:, own], order[own]
    sums = _Sums(k, device, [cut for _, cut in cuts])
    tolerance = TOLERANCE_FLOAT64 if parameters[0].dtype == torch.float64 else TOLERANCE
    layers, looks = Layers(model, parameters), _Looks(moments, cuts, sums)
    batches, seen = population.batches(order, batch_size), 0
    with audit_mode(model):
        for block in plan(weights, batch_size, tolerance):
            sums.move(block)
            for indices, batch in itertools.islice(
                batches, -(-(block.stop - block.start) // batch_size)
            ):
                if not block.rows and not moments:
                    losses = population.losses(model, indices, batch)
                    grads = torch.autograd.grad(losses.sum(), parameters, materialize_grads=True)
                    sums.add_plain(grads)
                else:
                    if not layers.verified:
                        few = indices[:FEW]
                        layers.verify_on(
                            partial(population.losses, model, few, population.batch(few))
                        )
                    with layers.recording():
                        losses = population.losses(model, indices, batch)
                        layers.verify(losses)
                        coefficients = block.coefficients.to(device)
                        basis = block.basis.to(device).view(-1, len(losses))
                        looks.start = seen
                        each = len(moments) > 0
                        for i, found in layers.gradients(losses, basis, each=each):
                            total = sums.running.new_empty(parameters[i].numel())
                            add = partial(sums.add, i, block.rows, coefficients, total)
                            single = found.together(looks.ask(i, total, found.single), add)
                            looks.take(i, total, found.single, single)
                            sums.add_total(i, total)
                seen += len(indices)
                if on_batch is not None:
                    on_batch(len(indices))
    if on_general is not None and layers.verified:
        for i in layers.general:
            on_general(named[cuts[i][0]][0])
    return all_reduce_sum(sums.result())
