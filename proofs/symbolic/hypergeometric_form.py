"""γ_j = (s/n) P(X ≤ q−1) with X hypergeometric."""

from sympy import binomial

from .certificate import Certificate, Obligation, Witness
from .notation import POSITION, at, j, k, l, n, s

WITNESS: Witness = {
    "P(X = k)": binomial(j - 1, k) * binomial(n - j, s - 1 - k) / binomial(n - 1, s - 1),
}


def _obligations(witness: Witness) -> tuple[Obligation, ...]:
    mass = witness["P(X = k)"]
    return (
        Obligation(
            "P(rank j is drawn) = C(n−1, s−1)/C(n, s) = s/n",
            ((binomial(n - 1, s - 1) / binomial(n, s), s / n),),
            "1 <= s <= n",
        ),
        Obligation(
            "the l-th summand of γ_j is (s/n) P(X = l − 1)",
            ((POSITION, s / n * at(mass, (k, l - 1))),),
            "1 <= l <= s <= n and 1 <= j <= n",
        ),
    )


HYPERGEOMETRIC_FORM = Certificate(
    name="hypergeometric-form",
    statement="γ_j = (s/n) P(X ≤ q−1), X ~ Hypergeometric(population n−1, marked j−1, draws s−1)",
    source="Eq. 8–10 of the paper, with the sum recognised as a distribution function",
    witness=WITNESS,
    obligations=_obligations,
    logic=(
        "Given that rank j is drawn, the other s − 1 draws are uniform among n − 1 ranks, j − 1 of "
        "which are better; X counts those, and rank j is kept if and only if X ≤ q − 1.",
        "Summing the second identity over l = 1 … q, i.e. k = 0 … q − 1, is the statement.",
    ),
)
