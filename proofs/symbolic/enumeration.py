"""Averages over all candidate sets of a small design, with symbolic per-sample gradients."""

from collections.abc import Iterator
from itertools import combinations

import sympy
from sympy import Expr, Rational, Symbol


def designs(largest: int) -> Iterator[tuple[int, int, int]]:
    """All (n, s, q) with 1 ≤ q ≤ s ≤ n ≤ largest."""
    for n in range(1, largest + 1):
        for s in range(1, n + 1):
            for q in range(1, s + 1):
                yield n, s, q


def gradients(n: int) -> tuple[Symbol, ...]:
    """g1 … gn, the gradients in rank order."""
    return sympy.symbols(f"g1:{n + 1}")


def kept_sets(n: int, s: int, q: int) -> list[tuple[int, ...]]:
    """Q(S) as 0-based ranks, one entry for each of the C(n, s) equally likely candidate sets S."""
    return [drawn[:q] for drawn in combinations(range(n), s)]


def mean(values: list[Expr]) -> Expr:
    """The average of equally likely values."""
    return Rational(1, len(values)) * sympy.Add(*values)
