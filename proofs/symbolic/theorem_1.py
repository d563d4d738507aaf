"""Theorem 1 with symbolic gradients, over all candidate sets of every small design."""

import sympy

from .certificate import Certificate, Obligation, Witness
from .enumeration import designs, gradients, kept_sets, mean
from .notation import POSITION, j, l, n, s

LARGEST = 7
WITNESS: Witness = {"summand of γ_j": POSITION}


def _obligations(witness: Witness) -> tuple[Obligation, ...]:
    summand = sympy.lambdify((n, s, l, j), witness["summand of γ_j"], modules="sympy")
    equations = []
    for n_, s_, q_ in designs(LARGEST):
        g = gradients(n_)
        estimates = [sympy.Add(*(g[i] for i in kept)) / q_ for kept in kept_sets(n_, s_, q_)]
        weighted = sum(
            summand(*map(sympy.Integer, (n_, s_, l_, j_))) * g[j_ - 1]
            for j_ in range(1, n_ + 1)
            for l_ in range(1, q_ + 1)
        )
        equations.append((mean(estimates), weighted / q_))
    return (
        Obligation(
            f"average of (1/q) Σ_(i∈Q(S)) g_i over all S = (1/q) Σ_j γ_j g_j, all n ≤ {LARGEST}",
            tuple(equations),
        ),
    )


THEOREM_1 = Certificate(
    name="theorem-1",
    statement="E[g̃] = (1/q) Σ_j γ_j g_(j) as an identity in the gradients g_1, …, g_n, for every "
    f"design with n ≤ {LARGEST} (for all n: the formal proofs `unbiased` and `unbiased_stale`)",
    source="Theorem 1, Eq. 7–11",
    witness=WITNESS,
    obligations=_obligations,
    logic=(
        "g_j belongs to the j-th place of the ranking, whatever made the ranking. Ranked by "
        "current losses the right-hand side is ∇L_q; ranked by stored scores it is the gradient of "
        "another weighting of the current losses.",
    ),
)
