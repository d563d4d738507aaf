"""Dataset pruning by bounded parameter influence."""

import math

import numpy as np
import torch
from jaxtyping import Int64, Integer, Real
from numpy.typing import NDArray
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.rules.base import check_generator
from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import Array, finite_matrix
from orderdp_train.scores._balance import select_by_class
from orderdp_train.scores._influence import DAMPING, parameter_influences
from orderdp_train.scores.recording import Recording
from orderdp_train.scores.static_rule import StaticRule

# The temperature falls over the course to this fraction of the typical change of a swap.
COLDEST = 1e-6
# Of a last layer whose Hessian is factorised: half a minute, and 128 MiB.
MOST_PARAMETERS = 4096


def dataset_pruning(
    influences: Real[Array, "n d"],
    k: int,
    generator: torch.Generator,
    *,
    classes: Integer[Array, "n"] | None = None,
    sweeps: int = 50,
) -> Int64[Tensor, "{k}"]:
    """The k samples that stay, int64 `(k,)` ascending, when the least influential set is pruned.

    Cardinality-guaranteed dataset pruning: minimise |sum_{i pruned} influences_i|_2, to first order
    the distance that the parameters move when the n - k others are left out *together*, by
    simulated annealing over swaps of a kept and a pruned sample: the temperature falls
    geometrically from the root mean square change of a random swap.

    Args:
        influences: `(n, d)`, the move of the parameters without each sample; see
            `parameter_influences`.
        classes: labels `(n,)`; then the pruned set of each class is balanced by itself.
        sweeps: swaps proposed for each sample, >= 1.

    Source: Yang et al. (2023), with their solver, which guarantees no optimum. Cost
    O(sweeps n d) time, O(n d) memory, on the CPU, since swaps go one by one.

    Example:
        >>> moves = np.array([[3.0], [-3.0], [2.0], [0.5]])
        >>> dataset_pruning(moves, 2, torch.Generator().manual_seed(0)).tolist()  # out: 3 - 3 = 0
        [2, 3]
    """
    check_generator(generator)
    x = finite_matrix(influences, "influences")
    if sweeps < 1:
        raise InputError(f"annealing needs at least one sweep, got {sweeps}")
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    draws = np.random.default_rng(seed)

    def select(rows: Tensor, budget: int) -> Tensor:
        points = x[rows.to(x.device)].cpu().numpy()
        return torch.from_numpy(_annealed(points, budget, draws, sweeps))

    return select_by_class(len(x), k, classes, select)


def _annealed(
    points: NDArray[np.float64], k: int, draws: np.random.Generator, sweeps: int
) -> NDArray[np.int64]:
    """The best set of k that the chain has met, ascending."""
    n = len(points)
    order = draws.permutation(n)
    if k == n:
        return np.sort(order)
    total = points[order[k:]].sum(0)
    best, least = order[:k].copy(), float(total @ total)
    some = order[draws.integers(k, size=1000)], order[draws.integers(k, n, size=1000)]
    moves = points[some[0]] - points[some[1]]
    changes = 2 * moves @ total + np.einsum("ij,ij->i", moves, moves)
    hottest = math.sqrt(float(np.mean(changes**2)))
    for sweep in range(sweeps):
        kept, pruned = draws.integers(k, size=n), draws.integers(k, n, size=n)
        temperatures = hottest * COLDEST ** ((sweep + np.arange(n) / n) / sweeps)
        # Accepted if change <= T x, x exponential: with probability min(1, exp(-change / T)).
        limits = temperatures * draws.standard_exponential(n)
        for a, b, limit in zip(kept, pruned, limits, strict=True):
            move = points[order[a]] - points[order[b]]
            if move @ (total + total + move) <= limit:
                total += move
                order[a], order[b] = order[b], order[a]
                if (size := float(total @ total)) < least:
                    best, least = order[:k].copy(), size
    return np.sort(best)


@register
class DatasetPruning(StaticRule):
    """`dataset_pruning` by the parameter influences on the proxy's last layer.

    Where that layer is large, its inputs are reduced to their principal components first.
    """

    name, label = "dataset-pruning", "dataset pruning"

    def subset(
        self, recording: Recording, k: int, classes: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        layer = recording.last_layer
        reduced = layer.reduced(MOST_PARAMETERS // layer.logits.shape[1] - 1)
        return dataset_pruning(
            parameter_influences(reduced, DAMPING), k, generator, classes=classes
        )
