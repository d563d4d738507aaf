"""Theorem 4 and A.4: the terms of the bound one by one, and the bound itself.

For losses in falling order the spectrum density s(t) is n γ_j/q on the j-th of n equal intervals
and u(t) = 1, so C_s = max_j |n γ_j/q − 1|.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise, product
from math import comb
from typing import Literal

import numpy as np

from orderdp_theory.claims.designs import all_designs, explores_and_prunes
from orderdp_theory.claims.exact_training import (
    Vector,
    distance_loss,
    gamma,
    mean_loss,
    ranked_loss,
    squared_distance,
    train,
    vector,
)
from orderdp_theory.claims.finding import Finding, tally
from orderdp_theory.claims.registry import claim
from orderdp_theory.design import Design

HALF = Fraction(1, 2)


def deviations(d: Design) -> list[Fraction]:
    """n γ_j/q − 1 for every rank."""
    return [d.n * g / d.q - 1 for g in gamma(d)]


def largest_deviation(d: Design) -> Fraction:
    """C_s of A.4 (the raised 2 in Theorem 4 marks its footnote)."""
    return max(map(abs, deviations(d)))


def total_deviation(d: Design) -> Fraction:
    """The total variation between γ/q and the uniform distribution."""
    return sum(map(abs, deviations(d)), Fraction(0)) / (2 * d.n)


def spectral(weights: Sequence[Fraction], losses: Sequence[Fraction]) -> Fraction:
    """Weights times losses in falling order."""
    return sum(
        (w * x for w, x in zip(weights, sorted(losses, reverse=True), strict=True)), Fraction(0)
    )


def spectrum(d: Design) -> list[Fraction]:
    """γ_j/q."""
    return [g / d.q for g in gamma(d)]


def regrouped(weights: Sequence[Fraction], parts: int) -> list[Fraction]:
    """Integrals of the piecewise constant density of `weights` over `parts` equal intervals."""
    n = len(weights)
    edges = [Fraction(k, parts) for k in range(parts + 1)]

    def up_to(t: Fraction) -> Fraction:
        whole = int(t * n)
        partial = weights[whole] * (t * n - whole) if whole < n else Fraction(0)
        return sum(weights[:whole], Fraction(0)) + partial

    return [up_to(b) - up_to(a) for a, b in pairwise(edges)]


def subsets(d: Design, losses: Sequence[Fraction]) -> Iterator[tuple[Fraction, ...]]:
    """The losses of every candidate set, in falling order."""
    return combinations(sorted(losses, reverse=True), d.s)


def random_sets(seed: int, n: int, count: int, signed: bool = False) -> list[list[Fraction]]:
    """Small integer losses with ties."""
    rng = np.random.default_rng(seed)
    low = -3 if signed else 0
    return [[Fraction(int(x)) for x in rng.integers(low, 6, n)] for _ in range(count)]


@claim
def sec32_gamma_hat(
    weight: Callable[[Design, int], Fraction] = lambda d, j: Fraction(d.n, d.s) * gamma(d)[j - 1],
) -> Finding:
    """E[L_q(θ, D)] = E[Σ_{j≤s} (γ̂_j/q) L_{i(j)}] with γ̂_j = (n/s) γ_j.

    The weights γ̂_j/q on the ranks inside a candidate set do not even sum to 1 when q < s < n.

    Source: §3.2, A.4 Eq. 35.
    """
    cases = []
    for d in all_designs(6):
        weights = [weight(d, j) / d.q for j in range(1, d.s + 1)]
        right = [
            sum((spectral(weights, s) for s in subsets(d, losses)), Fraction(0)) / comb(d.n, d.s)
            for losses in random_sets(6, d.n, 3)
        ]
        left = [spectral(spectrum(d), losses) for losses in random_sets(6, d.n, 3)]
        cases.append((d, left == right and sum(weights) == 1, explores_and_prunes(d)))
    result = tally(cases)
    d = Design(3, 2, 1)
    total = sum((weight(d, j) / d.q for j in (1, 2)), Fraction(0))
    return Finding(
        claimed="γ̂_j = (n/s) γ_j",
        found=f"fails for {result.failures_inside} of {result.inside} designs with q < s < n; at "
        f"(3, 2, 1) the weights sum to {total}",
        holds=result.holds,
        holds_under_condition=result.holds_inside,
        method="exact enumeration",
        numbers={
            **result.numbers("designs", "q < s < n"),
            "sum of γ̂_j/q at (n, s, q) = (3, 2, 1)": total,
        },
        correction="γ̂_j = 1 for j ≤ q and 0 beyond: E[(1/q) Σ_{j≤q} L_{i(j)}] = L_q(θ, D).",
    )


@claim
def a4_eq35_spectrum(
    weight: Callable[[Design, int], Fraction] = lambda d, j: Fraction(d.n, d.s) * gamma(d)[j - 1],
) -> Finding:
    """Σ_{j≤s} (γ̂_j/q) L_{i(j)} is the spectral risk L_s[F_{n,s}] of the candidate set.

    By Eq. 30 and 31 the weight of rank j in the candidate set is the integral of s(t) over the
    j-th of s equal intervals.

    Source: A.4 Eq. 35 vs Eq. 30, 31.
    """
    result = tally(
        (
            d,
            [weight(d, j) / d.q for j in range(1, d.s + 1)] == regrouped(spectrum(d), d.s),
            explores_and_prunes(d),
        )
        for d in all_designs(8)
    )
    d = Design(3, 2, 1)
    ours = ", ".join(str(weight(d, j) / d.q) for j in (1, 2))
    integrals = ", ".join(map(str, regrouped(spectrum(d), 2)))
    return Finding(
        claimed="γ̂_j/q = ∫ of s(t) over ((j−1)/s, j/s)",
        found=f"at (n, s, q) = (3, 2, 1): {ours} against {integrals}; fails for "
        f"{result.failures_inside} of {result.inside} designs with q < s < n",
        holds=result.holds,
        holds_under_condition=result.holds_inside,
        method="exact rational",
        numbers={
            "designs with q < s < n": result.inside,
            "of these that fail": result.failures_inside,
        },
        correction="No spectral risk of the candidate set is needed: (1/q) Σ_{j≤q} L_{i(j)} has "
        "expectation L_q(θ, D) exactly.",
    )


@claim
def a4_orientation(ascending: bool = True) -> Finding:
    """L_q(θ, D) = Σ σ_i Z_(i) with σ_i = γ_i/q and Z_(i) = F_n^{-1}(t) for t in ((i−1)/n, i/n).

    F_n^{-1}(t) = inf{z : F_n(z) ≥ t} rises with t, whereas γ_i falls: the printed sum puts the
    largest weight on the smallest loss. §3.1 ranks losses from the largest down.

    Source: A.4 Eq. 28–31 vs Eq. 3.
    """

    def quantiles(losses: Sequence[Fraction]) -> list[Fraction]:
        n = len(losses)
        return [min(z for z in losses if sum(x <= z for x in losses) >= i) for i in range(1, n + 1)]

    cases = []
    for d in all_designs(5):
        for losses in random_sets(7, d.n, 3):
            ordered = quantiles(losses) if ascending else sorted(losses, reverse=True)
            printed = sum((w * x for w, x in zip(spectrum(d), ordered, strict=True)), Fraction(0))
            cases.append((d, printed == spectral(spectrum(d), losses)))
    result = tally(cases)
    d, losses = Design(2, 2, 1), [Fraction(1), Fraction(0)]
    value = sum((w * x for w, x in zip(spectrum(d), quantiles(losses), strict=True)), Fraction(0))
    return Finding(
        claimed="Σ σ_i F_n^{-1}(i/n) = L_q",
        found=f"losses 1 and 0, s = 2, q = 1: the sum of Eq. 31 is {value}, L_q is "
        f"{spectral(spectrum(d), losses)}",
        holds=result.holds,
        rival="Eq. 3, which ranks losses from the largest down",
        method="exact rational",
        numbers={
            **result.numbers("cases"),
            "Eq. 31 with losses 1, 0": value,
            "L_q with losses 1, 0": spectral(spectrum(d), losses),
        },
        correction="With quantiles in rising order the spectrum is σ_i = γ_{n+1−i}/q.",
    )


@claim
def a4_empirical_measure(normalised: bool = False) -> Finding:
    """μ_n = Σ_i δ_{x_i} is the empirical measure.

    Source: A.4 Eq. 34.
    """
    n = 5

    def mass(factor: Fraction) -> Fraction:
        return factor * n

    printed = mass(Fraction(1, n) if normalised else Fraction(1))
    return Finding(
        claimed="a probability measure",
        found=f"its total mass is {printed} for n = {n}; the empirical CDF of Eq. 32 has the 1/n",
        holds=printed == 1,
        holds_as_meant=mass(Fraction(1, n)) == 1,
        method="exact rational",
        numbers={"total mass at n = 5": printed},
        correction="μ_n = (1/n) Σ_i δ_{x_i}, μ_{n,m} = (1/m) Σ_j δ_{X_j}",
    )


@dataclass(frozen=True)
class Trial:
    """The two sides of Theorem 4 for one data set."""

    left: Fraction
    right: Fraction


KEYS, STEPS, ITERATE = 8, 12, 5  # by θ⁵ every data set without a conflict is fitted exactly


def coin_trials(risk: Literal["population", "empirical"]) -> list[Trial]:
    """Theorem 4 on every data set of a small noisy problem.

    Population: one of K equally likely inputs k with an independent fair label y in {0, 1}; loss
    |θ_k − y| (convex, 1-Lipschitz). Two samples, s = 2, q = 1: no randomness in the selection, the
    factor √((n−s)/(s(n−1))) is 0. Start at 1/2, constant step 1/4. The risk of every θ in
    [0, 1]^K is 1/2, but training fits the labels it saw.
    """
    design, steps = Design(2, 2, 1), [Fraction(1, 4)] * STEPS
    start = vector(*[HALF] * KEYS)
    unit = [vector(*(int(i == k) for i in range(KEYS))) for k in range(KEYS)]
    trials = []
    for data in product(product(range(2), (0, 1)), repeat=2):
        # Inputs are exchangeable: 0 is the first sample's input, 1 any other.
        (first, second) = data
        if first[0] != 0:
            continue
        weight = KEYS - 1 if second[0] else 1
        losses = [distance_loss(unit[k], y) for k, y in data]
        conflict = first[0] == second[0] and first[1] != second[1]
        best = list(start)
        for k, y in data:
            best[k] = HALF if conflict else Fraction(y)
        minimiser = vector(*best)  # of L_q and of L, both: zero loss, or the middle of a conflict
        path = [next(iter(states)) for states in train(losses, design, start, steps, "fresh")]
        visited = [state.theta for state in path[:-1]]
        optimization = (
            squared_distance(start, minimiser) + sum((s * s for s in steps), Fraction(0))
        ) / (2 * sum(steps, Fraction(0)))
        gap = min(ranked_loss(losses, design, t) - mean_loss(losses, t) for t in visited)
        at_minimiser = (
            population_risk(minimiser) if risk == "population" else mean_loss(losses, minimiser)
        )
        trial = Trial(
            left=at_minimiser - ranked_loss(losses, design, visited[ITERATE - 1]),
            right=optimization - gap,
        )
        trials += [trial] * weight
    return trials


def population_risk(theta: Vector) -> Fraction:
    """E|θ_k − y| over a uniform input k and a fair label y."""
    return sum(((abs(t) + abs(t - 1)) / 2 for t in theta), Fraction(0)) / len(theta)


@claim
def thm4_as_stated(risk: Literal["population", "empirical"] = "population") -> Finding:
    """L(θ*) − E[L_q(θ^t, D)] is at most the printed bound, with L the expected (population) risk.

    The bound has no term for the sampling error between D and the population; `coin_trials`
    computes both sides on every data set.

    Source: Theorem 4.
    """
    trials = coin_trials(risk)
    result = tally((trial, trial.left <= trial.right) for trial in trials)
    worst = max(trials, key=lambda trial: trial.left - trial.right)
    mean_left = sum((t.left for t in trials), Fraction(0)) / len(trials)
    mean_right = sum((t.right for t in trials), Fraction(0)) / len(trials)
    return Finding(
        claimed="L(θ*) − E[L_q(θ^t, D)] ≤ bound for every t ≤ T",
        found=f"{worst.left} > {worst.right}, violated for {len(result.failures)} of "
        f"{result.cases} data sets; on average over data sets {float(mean_left):.3f} against "
        f"{float(mean_right):.3f}"
        if result.failures
        else f"holds for all {result.cases} data sets",
        holds=result.holds,
        method="counterexample",
        numbers={
            **result.numbers("data sets"),
            "left side, worst data set": worst.left,
            "right side, worst data set": worst.right,
            "left side, mean over data sets": mean_left,
            "right side, mean over data sets": mean_right,
            "T": STEPS,
            "t": ITERATE,
        },
        correction="It holds for the empirical loss L(·, D) at its minimiser; for the population "
        "risk add sup_θ (L(θ) − L(θ, D)), the sampling error that A.4 drops.",
    )


@claim
def thm4_limit_implication(
    risk: Literal["population", "empirical"] = "population",
) -> Finding:
    """As s → n the bias term vanishes, implying L(θ*) ≤ E[L_q(θ^t, D)].

    The problem of `coin_trials` has s = n already.

    Source: §3.2, after Theorem 4.
    """
    trials = coin_trials(risk)
    result = tally((trial, trial.left <= 0) for trial in trials)
    worst = max(trial.left for trial in trials)
    return Finding(
        claimed="L(θ*) ≤ E[L_q(θ^t, D)] at s = n",
        found=f"L(θ*) exceeds it by {worst} in the worst of {result.cases} data sets; "
        f"fails for {len(result.failures)}",
        holds=result.holds,
        method="counterexample",
        numbers={
            **result.numbers("data sets"),
            "largest L(θ*) − L_q(θ^t, D)": worst,
        },
        correction="L(θ*, D) ≤ L_q(θ, D) for the empirical loss, at every s; nothing of the kind "
        "for the population risk.",
    )


@claim
def a4_third_inequality(risk: Literal["population", "empirical"] = "population") -> Finding:
    """sup over Θ of L(θ*) − E[L_u[F_{n,s}(θ)]] is at most the infimum over Θ of its absolute value.

    Θ is the trajectory, and E[L_u[F_{n,s}(θ)]] is the empirical loss at θ.

    Source: A.4 Eq. 38, third inequality.
    """
    # One sample with label 0 of a fair coin; a trajectory from θ = 1/2 to θ = 0.
    losses = [distance_loss(vector(1), 0)]
    trajectory = [vector(HALF), vector(Fraction(1, 4)), vector(0)]
    best = HALF if risk == "population" else mean_loss(losses, vector(0))
    differences = [best - mean_loss(losses, theta) for theta in trajectory]
    left, right = max(differences), min(map(abs, differences))
    return Finding(
        claimed="sup (L(θ*) − L(θ, D)) ≤ inf |L(θ*) − L(θ, D)|",
        found=f"{left} against {right} on a trajectory that fits its one sample",
        holds=left <= right,
        method="counterexample",
        numbers={"supremum": left, "infimum of the absolute value": right},
        correction="sup_Θ (L(θ*) − L(θ, D)) ≤ sup_Θ |L(θ*) − L(θ, D)|, which Theorem 3 does not "
        "bound.",
    )


def subset_bias(d: Design, losses: Sequence[Fraction]) -> Fraction:
    """|E L_s[F_{n,s}] − L_s[F_n] − (E L_u[F_{n,s}] − L_u[F_n])|, by enumeration."""
    weights, inside = spectrum(d), regrouped(spectrum(d), d.s)
    uniform, uniform_inside = [Fraction(1, d.n)] * d.n, [Fraction(1, d.s)] * d.s
    sets = list(subsets(d, losses))

    def mean(w: Sequence[Fraction]) -> Fraction:
        return sum((spectral(w, s) for s in sets), Fraction(0)) / len(sets)

    return abs(
        mean(inside) - spectral(weights, losses) - mean(uniform_inside) + spectral(uniform, losses)
    )


@claim
def thm4_b_infimum(over: Callable[..., Fraction] = min) -> Finding:
    """B may be the infimum over Θ of the largest absolute loss.

    B enters Eq. 38 as a bound, at every θ in Θ at once, on the difference between candidate set
    and full data (times √2 C_s √((n−s)/(s(n−1)))). Θ here holds one interpolating point, where
    all losses are 0, and others.

    Source: Theorem 4, A.4.
    """

    def terms(d: Design, theta_set: Sequence[Sequence[Fraction]], pick: Callable[..., Fraction]):
        left = max(subset_bias(d, losses) for losses in theta_set)
        bound = pick(max(map(abs, losses)) for losses in theta_set)
        if d.n == 1:
            return left**2, Fraction(0)
        share = Fraction(d.n - d.s, d.s * (d.n - 1))
        return left**2, 2 * largest_deviation(d) ** 2 * bound**2 * share

    def check(pick: Callable[..., Fraction]) -> list[tuple[Design, bool]]:
        return [
            (d, left <= right)
            for d in all_designs(6)
            for left, right in [terms(d, [[Fraction(0)] * d.n, *random_sets(8, d.n, 3)], pick)]
        ]

    result, meant = tally(check(over)), tally(check(max))
    d = Design(3, 2, 1)
    example = [[Fraction(0)] * 3, [Fraction(3), Fraction(0), Fraction(0)]]
    left, right = terms(d, example, over)
    return Finding(
        claimed="sup_Θ |difference| ≤ √2 C_s inf_Θ max_i |L_i| √((n−s)/(s(n−1)))",
        found=f"losses (0, 0, 0) and (3, 0, 0) at (n, s, q) = (3, 2, 1): "
        f"{float(left) ** 0.5:.3f} against {float(right) ** 0.5:.3f}; with the supremum it holds "
        f"for all {meant.agreeing} designs",
        holds=result.holds and left <= right,
        method="counterexample",
        numbers={
            **result.numbers("designs"),
            "designs that fail with the supremum": len(meant.failures),
            "left side of the example": float(left) ** 0.5,
            "right side of the example": float(right) ** 0.5,
        },
        correction="B = sup_{θ ∈ Θ} max_i |L_i(θ)|",
    )


@claim
def thm4_cs_vanishes(
    deviation: Callable[[Design], Fraction] = largest_deviation,
) -> Finding:
    """C_s decreases to 0 as q → s.

    For every q < s the last ranks have weight 0, a distance of 1 from uniform.

    Source: §3.2, D.2, Fig. 6.
    """
    at = {q: deviation(Design(200, 100, q)) for q in (50, 90, 99, 100)}
    # "As q → s": the last value before q = s, for growing s, and the value there.
    last = {s: deviation(Design(2 * s, s, s - 1)) for s in (10, 20, 40, 80)}
    vanishes = at[100] == 0 and all(s * value <= 2 for s, value in last.items())
    return Finding(
        claimed="C_s → 0",
        found=f"(n, s) = (200, 100): {float(at[50]):.3g} at q = 50, {float(at[90]):.3g} at q = 90, "
        f"{float(at[99]):.3g} at q = 99; 0 only at q = 100",
        holds=vanishes,
        method="exact rational",
        numbers={f"C_s at (n, s) = (200, 100), q = {q}": value for q, value in at.items()}
        | {f"C_s at n = 2s, q = s − 1, s = {s}": value for s, value in last.items()},
        correction="C_s = max(s/q − 1, 1) ≥ 1 for every q < s, and 0 at q = s; the total "
        "variation is what falls to 0.",
    )


@claim
def thm4_qn_vanishes() -> Finding:
    """Q_n → 0 as q → s.

    Q_n is at most the gap L_q − L at any θ, which is at most the total variation times the range
    of the losses; that falls to 0, and the gap itself falls with q.

    Source: §3.2, Fig. 6.
    """
    last = {s: total_deviation(Design(2 * s, s, s - 1)) for s in (10, 20, 40, 80)}
    falls, bounded = [], []
    for n, s in ((6, 4), (8, 5), (9, 9)):
        for losses in random_sets(9, n, 4):
            gaps = [
                spectral(spectrum(Design(n, s, q)), losses) - sum(losses, Fraction(0)) / n
                for q in range(1, s + 1)
            ]
            spread = max(losses) - min(losses)
            falls.append((n, gaps[-1] == 0 and all(a >= b for a, b in pairwise(gaps))))
            bounded.append(
                (n, all(gap <= total_deviation(Design(n, s, q)) * spread
                        for q, gap in enumerate(gaps, 1)))
            )  # fmt: skip
    vanishes = all(s * value <= 2 for s, value in last.items())
    return Finding(
        claimed="Q_n → 0",
        found="gap ≤ TV · range, and at q = s − 1, n = 2s TV is "
        + ", ".join(f"{float(value):.4f} at s = {s}" for s, value in last.items()),
        holds=tally(falls).holds and tally(bounded).holds and vanishes,
        method="exact rational",
        numbers={f"total variation at n = 2s, q = s − 1, s = {s}": v for s, v in last.items()},
    )


@claim
def thm4_fpc_vanishes() -> Finding:
    """√2 C_s B √((n−s)/(s(n−1))) → 0 as s → n.

    With n and q fixed, C_s = max(s/q − 1, 1) stays below n/q while the root goes to 0.

    Source: §3.2.
    """

    def squared(n: int, s: Fraction, q: int) -> Fraction:
        deviation = max(s / q - 1, Fraction(1))
        return 2 * deviation**2 * (n - s) / (s * (n - 1))

    closed_form = tally(
        (d, largest_deviation(d) == max(Fraction(d.s, d.q) - 1, Fraction(1)))
        for d in all_designs(12)
        if d.q < d.s
    )
    limits = tally(
        (
            (n, q, k),
            squared(n, n * (1 - Fraction(1, 10**k)), q)
            <= 4 * max(Fraction(n, q), Fraction(1)) ** 2 * Fraction(1, 10**k),
        )
        for n in (10, 200, 50_000)
        for q in (1, n // 4, n // 2)
        for k in range(1, 12)
    )
    at_end = all(squared(n, Fraction(n), q) == 0 for n in (10, 200) for q in (1, n // 4))
    near = {s: float(squared(200, Fraction(s), 60)) ** 0.5 for s in (100, 150, 199, 200)}
    return Finding(
        claimed="→ 0",
        found="per unit of B, n = 200, q = 60: "
        + ", ".join(f"{value:.3f} at s = {s}" for s, value in near.items()),
        holds=closed_form.holds and limits.holds and at_end,
        method="exact rational",
        numbers={f"term over B at n = 200, q = 60, s = {s}": value for s, value in near.items()},
    )


@claim
def thm4_sgd_case() -> Finding:
    """For s = q the bias terms vanish and L_q = L.

    Source: §3.2.
    """
    result = tally(
        (
            d,
            largest_deviation(d) == 0
            and all(
                spectral(spectrum(d), losses) == sum(losses, Fraction(0)) / d.n
                for losses in random_sets(10, d.n, 3)
            ),
        )
        for d in all_designs(12)
        if d.s == d.q
    )
    return Finding(
        claimed="C_s = 0, Q_n = 0, L_q = L",
        found=f"exact for all {result.cases} designs with s = q, n ≤ 12 (L the empirical loss)",
        holds=result.holds,
        method="exact rational",
        numbers=result.numbers("designs"),
    )


@claim
def thm4_range(limit: Callable[[int], Fraction] = lambda n: Fraction(0)) -> Finding:
    """The range of γ_j/q over j shrinks to 0 as q → s.

    Compared in units of the uniform weight 1/n.

    Source: §3.2.
    """

    def extent(d: Design) -> Fraction:
        weights = spectrum(d)
        return max(weights) - min(weights)

    closed_form = tally(
        (d, extent(d) == Fraction(d.s, d.n * d.q)) for d in all_designs(12) if d.q < d.s
    )
    last = {s: 2 * s * extent(Design(2 * s, s, s - 1)) for s in (10, 20, 40, 80)}
    reaches = all(s * abs(value - 2 * s * limit(2 * s)) <= 2 for s, value in last.items())
    return Finding(
        claimed="n · range → 0",
        found=f"n · range at q = s − 1 is {float(last[10]):.3f}, {float(last[20]):.3f}, "
        f"{float(last[40]):.3f}, {float(last[80]):.3f} at s = 10, 20, 40, 80: it tends to 1",
        holds=closed_form.holds and reaches,
        method="exact rational",
        numbers={f"n · range at n = 2s, q = s − 1, s = {s}": v for s, v in last.items()},
        correction="The range is s/(n q) for every q < s: it shrinks to 1/n, the uniform weight "
        "itself, and is 0 only at q = s.",
    )


def quantile_distance(sample: Sequence[Fraction], full: Sequence[Fraction]) -> Fraction:
    """∫₀¹ |F_{n,m}^{-1}(t) − F_n^{-1}(t)| dt, as the area between the two CDFs."""
    points = sorted(set(full))
    return sum(
        (
            abs(
                Fraction(sum(x <= a for x in sample), len(sample))
                - Fraction(sum(x <= a for x in full), len(full))
            )
            * (b - a)
            for a, b in pairwise(points)
        ),
        Fraction(0),
    )


@claim
def a4_wasserstein_lemma(squared_constant: Fraction = Fraction(2)) -> Finding:
    """E‖F_{n,m}^{-1} − F_n^{-1}‖_1 ≤ √2 B √((n−m)/(m(n−1))).

    At each x the sampled CDF has standard deviation at most ½ √((n−m)/(m(n−1))), and the values
    span at most 2B: so the constant 1 does, with B = max_i |x_i| at the same θ; x_i = ±B in equal
    numbers with m = 1 attain it.

    Source: A.4 (lemma used in Eq. 38).
    """
    cases, ratios = [], []
    for n in range(2, 8):
        half = [Fraction(1)] * (n // 2) + [Fraction(-1)] * (n - n // 2)
        for full in [half, *random_sets(11, n, 4, signed=True)]:
            bound = max(map(abs, full))
            for m in range(1, n + 1):
                mean = sum(
                    (quantile_distance(sample, full) for sample in combinations(full, m)),
                    Fraction(0),
                ) / comb(n, m)
                unit = bound**2 * Fraction(n - m, m * (n - 1))
                cases.append(((n, m), mean**2 <= squared_constant * unit))
                if unit:
                    ratios.append(mean**2 / unit)
    result = tally(cases)
    return Finding(
        claimed="constant √2",
        found=f"holds in {result.agreeing} of {result.cases} cases; largest "
        f"ratio to B √((n−m)/(m(n−1))) is {float(max(ratios)) ** 0.5:.3f}",
        holds=result.holds,
        method="exact enumeration",
        numbers={
            **result.numbers("cases"),
            "largest ratio to B √((n−m)/(m(n−1)))": float(max(ratios)) ** 0.5,
        },
    )
