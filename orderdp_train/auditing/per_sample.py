"""Per-sample gradients of one parameter, made or not, from a layer's inputs and output gradients.

A sample's gradient of a weight is the sum over positions of outer products of what the layer gave
back and what it read. Small ones are made, `(B, size)`; of large ones there are only what is asked:
squared norms from Gram matrices of the positions, inner products, weighted sums. Source: Goodfellow
2015 for linear layers; Rochette, Manoel and Tramel 2019 for convolutions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

# Parameters of up to so many entries have their per-sample gradients made.
SMALL = 2**16
# Bytes at a time: of single gradients or of pairs of positions, and of what is unfolded. More of
# them leave the caches, and come from the system anew every time.
AT_ONCE = 2**24
UNFOLD = 2**22
# What a convolution reads is copied by channels where there are so many, else by positions.
CHANNELS = 16
# More sums than this are cheaper from single gradients, made a few outputs at a time, than from
# one contraction each.
MANY = 2
# Of gradients that are so long, running sums are cheaper than all inner products, on a CPU.
LONG = 2**12


@dataclass(frozen=True)
class Recurrence:
    """The running sum `R <- keep_l R + gain_l g_l` of the gradients of a batch, 0 before it."""

    keep: Float64[Tensor, "B"]
    gain: Float64[Tensor, "B"]

    @property
    def left(self) -> Float64[Tensor, "rows"]:
        """What would be left of a sum before the batch, before each sample and after all."""
        return torch.cat([self.keep.new_ones(1), self.keep.cumprod(0)])

    @cached_property
    def before(self) -> Float64[Tensor, "rows B"]:
        """The sum before each sample, and after all, as weights of the gradients."""
        rows = [torch.zeros_like(self.gain)]
        for k in range(len(self.gain)):
            rows.append(self.keep[k] * rows[-1])
            rows[-1][k] = self.gain[k]
        return torch.stack(rows)


@dataclass(frozen=True)
class Asked:
    """Vectors and running sums whose inner products with single gradients are wanted."""

    vectors: Float[Tensor, "d size"]
    recurrences: Sequence[Recurrence] = ()


@dataclass(frozen=True)
class Seen:
    """Inner products of single gradients with what was asked for, and with themselves."""

    dots: Float[Tensor, "B d"]
    within: Float[Tensor, "B w"]
    squares: Float[Tensor, "B"]


Take = Callable[[slice, Float[Tensor, "r entries"]], None]
"""Told weighted sums of some of a parameter's entries."""


@runtime_checkable
class PerSample(Protocol):
    """The gradients `(B, size)` of one parameter for the samples of a batch."""

    def squares(self) -> Float[Tensor, "B"]:
        """Squared norms."""
        ...

    def dots(self, vectors: Float[Tensor, "d size"]) -> Float[Tensor, "B d"]:
        """Inner products with vectors."""
        ...

    def gram(self) -> Float[Tensor, "B B"]:
        """Inner products with each other."""
        ...

    def sums(self, phi: Float[Tensor, "r B"]) -> Float[Tensor, "r size"]:
        """Weighted sums over the samples."""
        ...

    def together(self, phi: Float[Tensor, "r B"], asked: Asked, take: Take) -> Seen | None:
        """`take` is given the `sums`, some entries `(r, entries)` at a time; back comes what was
        asked for, None for no vectors. Gradients are made once for it all.
        """
        ...


class _Apart:
    """Asks one question after the other."""

    def together(self: Any, phi: Tensor, asked: Asked, take: Take) -> Seen | None:
        take(slice(None), self.sums(phi))
        if not len(asked.vectors):
            return None
        return Seen(self.dots(asked.vectors), *self.within(asked.recurrences))

    def within(self: Any, recurrences: Sequence[Recurrence]) -> tuple[Tensor, Tensor]:
        """Products with running sums, `(B, w)`, and squared norms."""
        return _from_gram(self.gram(), recurrences)


def _from_gram(gram: Tensor, recurrences: Sequence[Recurrence]) -> tuple[Tensor, Tensor]:
    within = [(r.before[:-1].to(gram) * gram).sum(1) for r in recurrences]
    return torch.stack(within, 1), gram.diagonal()


def _from_rows(rows: Tensor, recurrences: Sequence[Recurrence]) -> tuple[Tensor, Tensor]:
    if rows.device.type != "cpu" or rows.shape[1] < LONG:
        return _from_gram(rows @ rows.T, recurrences)
    within = []
    for r in recurrences:
        total, found = torch.zeros_like(rows[0]), []
        for row, keep, gain in zip(rows, r.keep.tolist(), r.gain.tolist(), strict=True):
            found.append(row @ total)
            if keep != 1:
                total *= keep
            total.add_(row, alpha=gain)
        within.append(torch.stack(found))
    return torch.stack(within, 1), torch.linalg.vector_norm(rows, dim=1).square()


@dataclass(frozen=True)
class Made(_Apart):
    """Gradients that exist; those of a convolution `(o, i, k)` may be kept as `(o, k, i)`."""

    rows: Float[Tensor, "B size"]
    kept_as: tuple[int, int, int] | None = None

    def squares(self) -> Tensor:
        return torch.linalg.vector_norm(self.rows, dim=1).square()

    def dots(self, vectors: Tensor) -> Tensor:
        vectors = vectors.to(self.rows)
        if self.kept_as is not None:
            o, k, i = self.kept_as
            vectors = vectors.unflatten(1, (o, i, k)).mT.flatten(1)
        return (vectors @ self.rows.T).T  # faster in this order, few vectors of many entries

    def gram(self) -> Tensor:
        return self.rows @ self.rows.T

    def within(self, recurrences: Sequence[Recurrence]) -> tuple[Tensor, Tensor]:
        return _from_rows(self.rows, recurrences)

    def sums(self, phi: Tensor) -> Tensor:
        found = phi.to(self.rows) @ self.rows
        return found if self.kept_as is None else found.unflatten(1, self.kept_as).mT.flatten(1)


@dataclass(frozen=True)
class Outer(_Apart):
    """`sum_p signal[b, g, p, :] ⊗ inputs[b, g, p, :]` for groups g and positions p."""

    signal: Float[Tensor, "B g p o"]
    inputs: Float[Tensor, "B g p i"]

    def squares(self) -> Tensor:
        (size, groups, positions, o), i = self.signal.shape, self.inputs.shape[3]
        if positions * (o + i) >= o * i:
            return sum((x.square().sum(1) for _, x in self._pieces()), self.signal.new_zeros(size))
        few = max(1, AT_ONCE // (8 * groups * positions**2))
        pairs = zip(self.signal.split(few), self.inputs.split(few), strict=True)
        found = [((s @ s.mT) * (x @ x.mT)).sum((1, 2, 3)) for s, x in pairs]
        return torch.cat(found)

    def dots(self, vectors: Tensor) -> Tensor:
        shape = self.signal.shape[1], self.signal.shape[3], self.inputs.shape[3]
        matrices = [vector.view(shape).mT for vector in vectors.to(self.signal)]
        return torch.stack([(self.inputs @ m * self.signal).sum((1, 2, 3)) for m in matrices], 1)

    def gram(self) -> Tensor:
        (size, _, positions, o), i = self.signal.shape, self.inputs.shape[3]
        if positions**2 * (o + i) > o * i:  # pairs of positions would cost more
            return sum((x @ x.T for _, x in self._pieces()), self.signal.new_zeros(size, size))
        few = max(1, AT_ONCE // (self.signal.element_size() * size * positions**2))
        rows = []
        for some, read in zip(self.signal.split(few), self.inputs.split(few), strict=True):
            pairs = torch.einsum("bgpo,cgqo->bcgpq", some, self.signal)
            pairs *= torch.einsum("bgpi,cgqi->bcgpq", read, self.inputs)
            rows.append(pairs.sum((2, 3, 4)))
        return torch.cat(rows)

    def sums(self, phi: Tensor) -> Tensor:
        if self._worth_pieces(phi):
            return torch.cat([(phi.to(x) @ x) for _, x in self._pieces()], 1)
        inputs = self.inputs.transpose(0, 1).flatten(1, 2)
        rows = []
        for row in phi.to(self.signal):
            signal = self.signal * row[:, None, None, None]
            rows.append((signal.transpose(0, 1).flatten(1, 2).mT @ inputs).flatten())
        return torch.stack(rows)

    def together(self, phi: Tensor, asked: Asked, take: Take) -> Seen | None:
        at_positions = self.signal.shape[2] > 1 and len(asked.vectors) > 0
        if not (at_positions or self._worth_pieces(phi)):
            return super().together(phi, asked, take)
        phi, vectors, size = phi.to(self.signal), asked.vectors.to(self.signal), len(self.signal)
        dots, squares = phi.new_zeros(size, len(vectors)), phi.new_zeros(size)
        within = phi.new_zeros(size, len(asked.recurrences))
        for entries, piece in self._pieces():
            take(entries, phi @ piece)
            if len(vectors):
                dots += piece @ vectors[:, entries].T
                more = _from_rows(piece, asked.recurrences)
                within += more[0]
                squares += more[1]
        return Seen(dots, within, squares) if len(vectors) else None

    def made(self, rows: Tensor | None = None) -> Tensor:
        """All of them, `(B, size)`; in the memory of `rows` if that is given."""
        shape = self.signal.shape[1], self.signal.shape[3], self.inputs.shape[3]
        there = None if rows is None else rows.unflatten(1, shape)
        return torch.matmul(self.signal.mT, self.inputs, out=there).flatten(1)

    def _worth_pieces(self, phi: Tensor) -> bool:
        return len(phi) > MANY and self.signal.shape[2] > 1

    def _pieces(self) -> Iterator[tuple[slice, Tensor]]:
        """Some entries at a time, those of a few outputs, `(B, entries)`."""
        (size, groups, _, o), i = self.signal.shape, self.inputs.shape[3]
        fit = AT_ONCE // (self.signal.element_size() * size * i)  # outputs
        many, few = max(1, fit // o), max(1, min(fit, o))  # of groups, and of a group
        for group, start in itertools.product(range(0, groups, many), range(0, o, few)):
            its = slice(group, group + many), slice(None), slice(start, start + few)
            piece = (self.signal[:, *its].mT @ self.inputs[:, its[0]]).flatten(1)
            first = (group * o + start) * i
            yield slice(first, first + piece.shape[1]), piece


@dataclass(frozen=True)
class Convolved:
    """Of a convolution's weight, without unfolding what it read for more than is asked."""

    module: Any
    inputs: Tensor
    signal: Tensor

    def squares(self) -> Tensor:
        outers = unfolded(self.module, self.inputs, self.signal)
        return torch.cat([outer.squares() for outer in outers])

    def dots(self, vectors: Tensor) -> Tensor:
        found = []
        for vector in vectors.to(self.signal):
            weight = vector.view_as(self.module.weight)
            out = self.module._conv_forward(self.inputs, weight, None)
            found.append((out * self.signal).flatten(1).sum(1))
        return torch.stack(found, 1)

    def gram(self) -> Tensor:
        return self._whole().gram()

    def sums(self, phi: Tensor) -> Tensor:
        module, ones = self.module, [1] * (self.signal.dim() - 1)
        if len(phi) > MANY:
            total, start = phi, 0
            for outer in unfolded(module, self.inputs, self.signal, self._at_once(phi)):
                outer = Outer(outer.signal, _native(module, outer).flatten(3))
                sums = outer.sums(phi[:, start : start + len(outer.signal)])
                total = total.add_(sums) if start else sums
                start += len(outer.signal)
            return total
        inputs, padding = self.inputs, module.padding
        if module.padding_mode != "zeros" or isinstance(padding, str):
            inputs, padding = _padded(module, inputs), [0] * len(ones[1:])
        rows = []
        for row in phi.to(self.signal):
            _, weight, _ = torch.ops.aten.convolution_backward(
                *(
                    self.signal * row.view(-1, *ones),
                    inputs,
                    module.weight.detach().to(inputs),
                    None,
                ),
                *(module.stride, padding, module.dilation, False, [0] * len(ones[1:])),
                *(module.groups, [False, True, False]),
            )
            rows.append(weight.flatten())
        return torch.stack(rows)

    def together(self, phi: Tensor, asked: Asked, take: Take) -> Seen | None:
        a_sample = unfolded_bytes(self.module, self.inputs, self.signal)
        fits = len(self.inputs) * a_sample <= self._at_once(phi)
        if len(asked.vectors) or (len(phi) > MANY and fits):
            return self._whole().together(phi, asked, take)
        take(slice(None), self.sums(phi))
        return None

    def _at_once(self, phi: Tensor) -> int:
        """Bytes of what is unfolded for weighted sums: at least as many as these have."""
        return max(AT_ONCE, len(phi) * self.module.weight.numel() * self.signal.element_size())

    def _whole(self) -> Outer:
        """All samples unfolded, a few at a time."""
        groups = self.module.groups
        signal = self.signal.flatten(2).unflatten(1, (groups, -1)).mT
        read = self.module.weight[0].numel()
        inputs, start = self.inputs.new_empty(*signal.shape[:3], read), 0
        for outer in unfolded(self.module, self.inputs, self.signal):
            stop = start + len(outer.signal)
            native = _native(self.module, outer)
            inputs[start:stop].view(native.shape).copy_(native)
            start = stop
        return Outer(signal, inputs)


@dataclass(frozen=True)
class Looked(_Apart):
    """Of an embedding's rows, which tokens `(B, t)` looked up."""

    signal: Float[Tensor, "B t d"]
    tokens: Int64[Tensor, "B t"]
    size: int

    def squares(self) -> Tensor:
        few = max(1, AT_ONCE // (8 * self.tokens.shape[1] ** 2))
        found = []
        for s, t in zip(self.signal.split(few), self.tokens.split(few), strict=True):
            found.append(((s @ s.mT) * (t[:, :, None] == t[:, None, :])).sum((1, 2)))
        return torch.cat(found)

    def dots(self, vectors: Tensor) -> Tensor:
        tables = vectors.to(self.signal).unflatten(1, (self.size, -1))
        return torch.stack([(t[self.tokens] * self.signal).sum((1, 2)) for t in tables], 1)

    def gram(self) -> Tensor:
        seen, where = self.tokens.unique(return_inverse=True)
        batch = len(self.signal)
        found = self.signal.new_zeros(batch, batch)
        sample = torch.arange(batch, device=where.device)[:, None] * len(seen)
        few = max(1, AT_ONCE // (self.signal.element_size() * batch * len(seen)))
        for signal in self.signal.split(few, 2):
            rows = signal.new_zeros(batch * len(seen), signal.shape[2])
            rows.index_add_(0, (sample + where).flatten(), signal.flatten(0, 1))
            rows = rows.view(batch, -1)
            found += rows @ rows.T
        return found

    def sums(self, phi: Tensor) -> Tensor:
        rows = self.signal.new_zeros(len(phi), self.size, self.signal.shape[2])
        for row, weights in zip(rows, phi.to(self.signal), strict=True):
            weighted = self.signal * weights[:, None, None]
            row.index_add_(0, self.tokens.flatten(), weighted.flatten(0, 1))
        return rows.flatten(1)


def _native(module: Any, outer: Outer) -> Tensor:
    """What was read, in the order of the weight's entries, not channels last."""
    return outer.inputs.unflatten(3, (math.prod(module.kernel_size), -1)).mT


def unfolded_bytes(module: Any, inputs: Tensor, signal: Tensor) -> int:
    """Of what a convolution read, a sample."""
    read = inputs.shape[1] * math.prod(module.kernel_size)
    return inputs.element_size() * math.prod(signal.shape[2:]) * read


def unfolded(module: Any, inputs: Tensor, signal: Tensor, at_once: int = 0) -> Iterator[Outer]:
    """A convolution as outer products, of as many samples at a time as fit into `at_once` bytes.

    Entries have input channels last, so that rows of them can be copied whole; of few channels,
    rows of positions are.
    """
    kernel, dims, groups = module.kernel_size, len(module.kernel_size), module.groups
    few = max(1, (at_once or UNFOLD) // max(unfolded_bytes(module, inputs, signal), 1))
    by_channels = inputs.shape[1] >= CHANNELS
    for x, s in zip(inputs.split(few), signal.split(few), strict=True):
        windows = _channels_last(module, x) if by_channels else _padded(module, x)
        at = 1 if by_channels else 2
        for d in range(dims):
            reach = (kernel[d] - 1) * module.dilation[d] + 1
            windows = windows.unfold(at + d, reach, module.stride[d])[..., :: module.dilation[d]]
        if by_channels:  # (b, *positions, channels, *kernel), positions before what they read
            windows = windows.movedim(1 + dims, -1).flatten(1, dims).flatten(2, 1 + dims)
            read = windows.unflatten(3, (groups, -1)).movedim(3, 1).flatten(3)
        else:  # (b, channels, *positions, *kernel), positions last
            windows = windows.permute(0, *range(2 + dims, 2 + 2 * dims), 1, *range(2, 2 + dims))
            windows = windows.flatten(1, dims).flatten(3)
            read = windows.unflatten(2, (groups, -1)).movedim(2, 1).flatten(2, 3).mT
        yield Outer(s.flatten(2).unflatten(1, (groups, -1)).mT, read)


def _channels_last(module: Any, inputs: Tensor) -> Tensor:
    """What a convolution reads, padded and contiguous, channels last."""
    if module.padding_mode != "zeros":
        return _padded(module, inputs).movedim(1, -1).contiguous()
    return F.pad(
        inputs.movedim(1, -1), [0, 0, *module._reversed_padding_repeated_twice]
    ).contiguous()


def _padded(module: Any, inputs: Tensor) -> Tensor:
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    return F.pad(inputs, module._reversed_padding_repeated_twice, mode=mode)


Found = dict[str, "PerSample"] | None


def _linear(module: nn.Linear, inputs: Tensor, signal: Tensor, each: bool) -> Found:
    s, x = (t.reshape(len(t), 1, -1, t.shape[-1]) for t in (signal, inputs))
    outer = Outer(s, x)
    made = each and module.weight.numel() <= SMALL
    return {"weight": Made(outer.made()) if made else outer, "bias": Made(s.sum((1, 2)))}


def _convolution(module: Any, inputs: Tensor, signal: Tensor, each: bool) -> Found:
    if inputs.dim() != module.weight.dim():
        return None
    bias = Made(_over_positions(signal))
    if not _is_made(module, inputs, signal, each):
        return {"weight": Convolved(module, inputs, signal), "bias": bias}
    o, i, *kernel = module.weight.shape
    rows, start = signal.new_empty(len(signal), module.weight.numel()), 0
    for outer in unfolded(module, inputs, signal):
        stop = start + len(outer.signal)
        outer.made(rows[start:stop])
        start = stop
    return {"weight": Made(rows, (o, math.prod(kernel), i)), "bias": bias}


def _is_made(module: Any, inputs: Tensor, signal: Tensor, each: bool) -> bool:
    """Whether a convolution's gradients are made: for `each` where norms cost less so."""
    o, *inner = module.weight.shape
    i, positions = math.prod(inner), math.prod(signal.shape[2:])
    if each:
        return o * i <= max(SMALL, positions * (o // module.groups + i))
    largest = len(inputs) * max(i * module.groups * positions, o * i)
    return inputs.element_size() * largest <= AT_ONCE


def _embedding(module: nn.Embedding, tokens: Tensor, signal: Tensor, each: bool) -> Found:
    if module.max_norm is not None or module.scale_grad_by_freq or module.sparse:
        return None
    signal = signal.reshape(len(signal), -1, signal.shape[-1])
    tokens = tokens.reshape(len(tokens), -1)
    if module.padding_idx is not None:
        signal = signal * (tokens != module.padding_idx)[..., None]
    return {"weight": Looked(signal, tokens, module.num_embeddings)}


def _over_positions(x: Tensor) -> Tensor:
    """`(B, channels, *positions)` summed over the positions, if there are any."""
    return x.flatten(2).sum(2) if x.dim() > 2 else x


def _batch_norm(module: Any, inputs: Tensor, signal: Tensor, each: bool) -> Found:
    mean, var = module.running_mean, module.running_var
    if module.training or mean is None:
        return None
    bias, product = map(_over_positions, (signal, inputs.to(signal) * signal))
    return {
        "weight": Made((product - mean * bias) * (var + module.eps).rsqrt()),
        "bias": Made(bias),
    }


def _group_norm(module: nn.GroupNorm, inputs: Tensor, signal: Tensor, each: bool) -> Found:
    normalised = F.group_norm(inputs, module.num_groups, eps=module.eps)
    both = {"weight": signal * normalised, "bias": signal}
    return {name: Made(_over_positions(x)) for name, x in both.items()}


def _last_dimensions(
    module: nn.LayerNorm | nn.RMSNorm, inputs: Tensor, signal: Tensor, each: bool
) -> Found:
    shape = list(module.normalized_shape)
    if isinstance(module, nn.LayerNorm):
        normalised = F.layer_norm(inputs, shape, eps=module.eps)
    else:
        normalised = F.rms_norm(inputs, shape, eps=module.eps)
    rows = (len(signal), -1, math.prod(shape))
    return {
        "weight": Made((signal * normalised).reshape(rows).sum(1)),
        "bias": Made(signal.reshape(rows).sum(1)),
    }


Rule = Callable[[Any, Tensor, Tensor, bool], Found]
RULES: Mapping[type[nn.Module], Rule] = {
    nn.Linear: _linear,
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    nn.Embedding: _embedding,
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _batch_norm),
    nn.GroupNorm: _group_norm,
    **dict.fromkeys((nn.LayerNorm, nn.RMSNorm), _last_dimensions),
}
"""By the layer's own class: a subclass may compute something else."""


def by_rule(module: nn.Module, inputs: Tensor, signal: Tensor, each: bool) -> Found:
    """Per-sample gradients of a layer's parameters by their names, None without a rule.

    `inputs` `(B, ...)` is what the layer read, `signal` `(B, ...)` the gradient at its output.
    `each`: single samples will be asked for, not weighted sums alone.
    """
    rule = RULES.get(type(module))
    if rule is None:
        return None
    dtype = torch.promote_types(signal.dtype, torch.float32)
    inputs, signal = inputs.detach(), signal.detach().to(dtype)
    return rule(module, inputs.to(dtype) if inputs.is_floating_point() else inputs, signal, each)


def one_by_one(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], signal: Tensor
) -> dict[str, PerSample]:
    """The same for any layer: its own forward and backward pass, a sample at a time."""
    own = {k: p for k, p in module.named_parameters(recurse=False) if p.requires_grad}
    leaves, form = tree_flatten((args, kwargs))
    rows: list[list[Tensor]] = []
    for b in range(len(signal)):
        alone = [
            x[b : b + 1].detach() if isinstance(x, Tensor) and len(x) == len(signal) else x
            for x in leaves
        ]
        args, kwargs = tree_unflatten(alone, form)
        with torch.enable_grad():
            output = module.forward(*args, **kwargs)
            grads = torch.autograd.grad(
                output,
                list(own.values()),
                signal[b : b + 1].to(output.dtype),
                materialize_grads=True,
            )
        rows.append([grad.flatten() for grad in grads])
    return {
        name: Made(torch.stack(column))
        for name, column in zip(own, zip(*rows, strict=True), strict=True)
    }
