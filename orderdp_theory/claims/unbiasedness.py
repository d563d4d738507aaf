"""Theorem 1 and A.1: of what E[g̃] is a gradient, in rational arithmetic."""

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
from flint import fmpz_mat

from orderdp_theory import Design
from orderdp_theory.claims.designs import all_designs
from orderdp_theory.claims.exact_training import (
    Loss,
    Scores,
    Vector,
    combine,
    descending,
    dot,
    expected_gradient,
    gamma,
    random_losses,
    random_vector,
    ranked_loss,
    selections,
    squared_distance,
    stale_problem,
    train,
    values,
    vector,
)
from orderdp_theory.claims.reading import Reading, tally
from orderdp_theory.claims.registry import Quote, claim
from orderdp_theory.claims.selection import LINE_11

Weights = Callable[[Design], Sequence[Fraction]]
THEOREM_1 = Quote(
    "Theorem 1",
    r"Under the definitions above, the update \tilde{g}^t in Algorithm 1 satisfies* "
    r"$$\mathbb{E}[\tilde{g}^t] \notin \partial \mathcal{L}(\theta^t) \quad \text{but} "
    r"\quad \mathbb{E}[\tilde{g}^t] \in \partial \mathcal{L}_q(\theta^t), \quad (4)$$ "
    r"i.e., it is an unbiased estimator of a (sub-)gradient of \mathcal{L}_q .",
)
LOSS_AS_SCORE = Quote(
    "§2.1",
    r"we adopt the instantaneous loss $\mathcal{H}_i(\theta) = \mathcal{L}_i(\theta, z_i)$ "
    "as a simple, adaptive proxy",
)


def violation(
    losses: Sequence[Loss],
    design: Design,
    theta: Vector,
    gradient: Vector,
    others: Sequence[Vector],
    curvature: Fraction | int = 0,
) -> Fraction:
    """Largest f(θ) + g · (φ − θ) − (ρ/2)‖φ − θ‖² − f(φ), f(φ) = L_q(φ) − (ρ/2)‖φ‖², over points φ.

    Positive: g − ρ θ is no subgradient of the ρ-weakly convex f at θ. With ρ = 0 this is L_q.
    """

    def f(point: Vector) -> Fraction:
        return ranked_loss(losses, design, point) - Fraction(curvature) / 2 * dot(point, point)

    slope = combine((1, gradient), (-Fraction(curvature), theta))
    return max(
        f(theta)
        + dot(slope, combine((1, other), (-1, theta)))
        - Fraction(curvature) / 2 * squared_distance(other, theta)
        - f(other)
        for other in others
    )


def subgradient_tally(weights: Weights, seed: int, curvature: int = 0):
    """E[g̃] with fresh scores, by enumeration and by the formula, at points with many ties."""
    rng = np.random.default_rng(seed)
    cases = []
    for design in all_designs(5):
        for _ in range(3):
            losses = random_losses(rng, design.n, 2)
            theta = random_vector(rng, 2, 2)
            scores = values(losses, theta)
            gradients = [loss.subgradient(theta) for loss in losses]
            expected = expected_gradient(gradients, design, scores)
            formula = combine(
                *(
                    (w / design.q, gradients[i])
                    for w, i in zip(weights(design), descending(scores), strict=True)
                )
            )
            others = [random_vector(rng, 2) for _ in range(12)]
            off = violation(losses, design, theta, formula, others, curvature)
            cases.append((design, expected == formula and off <= 0))
    return tally(cases)


@claim(
    "theory",
    THEOREM_1,
    LOSS_AS_SCORE,
)
def thm1_unbiased_fresh(weights: Weights = gamma) -> list[Reading]:
    result = subgradient_tally(weights, seed=1)
    return [
        Reading(
            "With scores equal to the current losses, E[g̃] = Σ (γ_j/q) g_(j) is a (sub)gradient "
            "of L_q.",
            result.holds,
            f"equal, and the subgradient inequality holds, in {result.agreeing} of {result.cases} "
            "problems, every draw counted",
            "exact enumeration",
            result.numbers("problems"),
        )
    ]


@claim(
    "theory",
    THEOREM_1,
    Quote(
        "Algorithm 1, line 5",
        r"$Q^t \in \arg \max_{\substack{Q \subseteq S^t \\ |Q|=q}} \sum_{i \in Q} "
        r"\mathcal{H}_t(\theta^t, z_i)$",
    ),
    LINE_11,
)
def thm1_unbiased_stale(ranking: Scores = "stored") -> list[Reading]:
    """Two samples, s = 2, q = 1: after one step the stored order is not that of the losses."""
    losses, start, steps, design = stale_problem()

    def worst(scores: Scores) -> tuple[Fraction, Vector]:
        found = []
        for states in train(losses, design, start, steps, scores):
            for state in states:
                ranked_by = state.scores if scores == "stored" else values(losses, state.theta)
                gradients = [loss.subgradient(state.theta) for loss in losses]
                expected = expected_gradient(gradients, design, ranked_by)
                others = [state.theta, combine((1, state.theta), (-1, expected)), vector(1, 1)]
                found.append(
                    (violation(losses, design, state.theta, expected, others), state.theta)
                )
        return max(found)

    (stale, at), (fresh, _) = worst(ranking), worst("fresh")
    return [
        Reading(
            "E[g̃^t] is a (sub)gradient of L_q at every step of Algorithm 1 as printed, which ranks "
            "by stored scores.",
            stale <= 0,
            f"two samples: at θ = ({at[0]}, {at[1]}) the subgradient inequality fails by {stale}"
            if stale > 0
            else "the subgradient inequality holds at every step",
            "counterexample",
            {"largest violation of the subgradient inequality": stale, "n": 2, "s": 2, "q": 1},
            correction="E[g̃] = (1/q) Σ_i γ_{rank of the stored score of i} ∇L_i: unbiased for a "
            "weighting of the current losses that is L_q's only where the two rankings agree.",
        ),
        Reading(
            "E[g̃^t] is a (sub)gradient of L_q at every step if the candidates are ranked by their "
            "current losses, which Algorithm 1 does not compute.",
            fresh <= 0,
            "the subgradient inequality holds at every step of the same problem",
            "exact rational",
            words="not in the words",
        ),
    ]


@claim("theory", THEOREM_1)
def thm1_never_unbiased(
    keep: Callable[[Design, bool], bool] = lambda design, independent: True,
) -> list[Reading]:
    """E[g̃] − ∇L = Σ_j (γ_j/q − 1/n) g_(j), so that it vanishes exactly where the sum does."""
    rng = np.random.default_rng(2)
    cases = []
    for design in all_designs(5):
        n = design.n
        rows = [[int(x) for x in rng.integers(-9, 10, n)] for _ in range(n)]
        for independent, gradients in (
            (fmpz_mat(rows).rank() == n, [vector(*row) for row in rows]),
            (n == 1, [vector(*rows[0])] * n),
            (False, [vector(*([0] * n))] * n),
        ):
            if keep(design, independent):
                scores = [Fraction(int(x)) for x in rng.permutation(n)]
                expected = expected_gradient(gradients, design, scores)
                full = combine(*((Fraction(1, n), g) for g in gradients))
                cases.append((design, independent and design.q < design.s, expected != full))
    every = tally((d, differs) for d, _, differs in cases)
    inside = tally((d, differs) for d, generic, differs in cases if generic)
    equal_size = sum(d.q == d.s for d in every.failures)
    return [
        Reading(
            "E[g̃] ≠ ∇L.",
            every.holds,
            f"equal in {len(every.failures)} of {every.cases} cases ({equal_size} with q = s, the "
            "rest with equal or zero gradients)",
            "exact enumeration",
            every.numbers("cases"),
        ),
        Reading(
            "E[g̃] ≠ ∇L if q < s and the per-sample gradients are linearly independent.",
            inside.holds,
            f"different in {inside.agreeing} of {inside.cases} cases, every draw counted",
            "exact enumeration",
            inside.numbers("cases"),
            words="with a condition",
        ),
    ]


@claim(
    "theory",
    Quote(
        "A.1, last line",
        "where the last inequality is due to the additivity of sub-gradient (for both convex "
        "and weakly convex function)",
    ),
)
def a1_weakly_convex(weights: Weights = gamma, curvature: int = 3) -> list[Reading]:
    """Losses f_i − (ρ/2)‖θ‖² with f_i convex; subgradients as usual for weakly convex functions.

    With fresh scores the weights fall with the loss, so L_q is the largest of the weighted sums
    over all orders; Σ w = 1 keeps the modulus ρ.
    """
    result = subgradient_tally(weights, seed=6, curvature=curvature)
    return [
        Reading(
            "For ρ-weakly convex losses and current-loss ranking E[g̃] is a subgradient of L_q, "
            "which is ρ-weakly convex.",
            result.holds,
            f"the subgradient inequality with −(ρ/2)‖φ − θ‖² holds in {result.agreeing} of "
            f"{result.cases} problems, ρ = {curvature}",
            "exact enumeration",
            result.numbers("problems"),
        )
    ]


@claim(
    "theory",
    Quote(
        "§3.1, third advantage",
        r"**OrderDP** preserves unbiased, lower-variance gradient estimates for \mathcal{L}_q "
        "—eliminating the need for annealing.",
    ),
)
def sec31_lower_variance(
    comparator: str | None = None,
    problems: Sequence[tuple[int, ...]] = ((10, -10, 0, 0), (1, 1, 1, -5)),
) -> list[Reading]:
    """Per-sample gradients in order of falling loss, (n, s, q) = (4, 2, 1), over all draws."""
    design = Design(4, 2, 1)

    def variance(gradients: Sequence[int], rule: Design) -> Fraction:
        scores = [Fraction(-j) for j in range(rule.n)]
        draws = [
            Fraction(sum(gradients[i] for i in kept), rule.q) for kept in selections(rule, scores)
        ]
        mean = sum(draws, Fraction(0)) / len(draws)
        return sum(((g - mean) ** 2 for g in draws), Fraction(0)) / len(draws)

    pairs = [(variance(g, design), variance(g, Design(4, 1, 1))) for g in problems]
    lower = tally((pair, pair[0] <= pair[1]) for pair in pairs)
    found = "; ".join(
        f"{ours} against {theirs} with gradients {g}"
        for (ours, theirs), g in zip(pairs, problems, strict=True)
    )
    numbers = {
        f"variance of {name}, gradients {g}": v
        for pair, g in zip(pairs, problems, strict=True)
        for name, v in zip(("OrderDP", "a uniform subset"), pair, strict=True)
    }
    return [
        Reading(
            "The variance is lower than that of another estimator, which the sentence does not "
            "name.",
            None if comparator is None else lower.holds,
            f"it depends on the estimator and the problem; a uniform subset of q: {found}",
            "exact enumeration",
            numbers,
            missing=("what the variance is compared with",) if comparator is None else (),
        ),
        Reading(
            "The variance is never higher than that of a uniform subset of q samples.",
            lower.holds,
            found,
            "counterexample",
            numbers,
            words="not in the words",
        ),
    ]
