"""The layers whose parameters' gradients follow from what they read and gave in one pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from orderdp_train.auditing.per_sample import (
    Asked,
    Made,
    PerSample,
    Seen,
    Take,
    by_rule,
    one_by_one,
)

# Samples on which what follows from a layer's rule is compared with autograd.
FEW = 4
# A product that is added to a long vector of float64 takes as long as so many others.
UPDATE = 128


@dataclass(frozen=True)
class Weighted:
    """Weighted sums of a parameter's gradients in one pass, still to be made if they are not.

    From `single` gradients, where there are any, or `made` already.
    """

    phi: Float[Tensor, "r B"]
    single: PerSample | None
    made: Float[Tensor, "r size"] | None = None

    def sums(self) -> Float[Tensor, "r size"]:
        if self.single is not None:
            return self.single.sums(self.phi)
        assert self.made is not None
        return self.made

    def together(self, asked: Asked, take: Take) -> Seen | None:
        """As `PerSample.together`, with nothing back where there are no single gradients."""
        if self.single is not None:
            return self.single.together(self.phi, asked, take)
        take(slice(None), self.sums())
        return None


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


@dataclass(frozen=True)
class _Call:
    """What a layer read and gave; `unchanged` until something is written over it."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    grad_fn: object
    versions: list[int]

    def unchanged(self) -> bool:
        return getattr(self.output, "grad_fn", None) is self.grad_fn

    def inputs_unchanged(self) -> bool:
        return _versions(self.args, self.kwargs) == self.versions


def _versions(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:
    plain = not kwargs and all(isinstance(x, Tensor) for x in args)
    leaves = args if plain else tree_leaves((args, kwargs))  # which takes longer than small layers
    return [x._version for x in leaves if isinstance(x, Tensor)]


class Layers:
    """What the leaf layers read and gave during one forward pass, for their weights' gradients.

    A layer is *local* if it is called once in every batch, its output has the batch as first
    dimension, and its parameters' gradients follow from its inputs and its output's gradient,
    sample by sample; the last is checked against autograd on a few samples, and again where another
    layer turns out not to be local. The parameters of all other layers (shared, called repeatedly,
    in some batches only, used without their module's forward, windowed) take the general way, a
    backward pass each; `general` says which.
    """

    def __init__(self, model: nn.Module, parameters: Sequence[Tensor]) -> None:
        self.index = index = {id(p): i for i, p in enumerate(parameters)}
        owned: dict[nn.Module, dict[str, int]] = {}
        for module in model.modules():
            named = module.named_parameters(recurse=False)
            own = {name: index[id(p)] for name, p in named if id(p) in index}
            if own and not any(True for _ in module.children()):
                owned[module] = own
        self.parameters = parameters
        self.owned = owned
        self.verified = False
        self.calls: dict[nn.Module, list[_Call]] = {}
        # Layers whose outputs others write over: these get a copy.
        self.copied: set[nn.Module] = set()

    @property
    def general(self) -> list[int]:
        """The parameters that belong to no local layer."""
        local = {i for own in self.owned.values() for i in own.values()}
        return [i for i in range(len(self.parameters)) if i not in local]

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Remember the calls of the forward pass inside, for what follows it inside."""
        handles = [m.register_forward_hook(self._record, with_kwargs=True) for m in self.owned]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self.calls.clear()

    def _record(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Tensor | None:
        call = _Call(
            args, kwargs, output, getattr(output, "grad_fn", None), _versions(args, kwargs)
        )
        self.calls.setdefault(module, []).append(call)
        return output.clone() if module in self.copied else None

    def verify_on(self, losses: Callable[[], Tensor]) -> None:
        """Look at a pass over a few samples, made by `losses`, before any other, if none was."""
        if self.verified:
            return
        with self.recording():
            losses()
            for module, calls in self.calls.items():
                if isinstance(calls[0].output, Tensor) and not calls[0].unchanged():
                    self.copied.add(module)
        with self.recording():
            self.verify(losses())

    def verify(self, losses: Tensor) -> None:
        """Give up the layers that are not local in the pass recorded, whose losses these are.

        The first pass, and one in which a layer is given up, are compared with autograd for random
        sample weights, and for one sample.
        """
        size = losses.shape[0]
        usable = {}
        for module, own in self.owned.items():
            calls = self.calls.get(module, [])
            if len(calls) != 1:
                continue
            output = calls[0].output
            if (
                isinstance(output, Tensor)
                and calls[0].unchanged()
                and calls[0].inputs_unchanged()
                and output.shape[:1] == (size,)
            ):
                usable[module] = own
        if self.verified and len(usable) == len(self.owned):
            return
        self.verified = True
        self.owned = usable
        if not usable:
            return
        generator = torch.Generator().manual_seed(size)
        phi = (torch.rand(size, generator=generator, dtype=torch.float64) + 0.5).to(losses)
        want, alone = (
            torch.autograd.grad(x, self.parameters, retain_graph=True, materialize_grads=True)
            for x in ((phi * losses).sum(), losses[-1])
        )
        # Half of the digits of the least precise layer; a wrong rule has none.
        dtypes = {losses.dtype, *(output.dtype for output in self.outputs_used())}
        tolerance = math.sqrt(max(torch.finfo(dtype).eps for dtype in dtypes))
        wrong: set[int] = set()
        for i, found in self.gradients(losses, phi[None], each=True, local=True):
            w, one = want[i].flatten(), alone[i].flatten()
            sums, each = found.sums(), found.single
            assert each is not None
            gram = each.gram()
            squares, longest = one @ one, gram.diagonal().max()
            pairs = (
                (sums[1], w, w.norm()),
                (each.squares(), gram.diagonal(), longest),
                (gram[-1, -1], squares, longest),
                (each.dots(one[None])[-1, 0], squares, longest),
                (gram @ phi.to(gram), each.dots(w[None])[:, 0], longest * size),
            )
            if any(not (a - b).norm() <= tolerance * scale for a, b, scale in pairs):
                wrong.add(i)
        for module, own in list(self.owned.items()):
            if wrong & set(own.values()):
                del self.owned[module]

    def gradients(
        self, losses: Tensor, basis: Tensor, *, each: bool = False, local: bool = False
    ) -> Iterator[tuple[int, Weighted]]:
        """Each parameter's index with its gradients of `sum(losses)` and `basis @ losses`.

        They are `(1 + r, size)` for a basis `(r, B)`. The losses are those of the pass
        recorded. With them, if `each`, are per-sample gradients of the parameters of all local
        layers, None for others; only these if `local`.
        """
        loose = {} if local else {i: self.parameters[i] for i in self.general}
        grads = torch.autograd.grad(
            losses.sum(),
            [*loose.values(), *self.outputs_used()],
            retain_graph=True,
            materialize_grads=True,
        )
        phi = torch.cat([basis.new_ones(1, len(losses)), basis])
        signals = iter(grads[len(loose) :])
        for (module, own), signal in zip(list(self.owned.items()), signals, strict=True):
            call = self.calls[module][0]
            found = self._by_rule(module, call, signal, each)
            if found is not None:
                for name, i in own.items():
                    yield i, Weighted(phi, found[name])
                continue
            if each:
                alone = one_by_one(module, call.args, call.kwargs, signal)
                for name, i in own.items():
                    yield i, Weighted(phi, alone[name])
                continue
            rows = zip(*(self._contract(call, own, signal, row) for row in phi), strict=True)
            for i, sums in zip(own.values(), rows, strict=True):
                yield i, Weighted(phi, None, torch.stack(sums))
        if loose:
            rows = [grads[: len(loose)]]
            for row in basis:
                weighted = (row.to(losses.dtype) * losses).sum()
                rows.append(
                    torch.autograd.grad(
                        weighted, list(loose.values()), retain_graph=True, materialize_grads=True
                    )
                )
            for i, found in zip(loose, zip(*rows, strict=True), strict=True):
                yield i, Weighted(phi, None, torch.stack([grad.flatten() for grad in found]))

    def outputs_used(self) -> list[Tensor]:
        return [self.calls[m][0].output for m in self.owned]

    def _by_rule(
        self, module: nn.Module, call: _Call, signal: Tensor, each: bool
    ) -> dict[str, PerSample] | None:
        if len(call.args) != 1 or call.kwargs or not isinstance(call.args[0], Tensor):
            return None
        if call.args[0].shape[:1] != signal.shape[:1]:
            return None
        return by_rule(module, call.args[0], signal, each)

    def _contract(
        self, call: _Call, own: dict[str, int], signal: Tensor, phi: Tensor
    ) -> list[Tensor]:
        """Weighted sums of a layer's gradients, by autograd."""
        column = phi.to(signal.dtype).reshape(-1, *[1] * (signal.dim() - 1))
        grads = torch.autograd.grad(
            call.output,
            [self.parameters[i] for i in own.values()],
            signal * column,
            retain_graph=True,
            materialize_grads=True,
        )
        return [grad.flatten() for grad in grads]


def cost_of_rows(
    model: nn.Module, losses: Callable[[], Tensor], rows: int, batch_size: int, *, each: bool
) -> float:
    """What so many more rows of weights, constant on no batch, cost, in plain passes.

    `losses` makes a forward pass over a few samples. Single gradients are made for all rows, `each`
    or not, where that costs less than a weight's gradient for each of them.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    layers = Layers(model, parameters)
    entry = rows * (1 + UPDATE / batch_size)
    with audit_mode(model):
        layers.verify_on(losses)
        with layers.recording():
            found = losses()
            more, plain = 0.0, 1.0
            singles = layers.gradients(found, found.new_zeros(0, len(found)), each=each, local=True)
            made = {i for i, weighted in singles if isinstance(weighted.single, Made)}
            for module, own in layers.owned.items():
                output = layers.calls[module][0].output
                for i in own.values():
                    weight = parameters[i]
                    if weight.dim() > 1:
                        work = weight.numel() * output[0].numel() / weight.shape[0]
                        plain += work
                        once = 0.0 if i in made else min(work, rows * (work - weight.numel()))
                        more += once + entry * weight.numel()
    return more / plain / 3 + (2 / 3 * rows if layers.general else 0.0)
