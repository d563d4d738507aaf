"""Theorems 1 and 3: unbiasedness and convergence, on convex problems in rational arithmetic.

Bounds of Theorem 3 are compared on problems where every random draw is enumerated, so each
expectation is exact; G and ‖θ¹ − θ*‖ enter squared, so no root is taken.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import sympy as sp
from flint import fmpz_mat

from orderdp_theory.claims.designs import all_designs, explores_and_prunes
from orderdp_theory.claims.exact_training import (
    Loss,
    Refresh,
    Scores,
    State,
    Vector,
    breakpoints,
    combine,
    descending,
    distance_loss,
    dot,
    expectation,
    expected_gradient,
    gamma,
    minimum_on_line,
    ranked_loss,
    selections,
    squared_distance,
    train,
    values,
    vector,
)
from orderdp_theory.claims.finding import Finding, tally
from orderdp_theory.claims.registry import claim
from orderdp_theory.design import Design


def random_vector(rng: np.random.Generator, size: int, largest: int = 4) -> Vector:
    """Integer entries between −largest and largest."""
    return vector(*(int(x) for x in rng.integers(-largest, largest + 1, size)))


def random_losses(rng: np.random.Generator, n: int, dimension: int) -> list[Loss]:
    """Convex piecewise-linear losses of two or three pieces; small integers, so ties are common."""
    return [
        Loss(
            tuple(
                (random_vector(rng, dimension, 2), Fraction(int(rng.integers(-2, 3))))
                for _ in range(int(rng.integers(2, 4)))
            )
        )
        for _ in range(n)
    ]


def subgradient_violation(
    losses: Sequence[Loss],
    design: Design,
    theta: Vector,
    gradient: Vector,
    others: Sequence[Vector],
) -> Fraction:
    """Largest L_q(θ) + g · (φ − θ) − L_q(φ) over the points φ; positive: g is no subgradient."""
    here = ranked_loss(losses, design, theta)
    return max(
        here + dot(gradient, combine((1, other), (-1, theta))) - ranked_loss(losses, design, other)
        for other in others
    )


@claim
def thm1_unbiased_fresh() -> Finding:
    """With scores equal to the current losses, E[g̃] is a (sub)gradient of L_q.

    E[g̃] is enumerated over every candidate set, on problems with many ties, and tested against
    the definition of a subgradient at many points.

    Source: Theorem 1.
    """
    rng = np.random.default_rng(1)
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
                    (g / design.q, gradients[i])
                    for g, i in zip(gamma(design), descending(scores), strict=True)
                )
            )
            others = [random_vector(rng, 2) for _ in range(12)]
            violation = subgradient_violation(losses, design, theta, expected, others)
            cases.append((design, expected == formula and violation <= 0))
    result = tally(cases)
    return Finding(
        claimed="E[g̃] = Σ (γ_j/q) g_(j) ∈ ∂L_q(θ)",
        found=f"equal, and the subgradient inequality holds, in all {result.cases} problems",
        holds=result.holds,
        method="exact enumeration",
        numbers=result.numbers("problems"),
    )


@claim
def thm1_unbiased_stale(ranking: Scores = "stored") -> Finding:
    """The same holds for Algorithm 1 as printed, which ranks by stored scores.

    Two samples, s = 2, q = 1: after one step the stored order is not the order of the losses,
    and Algorithm 1 follows the loss that does not attain L_q = max(L_1, L_2).

    Source: Theorem 1 with Algorithm 1.
    """
    losses, start, steps, design = stale_problem()
    worst, theta_at = Fraction(-1), start
    for states in train(losses, design, start, steps, ranking):
        for state in states:
            scores = state.scores if ranking == "stored" else values(losses, state.theta)
            gradients = [loss.subgradient(state.theta) for loss in losses]
            expected = expected_gradient(gradients, design, scores)
            others = [state.theta, combine((1, state.theta), (-1, expected)), vector(1, 1)]
            violation = subgradient_violation(losses, design, state.theta, expected, others)
            if violation > worst:
                worst, theta_at = violation, state.theta
    return Finding(
        claimed="E[g̃] ∈ ∂L_q(θ^t) at every step of Algorithm 1",
        found=f"at θ = ({theta_at[0]}, {theta_at[1]}) the subgradient inequality fails by {worst}"
        if worst > 0
        else "the subgradient inequality holds at every step",
        holds=worst <= 0,
        method="counterexample",
        numbers={"largest violation of the subgradient inequality": worst, "n": 2, "s": 2, "q": 1},
        correction="E[g̃] = (1/q) Σ_i γ_{rank of the stored score of i} ∇L_i: unbiased for a "
        "weighting of the current losses that is L_q's only where the two rankings agree.",
    )


@claim
def thm1_never_unbiased(
    keep: Callable[[Design, bool], bool] = lambda design, independent: True,
) -> Finding:
    """E[g̃] is never a (sub)gradient of the empirical loss L.

    E[g̃] − ∇L = Σ_j (γ_j/q − 1/n) g_(j): not zero for q < s when the per-sample gradients are
    linearly independent, zero for q = s, for equal gradients, and at interpolation.

    Source: Theorem 1.
    """
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
            if not keep(design, independent):
                continue
            scores = [Fraction(int(x)) for x in rng.permutation(n)]
            expected = expected_gradient(gradients, design, scores)
            full = combine(*((Fraction(1, n), g) for g in gradients))
            cases.append((design, expected != full, independent and design.q < design.s))
    result = tally(cases)
    equal_size = sum(d.q == d.s for d in result.failures)
    return Finding(
        claimed="E[g̃] ≠ ∇L",
        found=f"equal in {len(result.failures)} of {result.cases} cases ({equal_size} with q = s, "
        "the rest with equal or zero gradients)",
        holds=result.holds,
        holds_under_condition=result.holds_inside,
        method="exact enumeration",
        numbers={
            **result.numbers("cases"),
            "of these with q = s": equal_size,
            "cases with q < s and independent gradients": result.inside,
            "of these with E[g̃] = ∇L": result.failures_inside,
        },
        correction="For q < s and linearly independent per-sample gradients E[g̃] ≠ ∇L; for "
        "q = s, or where all gradients agree (interpolation), E[g̃] = ∇L.",
    )


@claim
def sec31_lower_variance(
    gradients: Sequence[int] = (10, -10, 0, 0), design: Design | None = None
) -> Finding:
    """OrderDP's estimates have lower variance (than those from a uniform subset of the same size).

    Per-sample gradients in order of falling loss; both variances over all draws.

    Source: §3.1, third advantage.
    """
    d = design or Design(4, 2, 1)
    scores = [Fraction(-j) for j in range(d.n)]

    def variance(rule: Design) -> Fraction:
        draws = [
            Fraction(sum(gradients[i] for i in kept), rule.q) for kept in selections(rule, scores)
        ]
        mean = sum(draws, Fraction(0)) / len(draws)
        return sum(((g - mean) ** 2 for g in draws), Fraction(0)) / len(draws)

    ours, uniform = variance(d), variance(Design(d.n, d.q, d.q))
    return Finding(
        claimed="Var(OrderDP) ≤ Var(uniform subset)",
        found=f"{ours} against {uniform} with gradients {tuple(gradients)}, "
        f"(n, s, q) = ({d.n}, {d.s}, {d.q})",
        holds=ours <= uniform,
        method="counterexample",
        numbers={"variance of OrderDP": ours, "variance of a uniform subset": uniform},
        correction="Neither is always smaller: it depends on how the gradients of the samples "
        "with large losses differ (estimator_covariance_trace gives both exactly).",
    )


@claim
def thm3_convex(
    keep: Callable[[Design], Sequence[Fraction]] = gamma,
) -> Finding:
    """L_q is convex when every L_i is.

    The weights fall with the rank, so L_q is the largest of the weighted sums over all orders, a
    maximum of convex functions; here the definition itself is tested, on segments.

    Source: Theorem 3, used in A.3.
    """
    rng = np.random.default_rng(3)
    cases = []
    for design in all_designs(5):
        weights = keep(design)

        def surrogate(
            losses: Sequence[Loss], theta: Vector, weights: Sequence[Fraction] = weights
        ) -> Fraction:
            ordered = sorted(values(losses, theta), reverse=True)
            return sum((w * v for w, v in zip(weights, ordered, strict=True)), Fraction(0))

        losses = random_losses(rng, design.n, 2)
        for _ in range(25):
            a, b = random_vector(rng, 2), random_vector(rng, 2)
            share = Fraction(int(rng.integers(1, 8)), 8)
            between = combine((share, a), (1 - share, b))
            chord = share * surrogate(losses, a) + (1 - share) * surrogate(losses, b)
            cases.append((design, surrogate(losses, between) <= chord))
    result = tally(cases)
    return Finding(
        claimed="L_q(λa + (1−λ)b) ≤ λL_q(a) + (1−λ)L_q(b)",
        found=f"holds on {result.agreeing} of {result.cases} segments",
        holds=result.holds,
        method="exact rational",
        numbers=result.numbers("segments"),
    )


@dataclass(frozen=True)
class Excess:
    """Exact expected excesses of a run, and the bounds of Theorem 3 for it."""

    smallest: Fraction
    average: Fraction
    bound: Fraction
    ratio: Fraction

    @property
    def bound_of_minimum(self) -> Fraction:
        """Eq. 6 and 17: the bound for the average iterate times η_max/η_min."""
        return self.ratio * self.bound


def excess(
    losses: Sequence[Loss],
    design: Design,
    start: Vector,
    steps: Sequence[Fraction],
    ranking: Scores,
    optimum: Fraction,
    squared_radius: Fraction,
    refresh: Refresh = "before the step",
) -> Excess:
    """min_t E[L_q(θ^t)] − L_q* and E[L_q(average)] − L_q* beside their bounds."""
    *visited, last = train(losses, design, start, steps, ranking, refresh)

    def at(state: State) -> Fraction:
        return ranked_loss(losses, design, state.theta)

    total = sum(steps, Fraction(0))
    squared_g = max(loss.squared_lipschitz for loss in losses)
    return Excess(
        smallest=min(expectation(states, at) for states in visited) - optimum,
        average=expectation(
            last,
            lambda state: ranked_loss(losses, design, combine((1 / total, state.weighted_sum))),
        )
        - optimum,
        bound=(squared_radius + squared_g * sum((s * s for s in steps), Fraction(0))) / (2 * total),
        ratio=max(steps) / min(steps),
    )


def line_runs(ranking: Scores) -> Iterator[tuple[Design, Excess]]:
    """Runs on random convex problems on the line: every design with n ≤ 4, two step sequences."""
    rng = np.random.default_rng(4)
    for design in all_designs(4):
        for steps in ([Fraction(1, 2)] * 3, [Fraction(1), Fraction(1, 2), Fraction(1, 3)]):
            losses = [
                distance_loss(
                    vector(int(rng.integers(1, 3))),
                    int(rng.integers(-4, 5)),
                    int(rng.integers(0, 3)),
                )
                for _ in range(design.n)
            ]
            start = random_vector(rng, 1)

            def surrogate(
                theta: Vector, losses: Sequence[Loss] = losses, design: Design = design
            ) -> Fraction:
                return ranked_loss(losses, design, theta)

            optimum = minimum_on_line(losses, surrogate)
            radius = min(
                squared_distance(start, point)
                for point in breakpoints(losses)
                if surrogate(point) == optimum
            )
            yield design, excess(losses, design, start, steps, ranking, optimum, radius)


def _fresh_bound(
    of: Callable[[Excess], tuple[Fraction, Fraction]], constant: Fraction, claimed: str
) -> Finding:
    pairs = [(design, *of(run)) for design, run in line_runs("fresh")]
    # One sample |θ| and a start one and a half steps away is close to the worst case of one step.
    tight = excess(
        [distance_loss(vector(1))], Design(1, 1, 1), vector(Fraction(1)), [Fraction(1)],
        "fresh", Fraction(0), Fraction(1),
    )  # fmt: skip
    pairs.append((Design(1, 1, 1), *of(tight)))
    result = tally((design, found <= constant * bound) for design, found, bound in pairs)
    closest = max(found / bound for _, found, bound in pairs)
    return Finding(
        claimed=claimed,
        found=f"holds in {result.agreeing} of {result.cases} runs, every draw "
        f"enumerated; largest excess/bound {float(closest):.3f}",
        holds=result.holds,
        method="exact enumeration",
        numbers={
            **result.numbers("runs"),
            "largest ratio of excess to bound": closest,
        },
    )


@claim
def thm3_min_fresh(constant: Fraction = Fraction(1)) -> Finding:
    """min_t E[L_q(θ^t) − L_q*] ≤ η_max(‖θ¹−θ*‖² + G²Σ(η^t)²)/(2 η_min Σ η^t), current-loss ranking.

    Source: Theorem 3 Eq. 6, 17.
    """
    return _fresh_bound(
        lambda run: (run.smallest, run.bound_of_minimum),
        constant,
        "min_t E[L_q(θ^t)] − L_q* ≤ bound",
    )


@claim
def thm3_average_fresh(constant: Fraction = Fraction(1)) -> Finding:
    """E[L_q(θ̄^T) − L_q*] ≤ (‖θ¹−θ*‖² + G²Σ(η^t)²)/(2 Σ η^t), current-loss ranking.

    Source: Theorem 3 Eq. 18.
    """
    return _fresh_bound(
        lambda run: (run.average, run.bound), constant, "E[L_q(average)] − L_q* ≤ bound"
    )


STALE_STEPS = 40


def stale_problem() -> tuple[list[Loss], Vector, list[Fraction], Design]:
    """Two samples in two dimensions on which stored scores freeze the selection.

    L_1 = 1 + 5 max(0, 1 − x), L_2 = max(0, 4x − 3y), start at 0, step 1/15, s = n = 2, q = 1, so
    L_q = max(L_1, L_2). The stored score of sample 2 stays at its initial loss 0, below L_1 ≥ 1
    for ever, so only sample 1 is trained: x runs to 1, y stays 0, L_2 grows to 4. The minimum of
    L_q is 1, at (1, 1). (`orderdp_theory.impossibility` has the same problem for every design.)
    """
    first = Loss(((vector(0, 0), Fraction(1)), (vector(-5, 0), Fraction(6))))
    second = Loss(((vector(0, 0), Fraction(0)), (vector(4, -3), Fraction(0))))
    return [first, second], vector(0, 0), [Fraction(1, 15)] * STALE_STEPS, Design(2, 2, 1)


@claim
def thm3_stale(ranking: Scores = "stored") -> Finding:
    """The same bounds hold for Algorithm 1 as printed, which ranks by stored scores.

    The counterexample is `stale_problem`: deterministic (s = n), convex, initial scores equal to
    the initial losses, either timing of the score update.

    Source: Theorem 3 with Algorithm 1.
    """
    losses, start, steps, design = stale_problem()
    minimiser = vector(1, 1)
    optimum = ranked_loss(losses, design, minimiser)
    # L_q ≥ L_1 ≥ 1 everywhere: attained means minimal.
    if optimum != 1:
        raise ArithmeticError("the stated minimiser does not attain the floor of L_1")
    runs = {
        refresh: [
            excess(losses, design, start, steps[:count], ranking, optimum,
                   squared_distance(start, minimiser), refresh)
            for count in range(1, STALE_STEPS + 1)
        ]
        for refresh in ("before the step", "after the step")
    }  # fmt: skip
    holds = all(
        run.smallest <= run.bound_of_minimum and run.average <= run.bound
        for series in runs.values()
        for run in series
    )
    series = runs["before the step"]
    last = series[-1]
    first = next((t for t, run in enumerate(series, 1) if run.smallest > run.bound_of_minimum), 0)
    return Finding(
        claimed="min_t and average excess within Theorem 3's bounds",
        found=f"two samples: after {STALE_STEPS} steps min_t excess {last.smallest}, average "
        f"{float(last.average):.2f}, bound {float(last.bound):.3f}"
        + (f" (violated from T = {first})" if first else ""),
        holds=holds,
        method="counterexample",
        numbers={
            "T": STALE_STEPS,
            "min_t excess": last.smallest,
            "excess of the average iterate": last.average,
            "bound": last.bound,
            "first T at which the bound on the minimum fails": first,
            "‖θ¹ − θ*‖²": squared_distance(start, minimiser),
            "G²": max(loss.squared_lipschitz for loss in losses),
        },
        correction="With scores at most τ steps old the bounds hold with 2 G² η_max τ added; "
        "without a limit on their age the excess need not fall at all.",
    )


@claim
def thm3_constant_step(exponent: sp.Expr = sp.S.Half) -> Finding:
    """η = ‖θ¹ − θ*‖/(G√T) gives the error bound G‖θ¹ − θ*‖/√T.

    Source: §3.1.
    """
    distance, lipschitz, horizon = sp.symbols("R G T", positive=True)
    step = distance / (lipschitz * horizon**exponent)
    bound = (distance**2 + lipschitz**2 * horizon * step**2) / (2 * horizon * step)
    claimed = lipschitz * distance / horizon**exponent
    difference = sp.simplify(bound - claimed)
    return Finding(
        claimed="G R/√T",
        found=f"(R² + G² T η²)/(2 T η) = {sp.simplify(bound)}",
        holds=bool(difference == 0),
        method="symbolic proof",
        numbers={
            "bound over G R/√T at R = G = 1, T = 100": float(
                (bound / claimed).subs({distance: 1, lipschitz: 1, horizon: 100})
            )
        },
    )


@claim
def sec31_average_iterate(normaliser: Literal["count", "steps"] = "count") -> Finding:
    """The averaged iterate is (1/Σ_{t=1}^T) Σ_t η^t θ^t.

    The sum in the denominator has lost its summand; read as printed, weights that should sum to
    1 sum to Σ η^t / T. Eq. 18 divides by Σ η^t.

    Source: §3.1 vs A.3.
    """
    steps = [Fraction(1, t) for t in range(1, 6)]

    def weights_sum(divisor: Fraction) -> Fraction:
        return sum(steps, Fraction(0)) / divisor

    total = sum(steps, Fraction(0))
    printed = weights_sum(Fraction(len(steps)) if normaliser == "count" else total)
    return Finding(
        claimed="an average of θ¹ … θ^T",
        found=f"its weights sum to {printed} for η^t = 1/t, T = 5; divided by Σ η^t they sum to "
        f"{weights_sum(total)}",
        holds=printed == 1,
        holds_as_meant=weights_sum(total) == 1,
        method="exact rational",
        numbers={"sum of the printed weights, η^t = 1/t, T = 5": printed},
        correction="θ̄^T = (1/Σ_{t=1}^T η^t) Σ_{t=1}^T η^t θ^t",
    )


@claim
def a3_eq26(denominator: int = 1) -> Finding:
    """The last line of Eq. 26 has denominator Σ η^t.

    Eq. 24, which it quotes, has 2 Σ η^t, and Eq. 27 follows only with the 2.

    Source: A.3 Eq. 26.
    """
    numerator, total, ratio = sp.symbols("A S r", positive=True)
    eq24 = numerator / (2 * total)
    eq27 = ratio * numerator / (2 * total)

    def consistent(factor: int) -> bool:
        line = numerator / (factor * total)
        return bool(sp.simplify(line - eq24) == 0 and sp.simplify(ratio * line - eq27) == 0)

    excess_factor = sp.simplify(numerator / (denominator * total) / eq24)
    return Finding(
        claimed="Σ η^t",
        found=f"Eq. 26 is {excess_factor} times Eq. 24, which it quotes; Eq. 27 needs 2 Σ η^t",
        holds=consistent(denominator),
        holds_as_meant=consistent(2),
        method="symbolic proof",
        numbers={"printed right side over that of Eq. 24": float(excess_factor)},
        correction="(‖θ¹ − θ*‖² + G² Σ (η^t)²)/(2 Σ η^t); the printed line is true but twice as "
        "large, and does not give Eq. 27.",
    )


@claim
def sec32_minimises_true_risk(
    interpolating: bool | None = None,
) -> Finding:
    """By minimizing L_q, OrderDP also minimizes the original loss.

    Problems on the line: with a common zero of all losses every minimiser of L_q minimises L;
    without one it need not.

    Source: §3.2, after Theorem 4.
    """
    rng = np.random.default_rng(5)
    cases = []
    for design in all_designs(5):
        for common in (True, False) if interpolating is None else (interpolating,):
            losses = [
                distance_loss(
                    vector(int(rng.integers(1, 3))), 0 if common else int(rng.integers(-3, 4))
                )
                for _ in range(design.n)
            ]
            points = breakpoints(losses)

            def mean(theta: Vector, losses: Sequence[Loss] = losses) -> Fraction:
                return sum(values(losses, theta), Fraction(0)) / len(losses)

            surrogate = {p: ranked_loss(losses, design, p) for p in points}
            least, least_mean = min(surrogate.values()), min(map(mean, points))
            transfers = all(
                mean(p) == least_mean for p, value in surrogate.items() if value == least
            )
            cases.append((design, transfers, common and explores_and_prunes(design)))
    result = tally(cases)
    example_losses = [
        distance_loss(vector(1)),
        distance_loss(vector(1)),
        distance_loss(vector(1), 1),
    ]
    at_middle = sum(values(example_losses, vector(Fraction(1, 2))), Fraction(0)) / 3
    at_zero = sum(values(example_losses, vector(0)), Fraction(0)) / 3
    return Finding(
        claimed="argmin L_q ⊂ argmin L",
        found=f"fails in {len(result.failures)} of {result.cases} problems; |θ|, |θ|, |θ − 1| with "
        f"s = 3, q = 1: L = {at_middle} at the minimiser of L_q, {at_zero} at θ = 0",
        holds=result.holds,
        holds_under_condition=result.holds_inside,
        method="exact rational",
        numbers=result.numbers("problems", "a common zero and q < s < n"),
        correction="It does if one θ has zero loss on every sample; in general L at the minimiser "
        "of L_q exceeds min L by at most the gap L_q − L at the minimiser of L.",
    )
