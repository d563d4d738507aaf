"""Random draws of the kept ranks."""

from math import ceil, sqrt

import numpy as np
from jaxtyping import Bool, Int64
from numpy.typing import NDArray

from orderdp_theory.arguments import checked, require_design
from orderdp_theory.common.arrays import Indices
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_at_most, require_room
from orderdp_theory.design import Design

_BLOCK = 2**18  # coins tossed at a time


@checked
def draw_ranks(
    design: Design, size: int, rng: np.random.Generator
) -> Int64[Indices, "{size} {design.q}"]:
    """Ranks kept in `size` independent draws: int64 `(size, q)`, 1-based, each row ascending.

    Only the candidates among the first m ranks are drawn, with m so large that q are hardly ever
    missed: their number c is hypergeometric, and given c they are a uniform c-subset of 1..m. A
    draw takes O(q log q) time, O(s) at the most. Exact up to the generator; NumPy's hypergeometric
    variates need n < 10^9.

    Example:
        >>> ranks = draw_ranks(Design(10, 5, 3), size=1000, rng=np.random.default_rng(0))
        >>> ranks.shape, int(ranks.max()) <= 8  # ranks 9 and 10 are never kept
        ((1000, 3), True)
    """
    require_design(design)
    if size < 0:
        raise InputError(f"size must not be negative, got {size}")
    require_at_most("n", design.n, 10**9 - 1, "NumPy's hypergeometric variates end there")
    require_room("size", size, 8 * design.q + 8)
    n, s, m = design.n, design.s, _enough(design)
    ranks = np.empty((size, design.q), dtype=np.int64)
    counts = rng.hypergeometric(m, n - m, s, size=size).tolist()
    if 20 * s <= n:  # where Generator.choice takes O(c) time, not O(m)
        for row, count in zip(ranks, counts, strict=True):
            candidates = rng.choice(m, count, replace=False, shuffle=False)
            _keep(row, np.sort(candidates), design, m, rng)
        return ranks
    step = max(1, _BLOCK // m)
    for start in range(0, size, step):
        rows = slice(start, start + step)
        subsets = _subsets(m, counts[rows], s / n, rng)
        for row, candidates in zip(ranks[rows], subsets, strict=True):
            _keep(row, np.flatnonzero(candidates), design, m, rng)
    return ranks


def _enough(design: Design) -> int:
    """Ranks that hold q candidates nearly always: 4 standard deviations above the mean of R.

    R, the largest kept rank, is the q-th order statistic of a uniform s-subset of 1..n.
    """
    n, s, q = design.n, design.s, design.q
    mean = q * (n + 1) / (s + 1)
    deviation = sqrt(mean * (s - q + 1) * (n - s) / ((s + 1) * (s + 2)))
    return min(ceil(mean + 4 * deviation), n)


def _keep(
    row: Int64[Indices, "q"],
    candidates: Int64[Indices, "c"],
    design: Design,
    m: int,
    rng: np.random.Generator,
) -> None:
    """Fill `row` with the q best ranks, given all candidates of rank up to m, 0-based, ascending.

    If there are fewer than q of them, the others are drawn from the ranks behind m.
    """
    found = min(candidates.size, row.size)
    np.add(candidates[:found], 1, out=row[:found])
    if found < row.size:
        behind = Design(design.n - m, design.s - found, design.q - found)
        row[found:] = m + draw_ranks(behind, 1, rng)[0]


def _subsets(
    m: int, sizes: list[int], p: float, rng: np.random.Generator
) -> Bool[NDArray[np.bool_], "{len(sizes)} {m}"]:
    """Masks `(rows, m)` of uniform subsets of m elements of the given sizes, about p m each.

    A coin for each element gives a subset of nearly the right size, and elements picked at random
    enter or leave until the size is right. No step tells elements apart, so all subsets of that
    size are equally likely, however coarse the coins.
    """
    subsets = _coins(len(sizes), m, p, rng)
    # Enough for most rows; one call for all of them takes a tenth of the time.
    enough = ceil(2 * sqrt(m / max(min(p, 1 - p), 1 / 256)))
    picks = rng.integers(m, size=(len(sizes), enough))
    for row, size, picked in zip(subsets, sizes, picks, strict=True):
        while surplus := int(np.count_nonzero(row)) - size:
            movable = picked[row[picked] == (surplus > 0)]
            row[movable[: abs(surplus)]] = surplus < 0
            if movable.size < abs(surplus):
                picked = rng.integers(m, size=enough)
    return subsets


def _coins(
    rows: int, m: int, p: float, rng: np.random.Generator
) -> Bool[NDArray[np.bool_], "{rows} {m}"]:
    """Independent coins `(rows, m)` with P(heads) = t / 2^b as close to p as matters.

    b random words of 64 fair coins give 64 such coins: a bit 0 of t halves the probability by
    AND, a bit 1 brings it half-way to 1 by OR, the most significant bit last.
    """
    noise = sqrt(p * (1 - p) / m)
    bits = next(b for b in range(1, 9) if b == 8 or abs(round(p * 2**b) / 2**b - p) <= noise)
    threshold = round(p * 2**bits)
    if threshold == 2**bits:
        return np.ones((rows, m), dtype=np.bool_)
    heads = np.zeros((rows, -(-m // 64)), dtype=np.uint64)
    for bit in range(bits):
        fair = rng.integers(2**64 - 1, size=heads.shape, dtype=np.uint64, endpoint=True)
        heads = heads | fair if threshold >> bit & 1 else heads & fair
    return np.unpackbits(heads.view(np.uint8), axis=1)[:, :m].view(np.bool_)
