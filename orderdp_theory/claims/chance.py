"""Exact tail probabilities: binomial as rationals, hypergeometric as enclosures."""

from fractions import Fraction
from math import comb

from flint import arb, ctx

BITS = 192


def binomial_tail(trials: int, chance: Fraction, at_least: int) -> Fraction:
    """P(X ≥ at_least) for X binomial."""
    return sum(
        (
            comb(trials, k) * chance**k * (1 - chance) ** (trials - k)
            for k in range(max(0, at_least), trials + 1)
        ),
        Fraction(0),
    )


def hypergeometric_tail(population: int, marked: int, draws: int, at_least: int) -> arb:
    """P(X ≥ at_least), X the marked ones among draws without replacement, enclosed.

    The first term by log-gamma, the next by their rational ratios, all in ball arithmetic.
    """
    lowest, highest = max(0, draws - (population - marked)), min(marked, draws)
    first = max(at_least, lowest)
    if first > highest:
        return arb(0)
    with ctx.workprec(BITS):
        term = (
            _log_choose(marked, first)
            + _log_choose(population - marked, draws - first)
            - _log_choose(population, draws)
        ).exp()
        total = term
        for k in range(first, highest):
            term *= arb((marked - k) * (draws - k)) / (
                (k + 1) * (population - marked - draws + k + 1)
            )
            total += term
        return total


def _log_choose(n: int, k: int) -> arb:
    return arb(n + 1).lgamma() - arb(k + 1).lgamma() - arb(n - k + 1).lgamma()
