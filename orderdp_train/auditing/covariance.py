"""Per-sample gradients, streamed: squared norms, prefix products, projections, covariances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from orderdp_theory import Ranking
from orderdp_train.auditing.population import Population
from orderdp_train.auditing.walk import audit_mode, trainable
from orderdp_train.rules.pairs import SecondOrder, Sequence

CHUNK_BYTES = 2**28


@dataclass(frozen=True)
class Products:
    """Inner products of weighted per-sample gradients ``h_i = a_i g_i``, layer by layer, float64.

    ``squares`` ``(n, layers)`` in input order: ``|h_i|²``. In rank order of a ranking, ``between``
    ``(n, layers)``: ``h_k`` with the sum of all ``h_j`` of earlier tie groups; ``within``: with the
    earlier ones of its own group. ``projections`` ``(n, d)`` in input order: ``g_i`` (not ``h_i``)
    on given directions.
    """

    squares: Tensor
    between: Tensor
    within: Tensor
    projections: Tensor


def per_sample_gradients(
    model: nn.Module, population: Population, order: Tensor, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[tuple[int, list[Tensor]]]:
    """Yield ``(start, gradients)`` for consecutive chunks of ``order``, a tensor a parameter.

    Each tensor is ``(chunk, *parameter.shape)``. The model has to be in :func:`audit_mode`. Chunks
    are as long as fit into ``chunk_bytes``.
    """
    named = dict(trainable(model))
    state = {name: p.detach() for name, p in named.items()}
    size = sum(p.numel() * p.element_size() for p in state.values())
    chunk = max(1, min(64, chunk_bytes // size))

    def loss(values: dict[str, Tensor], inputs: Tensor, target: Tensor) -> Tensor:
        outputs = functional_call(model, values, (inputs.unsqueeze(0),))
        return population.loss(outputs, target.unsqueeze(0)).squeeze(0)

    gradient = vmap(grad(loss), in_dims=(None, 0, 0))
    start = 0
    for indices, batch in population.batches(order, chunk):
        grads = gradient(state, *batch)
        yield start, [grads[name] for name in named]
        start += len(indices)


@torch.no_grad()
def products(
    model: nn.Module,
    population: Population,
    ranking: Ranking,
    coefficient: Tensor,
    directions: Tensor | None = None,
) -> Products:
    """All :class:`Products` from one pass over the samples in rank order.

    ``coefficient`` float64 ``(n,)`` holds the ``a_i`` in input order, ``directions`` is ``(d, P)``.
    O(n P) time; memory for one chunk of per-sample gradients.
    """
    n = population.n
    order = torch.from_numpy(ranking.order)
    group_start = torch.from_numpy(ranking.starts[ranking.group_of_rank()])
    parameters = [p for _, p in trainable(model)]
    device = parameters[0].device
    sizes = [p.numel() for p in parameters]
    d = 0 if directions is None else len(directions)
    pieces = (
        None if directions is None else directions.to(device, torch.float64).split(sizes, dim=1)
    )
    squares, between, within = (
        torch.zeros(n, len(sizes), dtype=torch.float64, device=device) for _ in range(3)
    )
    projections = torch.zeros(n, d, dtype=torch.float64, device=device)
    running = [torch.zeros(size, dtype=torch.float64, device=device) for size in sizes]
    # The sum of everything before the tie group that a chunk begins in.
    at_group = [torch.zeros_like(r) for r in running]
    with audit_mode(model):
        for start, grads in per_sample_gradients(model, population, order):
            stop = start + len(grads[0])
            where, first = order[start:stop].to(device), group_start[start:stop].to(device)
            rank = torch.arange(start, stop, device=device)
            earlier = rank[None, :] < rank[:, None]
            same_group = rank[None, :] >= first[:, None]
            carried = first < start  # groups that begin before this chunk
            opened = rank < first[-1]  # samples before the group that the next chunk may continue
            a = coefficient[order[start:stop]].to(device)
            for layer, gradient in enumerate(grads):
                g = gradient.flatten(1).double()
                if pieces is not None:
                    projections[where] += g @ pieces[layer].T
                h = a[:, None] * g
                gram = h @ h.T
                own = (gram * (earlier & same_group)).sum(1)
                own[carried] += h[carried] @ (running[layer] - at_group[layer])
                squares[where, layer] = gram.diagonal()
                within[start:stop, layer] = own
                between[start:stop, layer] = h @ running[layer] + (gram * earlier).sum(1) - own
                if first[-1] >= start:
                    at_group[layer] = running[layer] + h[opened].sum(0)
                running[layer] += h.sum(0)
    return Products(squares.cpu(), between.cpu(), within.cpu(), projections.cpu())


@torch.no_grad()
def sequence_trace(
    model: nn.Module, population: Population, sequence: Sequence, coefficient: Tensor
) -> Tensor:
    """What the pairs of a sampling in ``sequence`` add to the trace, float64 ``(layers,)``.

    One pass over the samples in its order, with one running sum of weighted gradients;
    ``coefficient`` float64 ``(n,)`` as for :func:`products`.
    """
    sizes = [p.numel() for _, p in trainable(model)]
    running = [torch.zeros(size, dtype=torch.float64) for size in sizes]
    total = torch.zeros(len(sizes), dtype=torch.float64)
    with audit_mode(model):
        for start, grads in per_sample_gradients(model, population, sequence.order):
            here = slice(start, start + len(grads[0]))
            loss, gain, decay = (x[here] for x in (sequence.loss, sequence.gain, sequence.decay))
            # The running sum before sample l, and after all: old[l] * running + new[l] @ h.
            old, new = (
                torch.ones(len(loss) + 1).double(),
                torch.zeros(len(loss) + 1, len(loss)).double(),
            )
            for k in range(len(loss)):
                old[k + 1], new[k + 1] = decay[k] * old[k], decay[k] * new[k]
                new[k + 1, k] = gain[k]
            a = coefficient[sequence.order[here]]
            for layer, gradient in enumerate(grads):
                h = a[:, None] * gradient.flatten(1).double().cpu()
                before = old[:-1] * (h @ running[layer]) + (new[:-1] * (h @ h.T)).sum(1)
                total[layer] -= 2 * float(loss @ before)
                running[layer] = old[-1] * running[layer] + new[-1] @ h
    return total


def covariance_trace(
    design: SecondOrder, products: Products, mean: Tensor, sum_all: Tensor, sizes: list[int]
) -> Tensor:
    """Exact trace of ``Cov(g~)`` by layer, float64 ``(layers,)``; its sum is the whole trace.

    ``products`` belong to the design's coefficients and, if it has rank pairs, its ranking;
    ``mean`` ``(P,)`` is ``E[g~] = sum_i p_i a_i g_i`` and ``sum_all`` ``(P,)`` is ``sum_i a_i
    g_i``. Without the pairs of a sequence, which are those of :func:`sequence_trace`.
    """
    p = design.inclusion[:, None]
    squares = products.squares

    def by_layer(product: Tensor) -> Tensor:
        return torch.stack([part.sum() for part in product.cpu().split(sizes)])

    trace = (p * squares).sum(0) - by_layer(mean * mean)
    trace += design.constant * (by_layer(sum_all * sum_all) - squares.sum(0))
    trace += 2 * design.linear * (by_layer(sum_all * mean) - (p * squares).sum(0))
    trace += design.product * (by_layer(mean * mean) - (p * p * squares).sum(0))
    if design.pairs is not None:
        between = design.pairs.between[:, None] * products.between
        within = design.pairs.within[:, None] * products.within
        trace += 2 * design.pairs_factor * (between + within).sum(0)
    return trace
