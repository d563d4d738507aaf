"""Inclusion probabilities of a design as rational numbers."""

from fractions import Fraction
from itertools import accumulate
from math import comb

from orderdp_theory.arguments import require_design
from orderdp_theory.design import Design


def inclusion_probabilities_exact(design: Design) -> list[Fraction]:
    """gamma_1, ..., gamma_n as exact fractions (Eq. 3), for n up to a few thousand in seconds.

    For q < s, C(n, s) (gamma_j - gamma_{j+1}) = C(j-1, q-1) C(n-j-1, s-q-1) on
    q <= j <= n - s + q and zero elsewhere. These integers follow one from another, and the
    numerators over C(n, s) are their tail sums.
    """
    require_design(design)
    n, s, q = design.n, design.s, design.q
    if q == s:
        return [Fraction(s, n)] * n
    terms = [comb(n - q - 1, s - q - 1)]
    for j in range(q, n - s + q):
        terms.append(terms[-1] * (j * (n - s + q - j)) // ((j - q + 1) * (n - j - 1)))
    numerators = list(accumulate(reversed(terms)))[::-1]
    total = comb(n, s)
    gamma = [Fraction(numerator, total) for numerator in numerators]
    return [gamma[0]] * (q - 1) + gamma + [Fraction(0)] * (s - q)
