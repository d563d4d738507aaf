"""Random draws of the kept ranks."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from orderdp_theory.design import Design

_BLOCK = 2**17  # coins tossed at a time


def draw_ranks(design: Design, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Ranks kept in `size` independent draws: int64 `(size, q)`, 1-based, each row ascending.

    The candidates themselves are never drawn: the largest kept rank R is the q-th order statistic
    of a uniform s-subset of 1..n, and given R the other kept ranks are a uniform (q-1)-subset of
    1..R-1. A draw takes O(q log q) time, O(s) at the most. Exact up to the generator; NumPy's
    hypergeometric variates need n < 10^9.
    """
    n, s, q = design.n, design.s, design.q
    ranks = np.empty((size, q), dtype=np.int64)
    ranks[:, -1] = [_order_statistic(design, rng) for _ in range(size)]
    if 20 * s <= n:  # where Generator.choice takes O(q) time, not O(R)
        for row in ranks:
            others = rng.choice(int(row[-1]) - 1, q - 1, replace=False, shuffle=False)
            row[:-1] = np.sort(others) + 1
    else:
        step = max(1, _BLOCK * s // (q * n))
        for start in range(0, size, step):
            _fill_by_coins(ranks[start : start + step], s / n, rng)
    return ranks


def _order_statistic(design: Design, rng: np.random.Generator) -> int:
    """The q-th smallest element of a uniform s-subset of 1..n.

    Splits the interval that holds it close to where it should be. How many of the interval's
    candidates fall into the lower part is hypergeometric and tells in which part to go on.
    """
    before, width, inside, place = 0, design.n, design.s, design.q
    while width > 1:
        lower = min(max(width * place // (inside + 1), 1), width - 1)
        below = int(rng.hypergeometric(lower, width - lower, inside))
        if place <= below:
            width, inside = lower, below
        else:
            before, width = before + lower, width - lower
            inside, place = inside - below, place - below
    return before + 1


def _fill_by_coins(ranks: NDArray[np.int64], p: float, rng: np.random.Generator) -> None:
    """Fill each row, whose last entry R is given, with a uniform subset of 1..R-1, ascending.

    A coin for each element gives a subset of nearly the right size, and elements picked at random
    enter or leave until the size is right. No step tells elements apart, so all subsets of that
    size are equally likely, however coarse the coins.
    """
    rows, q = ranks.shape
    kept = _coins(rows, int(ranks[:, -1].max()) + 1, p, rng)
    kept[:, 0] = False  # ranks count from 1
    for row, largest in zip(kept, ranks[:, -1].tolist(), strict=True):
        row[largest:] = False
        while surplus := int(np.count_nonzero(row)) - (q - 1):
            movable = q - 1 + surplus if surplus > 0 else largest - q - surplus
            picks = rng.integers(1, largest, size=abs(surplus) * largest // movable + 8)
            picks = picks[row[picks] == (surplus > 0)][: abs(surplus)]
            row[picks] = surplus < 0
        row[largest] = True
    offsets = np.arange(rows)[:, None] * kept.shape[1]
    np.subtract(np.flatnonzero(kept).reshape(rows, q), offsets, out=ranks)


def _coins(rows: int, m: int, p: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Independent coins, at least m a row, with P(heads) = t / 2^b as close to p as matters.

    b random words of 64 fair coins give 64 such coins: a bit 0 of t halves the probability by
    AND, a bit 1 brings it half-way to 1 by OR, the most significant bit last.
    """
    noise = sqrt(p * (1 - p) / m)
    bits = next(b for b in range(1, 9) if b == 8 or abs(round(p * 2**b) / 2**b - p) <= noise)
    threshold = min(round(p * 2**bits), 2**bits - 1)
    heads = np.zeros((rows, m // 64 + 1), dtype=np.uint64)
    for bit in range(bits):
        fair = rng.integers(2**64 - 1, size=heads.shape, dtype=np.uint64, endpoint=True)
        heads = heads | fair if threshold >> bit & 1 else heads & fair
    return np.unpackbits(heads.view(np.uint8), axis=1).view(np.bool_)
