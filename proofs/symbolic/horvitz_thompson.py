"""The rule that adds q₂ uniform samples to the q₁ kept ones is unbiased for the true gradient."""

from itertools import combinations

import sympy
from sympy import Add, Integer, Rational, binomial

from .certificate import Certificate, Obligation, Witness
from .enumeration import designs, gradients, kept_sets, mean
from .notation import POSITION, at, j, l, n, s

LARGEST = 5
gamma, q1, q2 = sympy.symbols("γ q1 q2", positive=True)

WITNESS: Witness = {
    "π(γ)": gamma + (1 - gamma) * q2 / (n - q1),
    "weight(γ)": (n - q1) / (n * (gamma * (n - q1) + (1 - gamma) * q2)),
}


def _obligations(witness: Witness) -> tuple[Obligation, ...]:
    inclusion, weight = witness["π(γ)"], witness["weight(γ)"]
    uniform = binomial(n - q1 - 1, q2 - 1) / binomial(n - q1, q2)
    sizes = "1 <= q1 and 1 <= q2 <= n - q1"
    return (
        Obligation(
            "given that i is not kept, it is added with probability q₂/(n − q₁)",
            ((uniform, q2 / (n - q1)),),
            sizes,
        ),
        Obligation(
            "total probability: π = γ · 1 + (1 − γ) · P(added | not kept)",
            ((inclusion, gamma + (1 - gamma) * uniform),),
            sizes,
        ),
        Obligation("weight · π = 1/n", ((weight * inclusion, 1 / n),), sizes),
        Obligation(
            "Σ_i π_i = q₁ + q₂: π is affine in γ, and the mean of γ is q₁/n",
            ((n * at(inclusion, (gamma, q1 / n)), q1 + q2),),
            sizes,
        ),
        Obligation(
            "1 − π = (1 − γ)(n − q₁ − q₂)/(n − q₁), so 0 < π ≤ 1 for q₂ ≥ 1",
            ((1 - inclusion, (1 - gamma) * (n - q1 - q2) / (n - q1)),),
            sizes,
        ),
        Obligation(
            f"average of Σ_i g_i/(n π_i) over all draws = (1/n) Σ_i g_i, all n ≤ {LARGEST}",
            _averages(witness),
        ),
    )


def _averages(witness: Witness) -> tuple[tuple[sympy.Expr, sympy.Expr], ...]:
    summand = sympy.lambdify((n, s, l, j), POSITION, modules="sympy")
    weight = sympy.lambdify((n, q1, q2, gamma), witness["weight(γ)"], modules="sympy")
    equations = []
    for n_, s_, q1_ in designs(LARGEST):
        g = gradients(n_)
        gammas = [
            Add(*(summand(*map(Integer, (n_, s_, l_, j_))) for l_ in range(1, q1_ + 1)))
            for j_ in range(1, n_ + 1)
        ]
        for q2_ in range(1, n_ - q1_ + 1):
            weighted = [
                weight(Integer(n_), Integer(q1_), Integer(q2_), gammas[i]) * g[i] for i in range(n_)
            ]
            estimates = [
                Add(*(weighted[i] for i in kept + added))
                for kept in kept_sets(n_, s_, q1_)
                for added in combinations(sorted(set(range(n_)) - set(kept)), q2_)
            ]
            equations.append((mean(estimates), Rational(1, n_) * Add(*g)))
    return tuple(equations)


HORVITZ_THOMPSON = Certificate(
    name="horvitz-thompson",
    statement="keeping q₁ of s random candidates and adding q₂ ≥ 1 of the other n − q₁ uniformly "
    "gives π_i = γ_rank(i) + (1 − γ_rank(i)) q₂/(n − q₁) > 0, and Σ_i g_i/(n π_i) over the "
    "q₁ + q₂ samples has expectation (1/n) Σ_i g_i, whatever the ranking",
    source="not in the paper; Horvitz and Thompson (1952)",
    witness=WITNESS,
    obligations=_obligations,
    logic=(
        "E[Σ_(i∈Q) g_i/(n π_i)] = Σ_i P(i ∈ Q) g_i/(n π_i) = (1/n) Σ_i g_i by linearity, because "
        "no π_i is 0. The ranking enters only through which γ a sample has.",
    ),
)
