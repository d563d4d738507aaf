"""Does a rule's code have the expectation it states? A test with a stated false-alarm rate.

Call the code that training calls, many times, and compare. A draw's statistic is the vector ``t =
(1/m) sum_k weights[k] * a[indices[k]]`` of a few features ``a`` ``(n, d)`` of the samples, whose
expectation the rule states: ``sum_i w_i a_i``. Hotelling's T² of the draws' mean against it is
exact for normal ``t``, and ``t`` is an average over a whole selection.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.rules import SelectionRule

# A feature whose draws vary by less than this fraction of its size is taken as not random.
ROUNDING = 1e-6
# Directions of the draws' correlation matrix below this share of its largest are not random.
DEGENERATE = 1e-9


@dataclass(frozen=True)
class Agreement:
    """Outcome of the test: ``p_value`` under the hypothesis that the stated expectation is true.

    ``z`` is the two-sided normal deviate of the same p-value. ``alarm`` is ``p_value < level``, so
    a correct rule raises it with probability ``level``. ``dimensions`` counts the random
    directions; those without variance must match to rounding, and ``p_value`` is 0 if they do not.
    """

    draws: int
    dimensions: int
    p_value: float
    z: float
    level: float
    alarm: bool


@dataclass(frozen=True)
class Draws:
    """Many selections of one rule: statistics ``(draws, d)``, mean weight of each sample ``(n,)``.

    ``kept`` is the mean number of samples in a selection.
    """

    statistics: Tensor
    weights: Tensor
    kept: float


def draw(rule: SelectionRule, features: Tensor, draws: int, generator: torch.Generator) -> Draws:
    """Call ``rule.select`` ``draws`` times; ``features`` is float64 ``(n, d)`` on the CPU.

    Raises ``ValueError`` if the rule returns something that is not a selection.
    """
    if draws < 2:
        raise InputError(f"the test needs at least two draws to see a variance, got {draws}")
    n = rule.n
    mean = torch.zeros(n, dtype=torch.float64)
    statistics = torch.empty(draws, features.shape[1], dtype=torch.float64)
    kept = 0
    for r in range(draws):
        indices, weights = rule.select(generator)
        indices, weights = indices.cpu(), weights.to("cpu", torch.float64)
        m = len(indices)
        if m == 0 or weights.shape != (m,) or indices.ndim != 1:
            raise InputError(
                f"{type(rule).__name__}.select gave indices {tuple(indices.shape)} and weights "
                f"{tuple(weights.shape)}; both must be (m,) with m at least 1"
            )
        if int(indices.min()) < 0 or int(indices.max()) >= n:
            raise InputError(f"{type(rule).__name__}.select gave an index outside 0..{n - 1}")
        weights = weights / m
        mean.index_add_(0, indices, weights / draws)
        statistics[r] = weights @ features[indices]
        kept += m
    return Draws(statistics, mean, kept / draws)


def contrasts(order: Tensor, generator: torch.Generator | None, count: int = 8) -> Tensor:
    """Features of the samples without gradients, float64 ``(n, count + 2)``.

    A constant (do the weights add up?), the rank (do high losses get what is stated?) and random
    signs (does any part of the population?). ``order`` ``(n,)`` lists the samples by rank. Without
    a generator there is nothing to test and there are no features.
    """
    n = len(order)
    if generator is None:
        return torch.zeros(n, 0, dtype=torch.float64)
    signs = torch.randint(2, (n, count), generator=generator).double() * 2 - 1
    ranks = torch.empty(n, dtype=torch.float64)
    ranks[order] = torch.linspace(-0.5, 0.5, n, dtype=torch.float64)
    return torch.cat([torch.ones(n, 1, dtype=torch.float64), ranks[:, None], signs], 1)


def agreement(draws: Draws, features: Tensor, weights: Tensor, level: float) -> Agreement:
    """Test the draws against the stated ``weights`` ``(n,)`` at false-alarm rate ``level``.

    Raises ``ValueError`` for fewer draws than twice the random directions.
    """
    stated = weights @ features
    count = len(draws.statistics)
    # Rounding of a weighted sum is relative to the sum of absolute values.
    size = (weights.abs() @ features.abs()).clamp_min(1e-300)
    error = (draws.statistics.mean(0) - stated) / size
    centred = (draws.statistics - draws.statistics.mean(0)) / size
    random = centred.std(0) > ROUNDING
    exact = bool((error[~random].abs() <= ROUNDING).all())
    dimensions, p_value = 0, 1.0
    if int(random.sum()) * 2 > count:
        raise InputError(
            f"{count} draws cannot test {int(random.sum())} directions; take more than twice that"
        )
    if bool(random.any()):
        spread = centred[:, random].std(0)
        values, vectors = torch.linalg.eigh(
            (centred[:, random] / spread).T @ (centred[:, random] / spread) / (count - 1)
        )
        rotated = (error[random] / spread) @ vectors
        keep = values > DEGENERATE * values[-1]
        exact &= bool((rotated[~keep].abs() <= ROUNDING / spread.min()).all())
        dimensions = int(keep.sum())
        t_squared = count * float((rotated[keep] ** 2 / values[keep]).sum())
        p_value = float(
            stats.f.sf(
                t_squared * (count - dimensions) / (dimensions * (count - 1)),
                dimensions,
                count - dimensions,
            )
        )
    p_value = p_value if exact else 0.0
    z = float(stats.norm.isf(max(p_value, 1e-300) / 2))
    return Agreement(count, dimensions, p_value, z, level, p_value < level)
