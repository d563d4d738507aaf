"""Random draws of the kept ranks."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from orderdp_theory.design import Design


def draw_ranks(design: Design, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Ranks kept in `size` independent draws: int64 `(size, q)`, 1-based, each row ascending.

    The candidates themselves are never drawn: the largest kept rank R is the q-th order statistic
    of a uniform s-subset of 1..n, and given R the other kept ranks are a uniform (q-1)-subset of
    1..R-1. A draw takes O(q log q) time, O(s) at the most. Exact up to the generator; NumPy's
    hypergeometric variates need n < 10^9.
    """
    ranks = np.empty((size, design.q), dtype=np.int64)
    for row in ranks:
        row[-1] = _order_statistic(design, rng)
        row[:-1] = _uniform_subset(int(row[-1]) - 1, design.q - 1, rng)
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


def _uniform_subset(m: int, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A uniform k-subset of 1..m, ascending.

    If it is dense, one coin for each element gives a subset of nearly the right size, and elements
    picked at random enter or leave until the size is right. No step tells elements apart, so every
    k-subset is equally likely, however coarse the coins.
    """
    if 20 * k <= m:  # where Generator.choice costs O(k), not O(m)
        return np.sort(rng.choice(m, k, replace=False, shuffle=False)) + 1
    chosen = _coins(m + 1, k / m, rng)
    chosen[0] = False  # elements count from 1
    while surplus := int(np.count_nonzero(chosen)) - k:
        wrong, movable = (True, k + surplus) if surplus > 0 else (False, m - k - surplus)
        picks = rng.integers(1, m + 1, size=abs(surplus) * m // movable + 8)
        picks = picks[chosen[picks] == wrong][: abs(surplus)]
        chosen[picks] = not wrong
    return np.flatnonzero(chosen)


def _coins(m: int, p: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """m independent coins whose probability t / 2^b of heads is about p, as close as matters.

    b random words of 64 fair coins give 64 such coins: a bit 0 of t halves the probability by
    AND, a bit 1 brings it half-way to 1 by OR, the most significant bit last.
    """
    noise = sqrt(p * (1 - p) / m)
    bits = next(b for b in range(1, 9) if b == 8 or abs(round(p * 2**b) / 2**b - p) <= noise)
    threshold = min(round(p * 2**bits), 2**bits - 1)
    heads = np.zeros(m // 64 + 1, dtype=np.uint64)
    for bit in range(bits):
        fair = rng.integers(2**64 - 1, size=heads.size, dtype=np.uint64, endpoint=True)
        heads = heads | fair if threshold >> bit & 1 else heads & fair
    return np.unpackbits(heads.view(np.uint8), count=m).view(np.bool_)
