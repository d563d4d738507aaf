"""gap = Σ_j (γ_j/q − 1/n) x_j ≥ 0 for losses x in descending order (Chebyshev's sum inequality)."""

import sympy
from sympy import Expr, Function, Integer

from .certificate import Certificate, Obligation, Witness
from .hypergeometric import NotSimilarError
from .notation import j, k, n

w, x = Function("w"), Function("x")
sum_wx, sum_w, sum_x, mean_x = sympy.symbols("Σwx Σw Σx mean_x")

WITNESS: Witness = {"summand(j, k)": (w(j) - w(k)) * (x(j) - x(k)) / 2}


def double_sum(summand: Expr) -> Expr:
    """Σ_j Σ_k over n ranks each, by linearity, of a summand that is bilinear in w and x.

    Raises:
        NotSimilarError: the summand contains a monomial other than w_a x_b with a, b ∈ {j, k}.
    """
    rules = {
        w(j) * x(j): n * sum_wx,
        w(k) * x(k): n * sum_wx,
        w(j) * x(k): sum_w * sum_x,
        w(k) * x(j): sum_w * sum_x,
    }
    result = Integer(0)
    for monomial in sympy.Add.make_args(sympy.expand(summand)):
        coefficient, functions = monomial.as_coeff_Mul()
        if functions not in rules:
            raise NotSimilarError(f"no rule sums {functions}")
        result += coefficient * rules[functions]
    return result


def _obligations(witness: Witness) -> tuple[Obligation, ...]:
    try:
        doubled = double_sum(witness["summand(j, k)"])
    except NotSimilarError:
        doubled = sympy.nan
    return (
        Obligation(
            "Σ_j Σ_k ½ (w_j − w_k)(x_j − x_k) = n Σ w x − Σ w Σ x",
            ((doubled, n * sum_wx - sum_w * sum_x),),
        ),
        Obligation(
            "with Σ w = 1 and Σ x = n · mean that is n · gap",
            ((doubled.subs({sum_w: 1, sum_x: n * mean_x}), n * (sum_wx - mean_x)),),
        ),
    )


CHEBYSHEV_GAP = Certificate(
    name="chebyshev-gap",
    statement="L_q − L = Σ_j (γ_j/q − 1/n) x_j ≥ 0 for every x_1 ≥ … ≥ x_n",
    source="implicit in Theorem 4 (its Q_n); Chebyshev's sum inequality",
    witness=WITNESS,
    obligations=_obligations,
    logic=(
        "w = γ/q is non-increasing by `telescoping` and sums to 1 by `normalization`.",
        "So w_j − w_k and x_j − x_k never have opposite signs: no summand is negative, and n · gap "
        "is a sum of them.",
    ),
)
