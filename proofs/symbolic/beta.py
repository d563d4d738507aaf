"""The Beta identity and the derivative of γ(z) (Proposition 2, its second half)."""

import sympy
from sympy import Expr, Integer, factorial

from .certificate import Certificate, Obligation, Witness
from .notation import LIMIT, at, l, q, s, z

WITNESS: Witness = {
    "H(l)": factorial(s)
    / (factorial(l - 2) * factorial(s - l))
    * z ** (l - 2)
    * (1 - z) ** (s - l),
}


def _beta_density() -> Expr:
    constant = factorial(s - 1) / (factorial(q - 1) * factorial(s - q - 1))
    return constant * z ** (q - 1) * (1 - z) ** (s - q - 1)


def _obligations(witness: Witness) -> tuple[Obligation, ...]:
    antidifference = witness["H(l)"]
    return (
        Obligation(
            "d/dz of the l-th summand of γ(z) is H(l) − H(l+1)",
            ((sympy.diff(LIMIT, z), antidifference - at(antidifference, (l, l + 1))),),
            "2 <= l <= s - 1",
        ),
        Obligation(
            "lower boundary H(1) = 0",
            ((at(antidifference, (l, 1)), Integer(0)),),
            "1 <= s",
        ),
        Obligation(
            "upper boundary H(q+1) = s · density of Beta(q, s−q)",
            ((at(antidifference, (l, q + 1)), s * _beta_density()),),
            "1 <= q <= s - 1",
        ),
        Obligation(
            "γ(0) = s: the summand l = 1 is s at z = 0, the others contain a factor z",
            ((at(LIMIT, (l, 1), (z, 0)), s),),
            "1 <= s",
        ),
    )


BETA = Certificate(
    name="beta-identity",
    statement="for q < s: γ′(z) = −s · z^(q−1) (1−z)^(s−q−1)/B(q, s−q), so "
    "γ(z) = s (1 − I_z(q, s−q))",
    source="Proposition 2 and Eq. 16, whose statement misprints Beta(q, s−q)",
    witness=WITNESS,
    obligations=_obligations,
    logic=(
        "Summing over l = 1 … q telescopes: γ′(z) = H(1) − H(q+1).",
        "γ(1) = 0, since each summand with l ≤ q < s contains a factor 1 − z. So the density "
        "integrates to (γ(0) − γ(1))/s = 1: its constant is 1/B(q, s−q) with no appeal to Euler's "
        "integral, and 1 − γ(z)/s is the distribution function of Beta(q, s−q).",
    ),
)
