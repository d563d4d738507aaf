"""Second-order inclusion probabilities π_jk = P((j) ∈ Q, (k) ∈ Q)."""

import sympy
from sympy import Integer, binomial

from .certificate import Certificate, Obligation, Witness
from .enumeration import designs, gradients, kept_sets, mean
from .notation import POSITION, at, j, k, l, n, q, s

LARGEST = 5
WITNESS: Witness = {
    # j < k both drawn and k the l-th largest drawn: the j of the statement does not occur.
    "p(k, l)": binomial(k - 2, l - 2) * binomial(n - k, s - l) / binomial(n, s),
    "T(k, l)": binomial(k - 2, l - 3) * binomial(n - k - 1, s - l) / binomial(n, s),
}


def _obligations(witness: Witness) -> tuple[Obligation, ...]:
    joint, antidifference = witness["p(k, l)"], witness["T(k, l)"]
    drawn_both = s * (s - 1) / (n * (n - 1))
    mass = binomial(k - 2, l - 2) * binomial(n - k, s - l) / binomial(n - 2, s - 2)
    drop = binomial(k - 2, q - 2) * binomial(n - k - 1, s - q - 1) / binomial(n, s)
    drop_of_gamma = binomial(k - 1, q - 1) * binomial(n - k - 1, s - q - 1) / binomial(n, s)
    inside = "2 <= l <= s <= n and 2 <= k <= n - 1"
    return (
        Obligation(
            "P(j and k are drawn) = C(n−2, s−2)/C(n, s) = s(s−1)/(n(n−1))",
            ((binomial(n - 2, s - 2) / binomial(n, s), drawn_both),),
            "2 <= s <= n",
        ),
        Obligation(
            "p(k, l) = P(j and k are drawn) · P(Y = l − 2)",
            ((joint, drawn_both * mass),),
            "2 <= l <= s <= n and 2 <= k <= n",
        ),
        Obligation(
            "p(k, l) − p(k+1, l) = T(k, l+1) − T(k, l), T(k, 2) = 0, T(k, q+1) = π_k − π_(k+1)",
            (
                (joint - at(joint, (k, k + 1)), at(antidifference, (l, l + 1)) - antidifference),
                (at(antidifference, (l, 2)), Integer(0)),
                (at(antidifference, (l, q + 1)), drop),
            ),
            inside + " and 2 <= q <= s",
        ),
        Obligation(
            "(k−1)(π_k − π_(k+1)) = (q−1)(γ_k − γ_(k+1)), so Σ_(j≠k) π_jk − (q−1) γ_k is constant",
            (((k - 1) * drop, (q - 1) * drop_of_gamma),),
            "2 <= q <= s <= n and 2 <= k <= n - 1",
        ),
        Obligation(
            "that constant is 0 at k = n: for q < s both sides vanish, for q = s they are equal",
            (((n - 1) * at(joint, (k, n), (l, s)), (s - 1) * at(POSITION, (j, n), (l, s))),),
            "2 <= s <= n",
        ),
        Obligation(
            f"average of (Σ_(i∈Q(S)) g_i)² over all S = Σ γ_j g_j² + 2 Σ_(j<k) π_k g_j g_k, all "
            f"n ≤ {LARGEST}",
            _second_moments(witness),
        ),
    )


def _second_moments(witness: Witness) -> tuple[tuple[sympy.Expr, sympy.Expr], ...]:
    first = sympy.lambdify((n, s, l, j), POSITION, modules="sympy")
    second = sympy.lambdify((n, s, l, k), witness["p(k, l)"], modules="sympy")
    equations = []
    for design in designs(LARGEST):
        n_, s_ = map(Integer, design[:2])
        g = gradients(design[0])
        squares = [
            sympy.Add(*(g[a] * g[b] for a in kept for b in kept)) for kept in kept_sets(*design)
        ]
        moment = Integer(0)
        for high in range(1, design[0] + 1):
            gamma = sum(first(n_, s_, Integer(i), Integer(high)) for i in range(1, design[2] + 1))
            moment += gamma * g[high - 1] ** 2
            if high > 1:
                pi = sum(second(n_, s_, Integer(i), Integer(high)) for i in range(2, design[2] + 1))
                moment += 2 * pi * g[high - 1] * sympy.Add(*g[: high - 1])
        equations.append((mean(squares), moment))
    return tuple(equations)


JOINT_INCLUSION = Certificate(
    name="joint-inclusion",
    statement="for j < k: π_jk = s(s−1)/(n(n−1)) · P(Y ≤ q−2), Y ~ Hypergeometric(population n−2, "
    "marked k−2, draws s−2); it does not depend on j, and Σ_(j≠k) π_jk = (q−1) γ_k",
    source="not in the paper; Horvitz and Thompson (1952) for the fixed-size identity",
    witness=WITNESS,
    obligations=_obligations,
    logic=(
        "If k is kept, so is every drawn j < k. So the event is: j and k are drawn and k is among "
        "the q largest drawn; k is the l-th with C(k−2, l−2) C(n−k, s−l) sets S. Sum over l ≤ q.",
        "With D_k = (k−1) π_k + Σ_(m>k) π_m − (q−1) γ_k the fourth obligation says D_(k+1) = D_k, "
        "the fifth D_n = 0.",
    ),
)
