"""Does a rule's code have the expectation it states? A test with a stated false-alarm rate.

Call the code that training calls, many times, and compare, in three ways; the p-value is three
times the smallest of theirs, so a correct rule alarms at most as often as stated.

- *Directions.* A draw's statistic is the vector `t = (1/m) sum_k weights[k] * a[indices[k]]` of a
  few features `a` `(n, d)` of the samples, whose expectation the rule states: `sum_i w_i
  a_i`. Hotelling's T² of the draws' mean against it is exact for normal `t`. All features are
  bounded (signs and ranks), so that `t` has no heavy tail even where a selection is few samples.
- *Total weight.* The same in one dimension for `(1/m) sum_k weights[k]`, which a T² in many
  dimensions would drown; one that does not vary has to be what is stated, to rounding.
- *Samples.* If a sample has the same weight a_i whenever it is drawn, it is drawn with probability
  `w_i / a_i`, so its number of draws is binomial: an exact test, and the one that sees what
  happens always or never. Over n samples by Bonferroni.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from scipy import stats
from scipy.sparse import csr_array
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.rules import SelectionRule

# Of a rule, for a test in all directions that commands use.
LEAST_DRAWS = 50
DRAW = 500  # bytes of memory that a draw of a rule takes, the test of it included
# Draws are looked at so many selected samples at a time.
ENTRIES = 2**16
# A feature whose draws vary by less than this fraction of its size is taken as not random.
ROUNDING = 1e-6
# Directions of the draws' correlation matrix below this share of its largest are not random.
DEGENERATE = 1e-9


@dataclass(frozen=True)
class Agreement:
    """Outcome of the test: `p_value` under the hypothesis that the stated expectation is true.

    `z` is the two-sided normal deviate of the same p-value. `alarm` is `p_value < level`, so
    a correct rule raises it with probability `level` at most. `dimensions` counts the random
    directions.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> x, y = torch.randn(10, 3), torch.arange(10) % 2
        >>> data = Population(10, lambda indices: (x[indices], y[indices]))
        >>> (rule,) = audit(torch.nn.Linear(3, 2), data, {"random": RandomSubset(10, 4)}).rules
        >>> rule.agreement.draws, rule.agreement.alarm
        (400, False)
    """

    draws: int
    dimensions: int
    p_value: float
    z: float
    level: float
    alarm: bool


@dataclass(frozen=True)
class Draws:
    """Many selections of one rule: statistics `(draws, d)`.

    `totals` `(draws,)` are the sums of weights, `counts` `(n,)` how often each sample was
    drawn, `smallest` and `largest` `(n,)` its weights then (infinite if never); all weights
    are divided by the size of their selection. `kept` is the mean of that size.
    """

    statistics: Float64[Tensor, "draws d"]
    totals: Float64[Tensor, "draws"]
    counts: Int64[Tensor, "n"]
    smallest: Float64[Tensor, "n"]
    largest: Float64[Tensor, "n"]
    kept: float


Drawn = tuple[Int64[Tensor, "_"], Int64[Tensor, "_"], Float64[Tensor, "_"]]
"""Sizes of some selections, and their samples and weights, each divided by the size, on the CPU.

Several of these are of several lengths, so that their shapes have no names.
"""


def selections(rule: SelectionRule, draws: int, generator: torch.Generator) -> Iterator[Drawn]:
    """Call `rule.select` `draws` times; at least `ENTRIES` samples together, but for the last.

    Raises `ValueError` if the rule returns something that is not a selection.
    """
    some: list[tuple[Tensor, Tensor]] = []
    entries = 0
    for _ in range(draws):
        indices, weights = rule.select(generator)
        m = len(indices)
        if m == 0 or weights.shape != (m,) or indices.ndim != 1:
            raise InputError(
                f"{type(rule).__name__}.select gave indices {tuple(indices.shape)} and weights "
                f"{tuple(weights.shape)}; both must be (m,) with m at least 1"
            )
        some.append((indices, weights))
        entries += m
        if entries >= ENTRIES:
            yield _joined(rule, some)
            some, entries = [], 0
    if some:
        yield _joined(rule, some)


def _joined(rule: SelectionRule, some: list[tuple[Tensor, Tensor]]) -> Drawn:
    sizes = torch.tensor([len(indices) for indices, _ in some])
    indices = torch.cat([indices for indices, _ in some]).cpu()
    low, high = indices.aminmax()
    if low < 0 or high >= rule.n:
        raise InputError(f"{type(rule).__name__}.select gave an index outside 0..{rule.n - 1}")
    weights = torch.cat([weights for _, weights in some]).to("cpu", torch.float64)
    return sizes, indices, weights / sizes.repeat_interleave(sizes)


def drawn_of(n: int, drawn: Iterable[Drawn], features: Float64[Tensor, "{n} d"]) -> Draws | None:
    """The statistics of selections of n samples; None without any, `ValueError` for one.

    `features` is float64 `(n, d)` on the CPU.
    """
    counts = torch.zeros(n, dtype=torch.int64)
    smallest, largest = torch.full((2, n), math.inf, dtype=torch.float64)
    largest.neg_()
    totals, statistics, kept = [], [], 0
    for sizes, indices, weights in drawn:
        counts += torch.bincount(indices, minlength=n)
        smallest.scatter_reduce_(0, indices, weights, "amin")
        largest.scatter_reduce_(0, indices, weights, "amax")
        starts = np.concatenate([[0], sizes.cumsum(0).numpy()])
        by_draw = csr_array((weights.numpy(), indices.numpy(), starts), shape=(len(sizes), n))
        totals.append(by_draw.sum(1))
        statistics.append(by_draw @ features.numpy())
        kept += len(indices)
    if not totals:
        return None
    total = torch.from_numpy(np.concatenate(totals))
    if len(total) < 2:
        raise InputError("the test needs at least two draws to see a variance, got 1")
    found = torch.from_numpy(np.concatenate(statistics))
    return Draws(found, total, counts, smallest, largest, kept / len(total))


def mean_weights(n: int, drawn: Iterable[Drawn]) -> Float64[Tensor, "{n}"]:
    """The mean weight of each sample over selections, each divided by its size."""
    mean, count = torch.zeros(n, dtype=torch.float64), 0
    for sizes, indices, weights in drawn:
        mean.index_add_(0, indices, weights)
        count += len(sizes)
    return mean / count


def contrasts(
    order: Int64[Tensor, "n"], generator: torch.Generator | None, count: int = 8
) -> Float64[Tensor, "n features"]:
    """Features of the samples without gradients, float64 `(n, count + 2)`.

    A constant (do the weights add up?), the rank (do high losses get what is stated?) and random
    signs (does any part of the population?). `order` `(n,)` lists the samples by rank. Without
    a generator there is nothing to test and there are no features.
    """
    n = len(order)
    if generator is None:
        return torch.zeros(n, 0, dtype=torch.float64)
    signs = torch.randint(2, (n, count), generator=generator).double() * 2 - 1
    constant = torch.ones(n, 1, dtype=torch.float64)
    return torch.cat([constant, _by_rank(order[:, None]), signs], 1)


def ranks(values: Float[Tensor, "n d"]) -> Float64[Tensor, "n d"]:
    """Features from any others `(n, d)`: each column's ranks, evenly spaced in [-1/2, 1/2]."""
    return _by_rank(values.argsort(0))


def _by_rank(order: Tensor) -> Tensor:
    n = len(order)
    spaced = torch.linspace(-0.5, 0.5, n, dtype=torch.float64)[:, None].expand(order.shape)
    return torch.empty(order.shape, dtype=torch.float64).scatter_(0, order, spaced)


def agreement(
    draws: Draws, features: Float64[Tensor, "n d"], weights: Float64[Tensor, "n"], level: float
) -> Agreement:
    """Test the draws against the stated `weights` `(n,)` at false-alarm rate `level`.

    Raises `ValueError` for fewer draws than twice the random directions.
    """
    dimensions, directions = _directions(draws, features, weights)
    p_values = directions, _total(draws, weights), _samples(draws, weights)
    p_value = min(1.0, len(p_values) * min(p_values))
    z = float(stats.norm.isf(max(p_value, 1e-300) / 2))
    return Agreement(len(draws.totals), dimensions, p_value, z, level, p_value < level)


def _directions(draws: Draws, features: Tensor, weights: Tensor) -> tuple[int, float]:
    """How many random directions there are, and the p-value of Hotelling's T² in them."""
    stated = weights @ features
    count = len(draws.statistics)
    # Rounding of a weighted sum is relative to the sum of absolute values.
    size = (weights.abs() @ features.abs()).clamp_min(1e-300)
    error = (draws.statistics.mean(0) - stated) / size
    centred = (draws.statistics - draws.statistics.mean(0)) / size
    random = centred.std(0) > ROUNDING
    if int(random.sum()) * 2 > count:
        raise InputError(
            f"{count} draws cannot test {int(random.sum())} directions; take more than twice that"
        )
    if not bool(random.any()):
        return 0, 1.0
    spread = centred[:, random].std(0)
    scaled = centred[:, random] / spread
    values, vectors = torch.linalg.eigh(scaled.T @ scaled / (count - 1))
    keep = values > DEGENERATE * values[-1]
    rotated = ((error[random] / spread) @ vectors)[keep]
    d = int(keep.sum())
    t_squared = count * float((rotated**2 / values[keep]).sum())
    return d, float(stats.f.sf(t_squared * (count - d) / (d * (count - 1)), d, count - d))


def _total(draws: Draws, weights: Tensor) -> float:
    """The p-value of Student's t of the total weight; exact, 0 or 1, where it does not vary."""
    count, size = len(draws.totals), float(weights.abs().sum())
    error = float(draws.totals.mean() - weights.sum())
    spread = float(draws.totals.std())
    if spread <= ROUNDING * size:
        return float(abs(error) <= ROUNDING * size)
    return 2 * float(stats.t.sf(abs(error) / spread * math.sqrt(count), count - 1))


def _samples(draws: Draws, weights: Tensor) -> float:
    """`n` times the smallest p-value of a sample's number of draws.

    A sample that was never drawn would have had at most the largest weight seen. 1, no test, for a
    rule that weights a sample differently from draw to draw.
    """
    seen = draws.counts > 0
    low, high = draws.smallest[seen], draws.largest[seen]
    if bool((low <= 0).any()) or bool((high - low > ROUNDING * high).any()):
        return 1.0
    count, n = len(draws.totals), len(weights)
    weight = torch.where(seen, draws.largest, high.max())
    # Weights are of single precision, so what is certain may seem to be a little less or more.
    slack = ROUNDING * torch.tensor([1.0, -1.0], dtype=torch.float64)[:, None]
    most, least = ((weights / weight) * (1 + slack)).clamp(0, 1).numpy()
    often = draws.counts.numpy()
    too_many = stats.binom.sf(often - 1, count, most)
    too_few = stats.binom.cdf(often, count, least)
    return min(1.0, 2 * n * float(min(too_many.min(), too_few.min())))
