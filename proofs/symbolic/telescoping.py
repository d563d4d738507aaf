"""γ_j − γ_{j+1} = C(j−1, q−1) C(n−j−1, s−q−1)/C(n, s)."""

from sympy import Integer, binomial

from .certificate import Certificate, Obligation, Witness
from .notation import POSITION, at, j, l, n, q, s

# A Gosper certificate: the antidifference T of the summand t, and their rational ratio R = T/t.
WITNESS: Witness = {
    "R(l)": (l - 1) * (n - j - s + l) / ((j - l + 1) * (s - l) - (l - 1) * (n - j - s + l)),
    "T(l)": binomial(j - 1, l - 2) * binomial(n - j - 1, s - l) / binomial(n, s),
}


def _obligations(witness: Witness) -> tuple[Obligation, ...]:
    rational, antidifference = witness["R(l)"], witness["T(l)"]
    summand = POSITION - at(POSITION, (j, j + 1))
    difference = binomial(j - 1, q - 1) * binomial(n - j - 1, s - q - 1) / binomial(n, s)
    inside = "1 <= l <= s <= n and 1 <= j <= n - 1"
    return (
        Obligation(
            "T = R·t with t(l) the l-th summand of γ_j − γ_{j+1}, so t is Gosper-summable",
            ((antidifference, rational * summand),),
            inside,
        ),
        Obligation(
            "t(l) = T(l+1) − T(l)",
            ((summand, at(antidifference, (l, l + 1)) - antidifference),),
            inside,
        ),
        Obligation(
            "lower boundary T(1) = 0",
            ((at(antidifference, (l, 1)), Integer(0)),),
            "1 <= s <= n and 1 <= j <= n - 1",
        ),
        Obligation(
            "upper boundary T(q+1) is the stated difference",
            ((at(antidifference, (l, q + 1)), difference),),
            "1 <= q <= s <= n and 1 <= j <= n - 1",
        ),
        Obligation(
            "for q = s the difference is 0",
            ((at(antidifference, (l, s + 1)), Integer(0)),),
            "1 <= s <= n and 1 <= j <= n - 1",
        ),
    )


TELESCOPING = Certificate(
    name="telescoping",
    statement="γ_j − γ_{j+1} = C(j−1, q−1) C(n−j−1, s−q−1)/C(n, s) ≥ 0 for 1 ≤ j < n (0 if q = s)",
    source="not in the paper, which reads the monotony off Figure 5; summed after Gosper",
    witness=WITNESS,
    obligations=_obligations,
    logic=(
        "Summing t over l = 1 … q telescopes to T(q+1) − T(1). R may have a pole where t = 0; only "
        "the equations without R are summed.",
        "A product of binomials is not negative: γ is non-increasing. C(j−1, q−1) = 0 for j < q: "
        "plateau γ_1 = … = γ_q, and γ_1 = s/n because only l = 1 contributes at j = 1. "
        "C(n−j−1, s−q−1) = 0 for j > n − s + q and γ_n = 0 for q < s: support.",
        "For q = s all γ_j are equal, and by the normalization equal to s/n: plain SGD.",
    ),
)
