"""Every expected gradient of interest from one walk over the data.

The expected gradient of a selection rule is a weighted sum of per-sample gradients,
``E_k = sum_i W[k, i] grad L_i``. In rank order the rows of ``W`` are constant except in a short
transition, so a batch's block of ``W`` is, to rounding, a constant per row plus a matrix of very
low rank ``r`` (0 outside every transition). Hence

- one forward and one backward pass per batch give the batch's plain gradient sum and the loss
  gradients at the output of every layer, whatever the number ``K`` of rules;
- each of the ``r`` extra directions costs one *weight-gradient* contraction, a third of a
  forward-backward pass, because the backpropagated signal of a sample scales with its weight;
- a row whose weight stays constant costs nothing at all: its batches are added up once, in a
  running sum that all rows share (summation by parts).

Everything is accumulated in float64. Source: the weights are Theorem 1's; the trick of scaling
the backpropagated signal per sample is that of per-example gradient clipping (Goodfellow 2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from orderdp_train.audit.population import Population

# Parts of the weights below this fraction of their row's largest weight are dropped: a tenth of the
# rounding error of a float32 gradient. Models in float64 get the smaller one.
TOLERANCE = 1e-8
TOLERANCE_FLOAT64 = 1e-13
# Default limit for the accumulators, K + 1 vectors of float64 with one entry a parameter.
MEMORY_LIMIT = 4 * 2**30
# Patches of a convolution are unfolded if a batch of them takes no more bytes than this.
SMALL = 2**24


@dataclass(frozen=True)
class Block:
    """One batch of the walk: ``W[:, start:stop] = level + coefficients @ basis`` to TOLERANCE.

    ``level`` ``(K,)`` is each row's smallest weight on the batch, so that for non-negative weights
    nothing cancels. ``rows`` ``(a,)`` lists the rows that are not constant on the batch,
    ``coefficients`` is ``(a, r)`` and ``basis`` ``(r, stop - start)``, all float64 or int64.
    """

    start: int
    stop: int
    level: Tensor
    rows: Tensor
    coefficients: Tensor
    basis: Tensor


def plan(weights: Tensor, batch_size: int, tolerance: float = TOLERANCE) -> Iterator[Block]:
    """Cut ``weights`` ``(K, n)``, columns in walk order, into :class:`Block` s of ``batch_size``.

    Cost: one pass over ``weights``, and one small singular value decomposition for each batch on
    which some row is not constant.
    """
    k, n = weights.shape
    whole = n - n % batch_size
    blocks = weights[:, :whole].reshape(k, n // batch_size, batch_size)
    low, high = blocks.amin(2), blocks.amax(2)
    if whole < n:
        tail = weights[:, whole:]
        low = torch.cat([low, tail.amin(1, keepdim=True)], 1)
        high = torch.cat([high, tail.amax(1, keepdim=True)], 1)
    tiny = torch.finfo(torch.float64).tiny
    scale = torch.maximum(high, -low).amax(1).clamp_min(tiny)
    varies = (high - low) > tolerance * scale[:, None]
    any_varies = varies.any(0).tolist()
    none = torch.zeros(0, dtype=torch.int64)
    empty = torch.zeros(0, 0, dtype=torch.float64)
    for b, start in enumerate(range(0, n, batch_size)):
        stop = min(start + batch_size, n)
        level = low[:, b]
        if not any_varies[b]:
            yield Block(start, stop, level, none, empty, weights[:0, start:stop])
            continue
        rows = varies[:, b].nonzero().flatten()
        rest = (weights[rows, start:stop] - level[rows, None]) / scale[rows, None]
        left, singular, basis = torch.linalg.svd(rest, full_matrices=False)
        r = int((singular > tolerance * math.sqrt(stop - start)).sum())
        coefficients = scale[rows, None] * left[:, :r] * singular[:r]
        yield Block(start, stop, level, rows, coefficients, basis[:r])


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

    A layer is *local* if it is called once, its output has the batch as first dimension, and the
    contraction of its output's gradient gives its parameters' gradient; this is checked against
    autograd on the first batch. The parameters of all other layers (shared, called repeatedly,
    used without their module's forward, windowed) take the general way, a backward pass each.
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
        self.outputs: dict[nn.Module, list[tuple[object, object]]] = {}
        self.inputs: dict[nn.Module, Tensor] = {}
        self._handles: list[RemovableHandle] = [
            m.register_forward_hook(self._record) for m in owned
        ]

    def _record(self, module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        if type(module) is nn.Conv2d:
            self.inputs[module] = inputs[0]
        self.outputs.setdefault(module, []).append((output, getattr(output, "grad_fn", None)))

    def clear(self) -> None:
        """Forget the last forward pass."""
        self.outputs.clear()
        self.inputs.clear()

    def close(self) -> None:
        self.clear()
        for handle in self._handles:
            handle.remove()

    def verify(self, losses: Tensor) -> None:
        """Keep the layers whose contraction agrees with autograd for random sample weights."""
        size = losses.shape[0]
        usable = {}
        for module, own in self.owned.items():
            calls = self.outputs.get(module, [])
            if len(calls) != 1:
                continue
            output, fn = calls[0]
            if isinstance(output, Tensor) and output.grad_fn is fn and output.shape[:1] == (size,):
                usable[module] = own
        self.owned = usable
        generator = torch.Generator().manual_seed(size)
        phi = (torch.rand(size, generator=generator, dtype=torch.float64) + 0.5).to(losses)
        want = torch.autograd.grad(
            (phi * losses).sum(), self.parameters, retain_graph=True, materialize_grads=True
        )
        # Twice, as several directions at once may go another way than one.
        got = self.contract(self.signals(losses), phi.expand(2, -1))
        tolerance = 1e-3 if losses.dtype != torch.float64 else 1e-9
        for module, own in list(self.owned.items()):
            if any((got[i] - want[i].flatten()).norm() > tolerance * want[i].norm() for i in own):
                del self.owned[module]

    def outputs_used(self) -> list[Tensor]:
        return [self.outputs[m][0][0] for m in self.owned]  # pyright: ignore[reportReturnType]

    def signals(self, losses: Tensor) -> list[Tensor]:
        """Gradients of the summed losses at every local layer's output."""
        return list(
            torch.autograd.grad(
                losses.sum(), self.outputs_used(), retain_graph=True, materialize_grads=True
            )
        )

    def contract(self, signals: Sequence[Tensor], basis: Tensor) -> dict[int, Tensor]:
        """``basis @ per-sample gradients`` of the local parameters, ``(r, size)`` by index.

        ``basis`` is ``(r, B)``. A small convolution's per-sample gradients are made once for all r.
        """
        found: dict[int, Tensor] = {}
        for (module, own), output, signal in zip(
            self.owned.items(), self.outputs_used(), signals, strict=True
        ):
            columns = self._unfolded(module) if len(basis) > 1 else None
            if columns is not None:
                signal = signal.flatten(2)
                terms = {"weight": (signal @ columns.mT).flatten(1), "bias": signal.sum(2)}
                phi = basis.to(signal.dtype)
                for name, parameter in module.named_parameters():
                    found[self.index[id(parameter)]] = phi @ terms[name]
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
            stacked = map(torch.stack, zip(*rows, strict=True))
            found.update(zip(own, stacked, strict=True))
        return found

    def _unfolded(self, module: nn.Module) -> Tensor | None:
        """The patches ``(B, in * k * k, positions)`` that a convolution multiplies, if few."""
        if (
            type(module) is not nn.Conv2d
            or module.groups > 1
            or isinstance(module.padding, str)
            or module.padding_mode != "zeros"
            or not all(p.requires_grad for p in module.parameters())
        ):
            return None
        inputs = self.inputs[module].detach()
        patch = inputs.shape[1] * module.kernel_size[0] * module.kernel_size[1]
        output = self.outputs_used()[list(self.owned).index(module)]
        if inputs.element_size() * patch * output.shape[0] * output[0, 0].numel() > SMALL:
            return None
        return nn.functional.unfold(
            inputs, module.kernel_size, module.dilation, module.padding, module.stride
        )


def trainable(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The named parameters that training moves, in the order of every gradient vector here."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not named:
        raise ValueError("the model has no trainable parameters, so there is nothing to audit")
    return named


def group_size(rows: int, parameters: int, memory_limit: int = MEMORY_LIMIT) -> int:
    """How many of ``rows`` expected gradients fit into ``memory_limit`` bytes at once."""
    fit = memory_limit // (8 * parameters) - 1
    if fit < 1:
        raise ValueError(
            f"one expected gradient of {parameters} parameters in float64 and the running sum "
            f"need {16 * parameters} bytes, more than the limit of {memory_limit}; raise it"
        )
    return min(rows, fit)


def expected_gradients(
    model: nn.Module,
    population: Population,
    weights: Tensor,
    *,
    order: Tensor | None = None,
    batch_size: int = 128,
    autocast: torch.dtype | None = None,
    memory_limit: int = MEMORY_LIMIT,
    on_batch: Callable[[int], None] | None = None,
) -> Tensor:
    """All ``sum_i weights[k, i] grad L_i`` at once: float64 ``(K, P)`` on the model's device.

    ``weights`` is ``(K, n)`` with columns in walk order, ``order`` ``(n,)`` says which sample each
    column is (default: input order). Any order is right; the rank order of the rules makes it fast.
    Samples are read in batches of ``batch_size``. ``autocast`` runs forward and backward in a
    lower precision; accumulation stays float64. With an initialised ``torch.distributed`` group
    the batches are dealt out to the processes and the result is summed over them.

    Error: float32 gradients summed in float64, so about 1e-7 relative to
    ``sum_i |weights[k, i]| |grad L_i|``; weights are used to 1e-8 of their row's largest. Where a
    ReLU's input is zero to rounding, float32 may take the other branch than float64 would.
    Memory: ``8 (K + 1) P`` bytes, checked against ``memory_limit`` (``ValueError``; use
    :func:`stream_expected_gradients` to go through the rows in groups that fit).
    """
    named = trainable(model)
    parameters = [p for _, p in named]
    sizes = [p.numel() for p in parameters]
    k, n = weights.shape
    if n != population.n:
        raise ValueError(f"weights have {n} columns but the population has {population.n} samples")
    if group_size(k, sum(sizes), memory_limit) < k:
        raise ValueError(
            f"{k} expected gradients of {sum(sizes)} parameters need {8 * (k + 1) * sum(sizes)} "
            f"bytes, more than the limit of {memory_limit}; use stream_expected_gradients, which "
            "goes through them in groups, or raise memory_limit"
        )
    weights = weights.to("cpu", torch.float64)
    device = parameters[0].device
    ends = torch.tensor(sizes).cumsum(0).tolist()
    slices = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    total = torch.zeros(k, sum(sizes), dtype=torch.float64, device=device)
    running = torch.zeros(sum(sizes), dtype=torch.float64, device=device)
    applied = torch.zeros(k, dtype=torch.float64)
    scale = torch.linalg.vector_norm(weights, ord=math.inf, dim=1)
    tolerance = TOLERANCE_FLOAT64 if parameters[0].dtype == torch.float64 else TOLERANCE
    world, rank = _world()

    def precision() -> AbstractContextManager[object]:
        return nullcontext() if autocast is None else torch.autocast(device.type, autocast)

    with audit_mode(model):
        layers = _Layers(model, parameters)
        verified = False
        try:
            for b, block in enumerate(plan(weights, batch_size, tolerance)):
                if b % world != rank:
                    continue
                # Summation by parts: a row that changes from c to c' gives back (c' - c) of all
                # that was summed so far, and gets c_last of everything at the end.
                if not torch.equal(block.level, applied):
                    change = block.level - applied
                    for row in (change.abs() > tolerance * scale).nonzero().flatten().tolist():
                        total[row].sub_(running, alpha=float(change[row]))
                        applied[row] = block.level[row]

                span = slice(block.start, block.stop)
                indices = torch.arange(n)[span] if order is None else order[span]
                layers.clear()
                with precision():
                    losses = population.losses(model, indices)
                r = block.basis.shape[0]
                if r and not verified:
                    layers.verify(losses)
                    verified = True
                near = layers.outputs_used() if r else []
                grads = torch.autograd.grad(
                    losses.sum(), [*parameters, *near], retain_graph=r > 0, materialize_grads=True
                )
                for part, grad in zip(slices, grads[: len(sizes)], strict=True):
                    running[part] += grad.flatten()
                if r:
                    signals = list(grads[len(sizes) :])
                    basis = block.basis.to(device)
                    columns = block.coefficients.to(device)
                    local = {i for own in layers.owned.values() for i in own}
                    loose = [i for i in range(len(sizes)) if i not in local]
                    found = layers.contract(signals, basis)
                    found |= _general(losses, {i: parameters[i] for i in loose}, basis)
                    for i, part in enumerate(slices):
                        directions = found[i].double().T
                        for row, coefficients in zip(block.rows.tolist(), columns, strict=True):
                            total[row, part].addmv_(directions, coefficients)
                if on_batch is not None:
                    on_batch(len(indices))
        finally:
            layers.close()
    total.addr_(applied.to(device), running)
    if world > 1:
        torch.distributed.all_reduce(total)
    return total


def stream_expected_gradients(
    model: nn.Module,
    population: Population,
    weights: Tensor,
    *,
    order: Tensor | None = None,
    batch_size: int = 128,
    autocast: torch.dtype | None = None,
    memory_limit: int = MEMORY_LIMIT,
    on_batch: Callable[[int], None] | None = None,
) -> Iterator[tuple[slice, Tensor]]:
    """:func:`expected_gradients` in groups of rows that fit into ``memory_limit``, a walk each."""
    size = group_size(len(weights), sum(p.numel() for _, p in trainable(model)), memory_limit)
    for start in range(0, len(weights), size):
        rows = slice(start, min(start + size, len(weights)))
        yield (
            rows,
            expected_gradients(
                model,
                population,
                weights[rows],
                order=order,
                batch_size=batch_size,
                autocast=autocast,
                memory_limit=memory_limit,
                on_batch=on_batch,
            ),
        )


def _general(
    losses: Tensor, parameters: dict[int, nn.Parameter], basis: Tensor
) -> dict[int, Tensor]:
    """``basis @ per-sample gradients`` by a whole backward pass a direction, ``(r, size)`` each."""
    if not parameters:
        return {}
    rows = []
    for phi in basis:
        grads = torch.autograd.grad(
            (phi.to(losses.dtype) * losses).sum(),
            list(parameters.values()),
            retain_graph=True,
            materialize_grads=True,
        )
        rows.append([grad.flatten() for grad in grads])
    return dict(zip(parameters, map(torch.stack, zip(*rows, strict=True)), strict=True))


def _world() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size(), torch.distributed.get_rank()
    return 1, 0
