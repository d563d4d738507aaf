"""Slow and plain versions of what the theory package computes, none of them sharing its code."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations, permutations, product
from math import comb

import numpy as np
from numpy.typing import NDArray

from orderdp_theory import Design


def kept_sets(design: Design) -> list[tuple[int, ...]]:
    """The kept ranks (1-based, ascending) of each of the C(n, s) equally likely candidate sets."""
    return [c[: design.q] for c in combinations(range(1, design.n + 1), design.s)]


def inclusion_by_enumeration(design: Design) -> list[Fraction]:
    """P(j kept) for j = 1..n, by counting candidate sets."""
    sets = kept_sets(design)
    return [Fraction(sum(j in kept for kept in sets), len(sets)) for j in range(1, design.n + 1)]


def joint_by_enumeration(design: Design) -> dict[tuple[int, int], Fraction]:
    """P(j and k kept) for all j < k, by counting candidate sets."""
    sets = kept_sets(design)
    return {
        (j, k): Fraction(sum(j in kept and k in kept for kept in sets), len(sets))
        for j, k in combinations(range(1, design.n + 1), 2)
    }


def inclusion_as_printed(design: Design, rank: int) -> Fraction:
    """gamma_j by the sum the paper prints (Eq. 3)."""
    n, s, q, j = design.n, design.s, design.q, rank
    terms = (
        comb(j - 1, position - 1) * comb(n - j, s - position)
        for position in range(max(1, s - n + j), min(q, j) + 1)
    )
    return Fraction(sum(terms), comb(n, s))


def naive_recurrence(design: Design) -> NDArray[np.float64]:
    """gamma by plain float64 products and sums from the mode outwards, for q < s."""
    n, s, q = design.n, design.s, design.q
    first, last = q, n - s + q
    mode = min(max((q - 1) * (n - 1) // max(s - 2, 1) + 1, first), last)
    j = np.arange(first, last, dtype=np.float64)
    ratio = j * (n - j - s + q) / ((j - q + 1) * (n - j - 1))
    up, down = np.cumprod(ratio[mode - first :]), np.cumprod(1 / ratio[: mode - first][::-1])
    tails = np.cumsum(np.concatenate([down[::-1], [1.0], up])[::-1])[::-1]
    gamma = np.zeros(n)
    gamma[: q - 1] = s / n
    gamma[q - 1 : last] = tails / tails[0] * (s / n)
    return gamma


def orders(losses: Sequence[float]) -> Iterator[tuple[int, ...]]:
    """All descending orders of the losses (0-based indices), one for each way to break ties."""
    groups = [
        [i for i, loss in enumerate(losses) if loss == value]
        for value in sorted(set(losses), reverse=True)
    ]
    for choice in product(*(permutations(group) for group in groups)):
        yield tuple(i for group in choice for i in group)


def estimator_values(
    gradients: NDArray, losses: Sequence[float], design: Design
) -> NDArray[np.float64]:
    """(1/q) sum_{i in Q} g_i for each candidate set and tie break; all rows equally likely."""
    return np.array(
        [
            gradients[[order[rank - 1] for rank in kept]].mean(axis=0)
            for order in orders(losses)
            for kept in kept_sets(design)
        ]
    )


def fight_by_fight(pi: Sequence[Fraction]) -> dict[tuple[int, ...], Fraction]:
    """Every outcome of Deville and Tillé's method and its probability: the first two samples that
    are undecided fight until one of them is decided, and so on."""
    law: dict[tuple[int, ...], Fraction] = defaultdict(Fraction)

    def go(values: tuple[Fraction, ...], probability: Fraction) -> None:
        open_ = [i for i, v in enumerate(values) if 0 < v < 1]
        if len(open_) < 2:
            law[tuple(i for i, v in enumerate(values) if v == 1)] += probability
            return
        i, j = open_[:2]
        total = values[i] + values[j]
        if total <= 1:
            wins, outcomes = values[i] / total, ((total, 0), (0, total))
        else:
            wins, outcomes = (1 - values[j]) / (2 - total), ((1, total - 1), (total - 1, 1))
        for chance, (first, second) in zip((wins, 1 - wins), outcomes, strict=True):
            if chance:
                new = list(values)
                new[i], new[j] = Fraction(first), Fraction(second)
                go(tuple(new), probability * chance)

    go(tuple(pi), Fraction(1))
    return dict(law)
