"""Inclusion probabilities of a design as rational numbers."""

from fractions import Fraction
from itertools import accumulate
from math import comb, lgamma, log

from orderdp_theory.arguments import checked, require_design
from orderdp_theory.common.limits import require_at_most, require_room
from orderdp_theory.design import Design

LARGEST = 10**6


@checked
def inclusion_probabilities_exact(design: Design) -> list[Fraction]:
    """gamma_1, ..., gamma_n as exact fractions (Eq. 3), for n up to a few thousand in seconds.

    For q < s, C(n, s) (gamma_j - gamma_{j+1}) = C(j-1, q-1) C(n-j-1, s-q-1) on
    q <= j <= n - s + q and zero elsewhere. These integers follow one from another, and the
    numerators over C(n, s) are their tail sums.

    Example:
        >>> [str(p) for p in inclusion_probabilities_exact(Design(10, 5, 3))]
        ['1/2', '1/2', '1/2', '10/21', '5/12', '9/28', '17/84', '1/12', '0', '0']
    """
    require_design(design)
    n, s, q = design.n, design.s, design.q
    require_at_most("n", n, LARGEST, "rational numbers are made one by one")
    if q == s:
        return [Fraction(s, n)] * n
    bits = (lgamma(n + 1) - lgamma(s + 1) - lgamma(n - s + 1)) / log(2)
    # Terms, sums, numerators and fractions; with s in proportion to n all of them grow like n^2.
    require_room("n", n, 4 * (n - s + q) * (bits / 8 + 50) / n**2, power=2)
    terms = [comb(n - q - 1, s - q - 1)]
    for j in range(q, n - s + q):
        terms.append(terms[-1] * (j * (n - s + q - j)) // ((j - q + 1) * (n - j - 1)))
    numerators = list(accumulate(reversed(terms)))[::-1]
    total = comb(n, s)
    gamma = [Fraction(numerator, total) for numerator in numerators]
    return [gamma[0]] * (q - 1) + gamma + [Fraction(0)] * (s - q)
