"""Per-sample gradients, streamed: squared norms, prefix products, projections, covariances."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.utils._pytree import tree_flatten, tree_unflatten

from orderdp_theory import Ranking
from orderdp_train.auditing.layers import audit_mode
from orderdp_train.auditing.per_sample import SMALL, Recurrence
from orderdp_train.auditing.population import Loss, Population
from orderdp_train.auditing.walk import COLUMNS, MEMORY_LIMIT, parts, trainable, within
from orderdp_train.rules.pairs import SecondOrder, SequencePairs

CHUNK_BYTES = 2**28
# Vectors of float64 as long as a part: two running sums, and a sample's gradient in two precisions
# with its multiple.
ROWS = 5


@dataclass(frozen=True)
class Products:
    """Inner products of weighted per-sample gradients `h_i = a_i g_i`, layer by layer, float64.

    `squares` `(n, layers)` in input order: `|g_i|²`. In rank order of a ranking, `between`
    `(n, layers)`: `h_k` with the sum of all `h_j` of earlier tie groups; `within`: with the
    earlier ones of its own group. `projections` `(n, d)` in input order: `g_i` on given directions.
    """

    squares: Float64[Tensor, "n layers"]
    between: Float64[Tensor, "n layers"]
    within: Float64[Tensor, "n layers"]
    projections: Float64[Tensor, "n d"]

    def replaced(self, other: Products, layers: Sequence[int]) -> Products:
        """With the products of another of some layers, and its projections added."""
        squares, between, within = (
            mine.index_copy(1, torch.tensor(layers), theirs[:, layers])
            for mine, theirs in (
                (self.squares, other.squares),
                (self.between, other.between),
                (self.within, other.within),
            )
        )
        extra = other.projections if other.projections.shape[1] else 0.0
        return Products(squares, between, within, self.projections + extra)


class _Lossy(nn.Module):
    """A loss as a module, so that the model in it can be given other parameters."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Any) -> Tensor:
        return self.loss(self.model, batch)


def per_sample_gradients(
    model: nn.Module,
    population: Population,
    order: Int64[Tensor, "n"],
    parameters: Sequence[str] | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    on_slow: Callable[[str], None] | None = None,
) -> Iterator[tuple[int, list[Tensor]]]:
    """Yield `(start, gradients)` for consecutive chunks of `order`, a tensor a parameter.

    Each tensor is `(chunk, *parameter.shape)`, of the `parameters` named, all if none are. The
    model has to be in `audit_mode`. Chunks are as long as fit into `chunk_bytes`. A loss
    that cannot be mapped over the samples of a batch, or has other gradients then, takes a backward
    pass a sample; `on_slow` is told why.
    """
    named = {n: p for n, p in trainable(model) if parameters is None or n in parameters}
    size = sum(p.numel() * p.element_size() for p in named.values())
    chunk = max(1, min(64, chunk_bytes // size))
    start, mapped = 0, chunk > 1
    for indices, batch in population.batches(order, chunk):
        grads = None
        if mapped:
            try:
                grads = _mapped(model, population, named, batch, len(indices))
                if start == 0:
                    _check(model, population, named, indices, grads)
            except (RuntimeError, ValueError, TypeError) as error:
                mapped, grads = False, None
                if on_slow is not None:
                    on_slow(f"{type(error).__name__}: {str(error).splitlines()[0]}")
        if grads is None:
            singles = [_single(model, population, named, i[None]) for i in indices]
            grads = [torch.stack(parts) for parts in zip(*singles, strict=True)]
        yield start, grads
        start += len(indices)


def _mapped(
    model: nn.Module, population: Population, named: dict[str, nn.Parameter], batch: Any, size: int
) -> list[Tensor]:
    leaves, form = tree_flatten(batch)
    dims = [0 if isinstance(x, Tensor) and x.shape[:1] == (size,) else None for x in leaves]
    lossy = _Lossy(model, population.loss)

    def loss(values: dict[str, Tensor], leaves: list[Any]) -> Tensor:
        alone = [x if d is None else x.unsqueeze(0) for x, d in zip(leaves, dims, strict=True)]
        values = {f"model.{name}": value for name, value in values.items()}
        with _precision(population, model):
            return functional_call(lossy, values, (tree_unflatten(alone, form),)).squeeze(0)

    state = {name: p.detach() for name, p in named.items()}
    grads = vmap(grad(loss), in_dims=(None, dims))(state, leaves)
    return [grads[name] for name in named]


def _single(
    model: nn.Module, population: Population, named: dict[str, nn.Parameter], index: Tensor
) -> list[Tensor]:
    with torch.enable_grad():
        losses = population.losses(model, index)
        return list(torch.autograd.grad(losses.sum(), list(named.values()), materialize_grads=True))


def _check(
    model: nn.Module,
    population: Population,
    named: dict[str, nn.Parameter],
    indices: Tensor,
    grads: list[Tensor],
) -> None:
    """Half of the digits of the first sample's gradients must agree with autograd."""
    exact = torch.cat([g.flatten() for g in _single(model, population, named, indices[:1])])
    error = torch.cat([g[0].flatten() for g in grads]) - exact
    precision = torch.finfo(population.autocast or exact.dtype).eps
    if float(error.norm()) > precision**0.5 * float(exact.norm()):
        raise ValueError("mapped over samples, the loss has another gradient")


@contextmanager
def _precision(population: Population, model: nn.Module) -> Iterator[None]:
    device = next(model.parameters()).device.type
    with torch.autocast(device, population.autocast, enabled=population.autocast is not None):
        yield


@torch.no_grad()
def products(
    model: nn.Module,
    population: Population,
    ranking: Ranking,
    coefficient: Tensor,
    directions: Sequence[int] | None = None,
    memory_limit: int = MEMORY_LIMIT,
    on_slow: Callable[[str], None] | None = None,
    layers: Collection[int] | None = None,
) -> Products:
    """All `Products` from one pass over the samples in rank order, a mapped pass a sample.

    `coefficient` float64 `(n,)` holds the `a_i` in input order. `directions` are a seed for
    each direction of random signs, see `signs`, for parameters of at most `SMALL` entries.
    `layers`: only these parameters; zero for the others. O(n P) time. What does not fit into
    `memory_limit` bytes takes a pass for each part of the parameters.
    """
    n = population.n
    order = torch.from_numpy(ranking.order)
    group_start = torch.from_numpy(ranking.starts[ranking.group_of_rank()])
    named = trainable(model)
    device = named[0][1].device
    sizes = [p.numel() for _, p in named]
    squares, between, inside = (
        torch.zeros(n, len(sizes), dtype=torch.float64, device=device) for _ in range(3)
    )
    projections = torch.zeros(n, len(directions or ()), dtype=torch.float64, device=device)
    chunk_bytes = min(CHUNK_BYTES, memory_limit // 8)
    for part in parts(ROWS, sizes, memory_limit):
        cuts = [(i, cut) for i, cut in within(part, sizes) if layers is None or i in layers]
        if not cuts:
            continue
        lengths = [cut.stop - cut.start for _, cut in cuts]
        turned = [signs(directions or (), i, sizes[i])[:, cut].to(device) for i, cut in cuts]
        running = [torch.zeros(size, dtype=torch.float64, device=device) for size in lengths]
        # The sum of everything before the tie group that a chunk begins in.
        at_group = [torch.zeros_like(r) for r in running]
        names = [named[i][0] for i, _ in cuts]
        with audit_mode(model):
            for start, grads in per_sample_gradients(
                model, population, order, names, chunk_bytes, on_slow
            ):
                stop = start + len(grads[0])
                where, first = order[start:stop].to(device), group_start[start:stop].to(device)
                rank = torch.arange(start, stop, device=device)
                earlier = rank[None, :] < rank[:, None]
                same_group = rank[None, :] >= first[:, None]
                carried = first < start  # groups that begin before this chunk
                opened = rank < first[-1]  # before the group that the next chunk may continue
                a = coefficient[order[start:stop]].to(device)
                for k, ((layer, cut), gradient) in enumerate(zip(cuts, grads, strict=True)):
                    g = gradient.flatten(1)[:, cut].double()
                    if directions is not None and sizes[layer] <= SMALL:
                        projections[where] += _project(g, turned[k])
                    squares[where, layer] += g.square().sum(1)
                    h = g.mul_(a[:, None])
                    gram = h @ h.T
                    own = (gram * (earlier & same_group)).sum(1)
                    if bool(carried.any()):
                        own[carried] += h[carried] @ (running[k] - at_group[k])
                    inside[start:stop, layer] += own
                    between[start:stop, layer] += h @ running[k] + (gram * earlier).sum(1) - own
                    if first[-1] >= start:
                        at_group[k] = running[k] + opened.double() @ h
                    running[k] += h.sum(0)
    return Products(squares.cpu(), between.cpu(), inside.cpu(), projections.cpu())


def signs(directions: Sequence[int], parameter: int, size: int) -> Tensor:
    """A parameter's entries in directions of random signs, int8 `(d, size)`, a seed for each."""
    rows = [torch.zeros(0, size, dtype=torch.int8)]
    for seed in directions:
        generator = torch.Generator().manual_seed(seed + parameter)
        rows.append(torch.randint(2, (1, size), generator=generator, dtype=torch.int8) * 2 - 1)
    return torch.cat(rows)


def _project(gradients: Tensor, directions: Tensor) -> Tensor:
    """`(b, size)` on `(d, size)`, a few columns of the directions at a time."""
    pieces = zip(gradients.split(COLUMNS, 1), directions.split(COLUMNS, 1), strict=True)
    found = gradients.new_zeros(len(gradients), len(directions))
    for g, d in pieces:
        found += g @ d.to(g.dtype).T
    return found


@torch.no_grad()
def sequence_trace(
    model: nn.Module, population: Population, sequence: SequencePairs, coefficient: Tensor
) -> Tensor:
    """What the pairs of a sampling in `sequence` add to the trace, float64 `(layers,)`.

    One pass over the samples in its order, with one running sum of weighted gradients;
    `coefficient` float64 `(n,)` as for `products`.
    """
    sizes = [p.numel() for _, p in trainable(model)]
    running = [torch.zeros(size, dtype=torch.float64) for size in sizes]
    total = torch.zeros(len(sizes), dtype=torch.float64)
    with audit_mode(model):
        for start, grads in per_sample_gradients(model, population, sequence.order):
            here = slice(start, start + len(grads[0]))
            loss, gain, decay = (x[here] for x in (sequence.loss, sequence.gain, sequence.decay))
            recurrence = Recurrence(decay, gain)
            old, new = recurrence.left, recurrence.before
            a = coefficient[sequence.order[here]]
            for layer, gradient in enumerate(grads):
                h = a[:, None] * gradient.flatten(1).double().cpu()
                before = old[:-1] * (h @ running[layer]) + (new[:-1] * (h @ h.T)).sum(1)
                total[layer] -= 2 * float(loss @ before)
                running[layer] = old[-1] * running[layer] + new[-1] @ h
    return total


def covariance_trace(
    design: SecondOrder, products: Products, mean_mean: Tensor, sum_sum: Tensor, sum_mean: Tensor
) -> Tensor:
    """Exact trace of `Cov(g~)` by layer, float64 `(layers,)`; its sum is the whole trace.

    `products` belong to the design's coefficients and, if it has rank pairs, its ranking. The
    others are inner products by layer, `(layers,)`, of `E[g~] = sum_i p_i a_i g_i` with itself,
    of `sum_i a_i g_i` with itself, and of the two. Without the pairs of a
    sequence, which are those of `sequence_trace`.
    """
    p = design.inclusion[:, None]
    squares = products.squares * design.coefficient.square()[:, None]
    trace = (p * squares).sum(0) - mean_mean
    trace += design.constant * (sum_sum - squares.sum(0))
    trace += 2 * design.linear * (sum_mean - (p * squares).sum(0))
    trace += design.product * (mean_mean - (p * p * squares).sum(0))
    if design.pairs is not None:
        between = design.pairs.between[:, None] * products.between
        within = design.pairs.within[:, None] * products.within
        trace += 2 * design.pairs_factor * (between + within).sum(0)
    return trace
