"""Inclusion probabilities of a design as rational numbers."""

from fractions import Fraction
from itertools import accumulate
from math import comb

from orderdp_theory.design import Design


def inclusion_probabilities_exact(design: Design) -> list[Fraction]:
    """gamma_1, ..., gamma_n as exact fractions, for n up to a few thousand in seconds."""
    n, s, q = design.n, design.s, design.q
    if q == s:
        return [Fraction(s, n)] * n
    total = comb(n, s)
    pmf = [comb(j - 1, q - 1) * comb(n - j - 1, s - q - 1) for j in range(1, n)]
    tails = list(accumulate(reversed(pmf), initial=0))[::-1]
    return [Fraction(tail, total) for tail in tails]
