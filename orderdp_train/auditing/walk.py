"""Every expected gradient of interest from one walk over the data.

The expected gradient of a selection rule is a weighted sum of per-sample gradients,
`E_k = sum_i W[k, i] grad L_i`. In rank order the rows of `W` are constant except in a short
transition, so a batch's block of `W` is, to rounding, a constant per row plus a matrix of very
low rank `r` (0 outside every transition). Hence

- one forward and one backward pass per batch give the loss gradients at the output of every
  layer, whatever the number `K` of rules;
- the plain gradient sum is one *weight-gradient* contraction of these, the last third of an
  ordinary pass, and each of the `r` extra directions is one more, because the backpropagated
  signal of a sample scales with its weight; small convolutions share one contraction by all;
- a row whose weight stays constant costs nothing at all: its batches are added up once, in a
  running sum that all rows share (summation by parts).

Everything is accumulated in float64. Source: the weights are Theorem 1's; the trick of scaling
the backpropagated signal per sample is that of per-example gradient clipping (Goodfellow 2015).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from torch import Tensor, nn

from orderdp_theory.common.errors import InputError
from orderdp_train.auditing.population import Population
from orderdp_train.training.processes import all_reduce_sum, rank, world_size

# Parts of the weights below this fraction of their row's largest weight are dropped: a tenth of the
# rounding error of a float32 gradient. Models in float64 get the smaller one.
TOLERANCE = 1e-8
TOLERANCE_FLOAT64 = 1e-13
# Default limit for the accumulators, K + 1 vectors of float64 with one entry a parameter.
MEMORY_LIMIT = 4 * 2**30
# Convolutions go by patches and per-sample gradients if neither takes more bytes than this a batch.
SMALL = 2**24
# Of long gradients, so many entries are added up at a time, so as to stay in the cache.
COLUMNS = 2**16
# Samples on which the contractions are compared with autograd.
FEW = 4


@dataclass(frozen=True)
class Block:
    """A stretch of the walk: `W[:, start:stop] = level + coefficients @ [1; basis]` to TOLERANCE.

    `level` float64 `(K,)` is each row's weight where it is constant, and the one before where
    it is not; `moved` lists the rows whose level is not that of the block before. `rows` lists
    the `a` rows that are not constant on the block, `coefficients` is `(a, 1 + r)` and
    `basis` `(r, stop - start)`, float64 both. A block with such rows is one batch; without them
    both are empty and the block may be many batches.
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
            r = int((singular > tolerance * math.sqrt(stop - start)).sum())
            offset = (low[b] - level)[rows, None]
            steps = scale[rows, None] * left[:, :r] * singular[:r]
            coefficients = torch.from_numpy(np.hstack([offset, steps]))
            basis = torch.from_numpy(right[:r])
        yield Block(int(start), int(stop), level, moved, rows, coefficients, basis)


@contextmanager
def audit_mode(model: nn.Module) -> Iterator[None]:
    """Normalisation and dropout in eval mode, no in-place activations; restored on exit.

    In training mode batch normalisation makes samples see each other and a per-sample loss is
    not defined. In-place activations would overwrite the layer outputs that the walk reads.
    """
    training = {m: m.training for m in model.modules()}
    inplace = [m for m in model.modules() if getattr(m, "inplace", False) is True]
    model.eval()
    for m in inplace:
        m.inplace = False  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        for m, was in training.items():
            m.training = was
        for m in inplace:
            m.inplace = True  # pyright: ignore[reportArgumentType]


class _Layers:
    """Outputs of the leaf layers during one forward pass, for weight-gradient contractions.

    A layer is *local* if it is called once in every batch, its output has the batch as first
    dimension, and the contraction of its output's gradient gives its parameters' gradient; the
    last is checked against autograd on a few samples, and again where another layer turns out not
    to be local. The parameters of all other layers (shared, called repeatedly, in some batches
    only, used without their module's forward, windowed) take the general way, a backward pass
    each; `general` says which.
    """

    def __init__(self, model: nn.Module, parameters: Sequence[Tensor]) -> None:
        self.index = index = {id(p): i for i, p in enumerate(parameters)}
        owned: dict[nn.Module, list[int]] = {}
        for module in model.modules():
            own = [index[id(p)] for p in module.parameters(recurse=False) if id(p) in index]
            if own and not any(True for _ in module.children()):
                owned[module] = own
        self.parameters = parameters
        self.owned = owned
        self.verified = False
        self.outputs: dict[nn.Module, list[tuple[object, object]]] = {}
        self.inputs: dict[nn.Module, Tensor] = {}

    @property
    def general(self) -> list[int]:
        """The parameters that belong to no local layer."""
        local = {i for own in self.owned.values() for i in own}
        return [i for i in range(len(self.parameters)) if i not in local]

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Remember the outputs of the forward pass inside, for what follows it inside."""
        handles = [module.register_forward_hook(self._record) for module in self.owned]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self.outputs.clear()
            self.inputs.clear()

    def _record(self, module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        if type(module) is nn.Conv2d:
            self.inputs[module] = inputs[0]
        self.outputs.setdefault(module, []).append((output, getattr(output, "grad_fn", None)))

    def verify(self, losses: Tensor) -> None:
        """Give up the layers that are not local in the pass recorded, whose losses these are.

        The first pass, and one in which a layer is given up, are compared with autograd for random
        sample weights.
        """
        size = losses.shape[0]
        usable = {}
        for module, own in self.owned.items():
            calls = self.outputs.get(module, [])
            if len(calls) != 1:
                continue
            output, fn = calls[0]
            if isinstance(output, Tensor) and output.grad_fn is fn and output.shape[:1] == (size,):
                usable[module] = own
        if self.verified and len(usable) == len(self.owned):
            return
        self.verified = True
        self.owned = usable
        if not usable:
            return
        generator = torch.Generator().manual_seed(size)
        phi = (torch.rand(size, generator=generator, dtype=torch.float64) + 0.5).to(losses)
        want = torch.autograd.grad(
            (phi * losses).sum(), self.parameters, retain_graph=True, materialize_grads=True
        )
        signals = torch.autograd.grad(
            losses.sum(), self.outputs_used(), retain_graph=True, materialize_grads=True
        )
        got = dict(self.contract(signals, phi[None]))
        # Half of the digits of the least precise layer; a wrong contraction has none.
        dtypes = {losses.dtype, *(output.dtype for output in self.outputs_used())}
        tolerance = math.sqrt(max(torch.finfo(dtype).eps for dtype in dtypes))
        for module, own in list(self.owned.items()):
            if any((got[i] - want[i].flatten()).norm() > tolerance * want[i].norm() for i in own):
                del self.owned[module]

    def gradients(self, losses: Tensor, basis: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Each parameter's index with its gradients of `sum(losses)` and `basis @ losses`.

        They are `(1 + r, size)` for a basis `(r, B)`. The losses are those of the pass
        recorded.
        """
        loose = {i: self.parameters[i] for i in self.general}
        grads = torch.autograd.grad(
            losses.sum(),
            [*loose.values(), *self.outputs_used()],
            retain_graph=True,
            materialize_grads=True,
        )
        yield from self.contract(
            grads[len(loose) :], torch.cat([basis.new_ones(1, len(losses)), basis])
        )
        if loose:
            rows = [grads[: len(loose)]]
            for phi in basis:
                weighted = (phi.to(losses.dtype) * losses).sum()
                rows.append(
                    torch.autograd.grad(
                        weighted, list(loose.values()), retain_graph=True, materialize_grads=True
                    )
                )
            for i, found in zip(loose, zip(*rows, strict=True), strict=True):
                yield i, torch.stack([grad.flatten() for grad in found])

    def outputs_used(self) -> list[Tensor]:
        return [self.outputs[m][0][0] for m in self.owned]  # pyright: ignore[reportReturnType]

    def contract(self, signals: Sequence[Tensor], basis: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Each local parameter's index with `basis @ per-sample gradients`, `(r, size)`.

        `basis` is `(r, B)`. A small convolution's per-sample gradients are made once for all r.
        """
        for (module, own), output, signal in zip(
            self.owned.items(), self.outputs_used(), signals, strict=True
        ):
            patches = self._patches(module, output)
            if patches is not None:
                assert isinstance(module, nn.Conv2d)
                phi, signal = basis.to(signal.dtype), signal.flatten(2)
                weight = (phi @ (signal @ patches).flatten(1)).unflatten(
                    1, (module.out_channels, *module.kernel_size, module.in_channels)
                )
                yield self.index[id(module.weight)], weight.movedim(4, 2).flatten(1)
                if module.bias is not None:
                    yield self.index[id(module.bias)], phi @ signal.sum(2)
                continue
            rows = []
            for phi in basis:
                column = phi.to(signal.dtype).reshape(-1, *[1] * (signal.dim() - 1))
                grads = torch.autograd.grad(
                    output,
                    [self.parameters[i] for i in own],
                    signal * column,
                    retain_graph=True,
                    materialize_grads=True,
                )
                rows.append([grad.flatten() for grad in grads])
            yield from zip(own, map(torch.stack, zip(*rows, strict=True)), strict=True)

    def _patches(self, module: nn.Module, output: Tensor) -> Tensor | None:
        """What a small convolution multiplies, `(B, positions, k * k * in)`; None for others.

        Channels come last since rows of them can be copied whole.
        """
        if (
            type(module) is not nn.Conv2d
            or module.groups > 1
            or module.dilation != (1, 1)
            or isinstance(module.padding, str)
            or module.padding_mode != "zeros"
            or not all(id(p) in self.index for p in module.parameters())
        ):
            return None
        inputs = self.inputs[module].detach().to(output.dtype)  # autocast multiplies in that
        patch, positions = module.weight[0].numel(), output[0, 0].numel()
        largest = len(inputs) * max(patch * positions, module.weight.numel())
        if inputs.element_size() * largest > SMALL:
            return None
        (high, wide), (down, right) = module.padding, module.stride
        padded = nn.functional.pad(inputs.movedim(1, 3), (0, 0, wide, wide, high, high))
        windows = padded.unfold(1, module.kernel_size[0], down)
        windows = windows.unfold(2, module.kernel_size[1], right)
        return windows.movedim(3, 5).flatten(3).flatten(1, 2)


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

    def add_plain(self, gradients: Sequence[Tensor]) -> None:
        """Add a batch's gradient sums, one of each parameter's shape."""
        for running, cut, gradient in zip(self._running_of, self._cuts, gradients, strict=True):
            running.add_(gradient.flatten()[cut])

    def add(self, parameter: int, gradients: Tensor, block: Block) -> None:
        """Add a batch's gradient sum, the first of `(1 + r, size)`, and those of its basis."""
        gradients = gradients[:, self._cuts[parameter]]
        self._running_of[parameter].add_(gradients[0])
        coefficients = block.coefficients.to(gradients.device)
        total = self._total_of[parameter]
        for start in range(0, gradients.shape[1], COLUMNS):
            part = slice(start, start + COLUMNS)
            products = coefficients @ gradients[:, part].double()
            for row, product in zip(block.rows, products, strict=True):
                total[row, part].add_(product)

    def result(self) -> Tensor:
        level = torch.from_numpy(self._level).to(self.total.device)
        return self.total.addr_(level, self.running)


def trainable(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The named parameters that training moves, in the order of every gradient vector here."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not named:
        raise InputError("the model has no trainable parameters, so there is nothing to audit")
    return named


def parts(rows: int, parameters: int, memory_limit: int = MEMORY_LIMIT) -> list[slice]:
    """Cut the vector of all parameters so that `rows` gradients of a part fit into the limit.

    The parts are nearly equal. Whatever the number of rows, they fit: norms and inner products are
    sums over the parts.

    Example:
        >>> parts(rows=6, parameters=10, memory_limit=8 * 6 * 5)
        [slice(0, 3, None), slice(3, 6, None), slice(6, 10, None)]
    """
    fit = memory_limit // (8 * (rows + 1))
    if fit < 1:
        raise InputError(
            f"one entry of {rows} gradients takes more than {memory_limit} bytes; raise the limit"
        )
    count = -(-parameters // fit)
    bounds = [parameters * i // count for i in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]


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
) -> Float64[Tensor, "rows parameters"]:
    """All `sum_i weights[k, i] grad L_i` at once: float64 `(K, P)` on the model's device.

    `weights` is `(K, n)` with columns in walk order, `order` `(n,)` says which sample each
    column is (default: input order). Any order is right; the rank order of the rules makes it fast.
    Samples are read in batches of `batch_size`, in the population's precision; accumulation is
    float64. `part`: these entries of the gradients only. With an initialised
    `torch.distributed` group the batches are dealt out to the processes and the result is summed
    over them. `on_general` is told the names of the parameters for which no contraction was
    found, so that each batch that is not constant takes a backward pass a direction.

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
    if len(parts(k, part.stop - part.start, memory_limit)) > 1:
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
    layers = _Layers(model, parameters)
    batches = population.batches(order, batch_size)
    with audit_mode(model):
        for block in plan(weights, batch_size, tolerance):
            sums.move(block)
            for indices, batch in itertools.islice(
                batches, -(-(block.stop - block.start) // batch_size)
            ):
                if not block.rows:
                    losses = population.losses(model, indices, batch)
                    grads = torch.autograd.grad(losses.sum(), parameters, materialize_grads=True)
                    sums.add_plain(grads)
                else:
                    if not layers.verified:
                        with layers.recording():
                            layers.verify(population.losses(model, indices[:FEW]))
                    with layers.recording():
                        losses = population.losses(model, indices, batch)
                        layers.verify(losses)
                        for i, found in layers.gradients(losses, block.basis.to(device)):
                            sums.add(i, found, block)
                if on_batch is not None:
                    on_batch(len(indices))
    if on_general is not None and layers.verified:
        for i in layers.general:
            on_general(named[cuts[i][0]][0])
    return all_reduce_sum(sums.result())
