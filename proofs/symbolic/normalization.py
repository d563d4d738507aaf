"""Σ_j C(j−1, l−1) C(n−j, s−l) = C(n, s), and so Σ_j γ_j = q."""

from sympy import Integer, binomial

from .certificate import Certificate, Obligation, Witness
from .notation import POSITION, at, j, l, n, s

WITNESS: Witness = {
    "R(n, j)": -(j - l) * (n - j + 1) / ((n + 1) * (n - j - s + l + 1)),
    "G(n, j)": -l * binomial(j - 1, l) * binomial(n - j + 1, s - l) / ((n + 1) * binomial(n, s)),
}


def _obligations(witness: Witness) -> tuple[Obligation, ...]:
    rational, antidifference = witness["R(n, j)"], witness["G(n, j)"]
    end = n - s + l + 1
    inside = "1 <= l <= s <= n and l <= j <= n - s + l"
    return (
        Obligation(
            "G = R·F on the support of F(n, ·), where F = C(j−1, l−1) C(n−j, s−l)/C(n, s)",
            ((antidifference, rational * POSITION),),
            inside,
        ),
        Obligation(
            "WZ equation F(n+1, j) − F(n, j) = G(n, j+1) − G(n, j)",
            (
                (
                    at(POSITION, (n, n + 1)) - POSITION,
                    at(antidifference, (j, j + 1)) - antidifference,
                ),
            ),
            inside,
        ),
        Obligation(
            "lower boundary G(n, l) = 0",
            ((at(antidifference, (j, l)), Integer(0)),),
            "1 <= l <= s <= n",
        ),
        Obligation(
            "upper boundary G(n, n−s+l+1) + F(n+1, n−s+l+1) = 0, where R has its pole",
            ((at(antidifference, (j, end)), -at(POSITION, (n, n + 1), (j, end))),),
            "1 <= l <= s <= n",
        ),
        Obligation(
            "base case n = s: the only summand, j = l, is 1",
            ((at(POSITION, (n, s), (j, l)), Integer(1)),),
            "1 <= l <= s",
        ),
    )


NORMALIZATION = Certificate(
    name="normalization",
    statement="Σ_j C(j−1, l−1) C(n−j, s−l) = C(n, s) for 1 ≤ l ≤ s ≤ n, hence Σ_j γ_j = q",
    source="Appendix D.2; a sum of Vandermonde's type, certified after Wilf and Zeilberger",
    witness=WITNESS,
    obligations=_obligations,
    logic=(
        "F(n, ·) vanishes outside l ≤ j ≤ n − s + l; write Σ(n) for its sum over these j.",
        "Summing the WZ equation there and adding F(n+1, n−s+l+1), the one rank that n + 1 has "
        "more, gives Σ(n+1) − Σ(n) = G(n, n−s+l+1) − G(n, l) + F(n+1, n−s+l+1) = 0.",
        "Induction on n from n = s gives Σ(n) = 1; summing over l = 1 … q gives Σ_j γ_j = q.",
    ),
)
