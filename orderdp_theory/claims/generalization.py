"""Theorem 4 and A.4: the terms of the bound one by one, and the bound itself.

For losses in falling order the spectrum density s(t) is n γ_j/q on the j-th of n equal intervals
and u(t) = 1, so C_s = max_j |n γ_j/q − 1|.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations, pairwise, product
from math import comb
from typing import Literal

import numpy as np

from orderdp_theory import Design
from orderdp_theory.claims.designs import all_designs, explores_and_prunes
from orderdp_theory.claims.exact_training import (
    Vector,
    breakpoints,
    distance_loss,
    gamma,
    mean_loss,
    ranked_loss,
    squared_distance,
    train,
    vector,
)
from orderdp_theory.claims.reading import Reading, tally
from orderdp_theory.claims.registry import Quote, claim
from orderdp_theory.claims.weights import (
    deviations,
    largest_deviation,
    spectrum,
    total_deviation,
)

HALF = Fraction(1, 2)
Risk = Literal["population", "empirical"]
POPULATION = Quote(
    "§3.2",
    r"we now quantify its approximation to the expected risk $\mathcal{L}(\theta^*) = "
    r"\mathbb{E}_{z \sim \mathcal{D}}[\mathcal{L}(\theta^*, z)]$.",
)


def spectral(weights: Sequence[Fraction], losses: Sequence[Fraction]) -> Fraction:
    """Weights times losses in falling order."""
    return sum(
        (w * x for w, x in zip(weights, sorted(losses, reverse=True), strict=True)), Fraction(0)
    )


def regrouped(weights: Sequence[Fraction], parts: int) -> list[Fraction]:
    """Integrals of the piecewise constant density of `weights` over `parts` equal intervals."""
    n = len(weights)

    def up_to(t: Fraction) -> Fraction:
        whole = int(t * n)
        partial = weights[whole] * (t * n - whole) if whole < n else Fraction(0)
        return sum(weights[:whole], Fraction(0)) + partial

    return [up_to(b) - up_to(a) for a, b in pairwise(Fraction(k, parts) for k in range(parts + 1))]


def random_sets(seed: int, n: int, count: int, signed: bool = False) -> list[list[Fraction]]:
    """Small integer losses with ties."""
    rng = np.random.default_rng(seed)
    low = -3 if signed else 0
    return [[Fraction(int(x)) for x in rng.integers(low, 6, n)] for _ in range(count)]


Hat = Callable[[Design, int], Fraction]


def printed_hat(d: Design, rank: int) -> Fraction:
    """γ̂_j = (n/s) γ_j."""
    return Fraction(d.n, d.s) * gamma(d)[rank - 1]


def hat_weights(d: Design, hat: Hat, rank: Literal["full data", "candidates"]) -> list[Fraction]:
    """The weight that E[Σ_{j≤s} (γ̂_j/q) L_{i(j)}] gives each rank of the full data.

    j is the rank of the candidate in the full data or among the candidates; all draws counted.
    """
    total = [Fraction(0)] * d.n
    for drawn in combinations(range(d.n), d.s):
        for position, at in enumerate(drawn):
            total[at] += hat(d, (at if rank == "full data" else position) + 1) / d.q
    return [w / comb(d.n, d.s) for w in total]


@claim(
    "theory",
    Quote(
        "§3.2",
        r"Noting that $\mathbb{E}[\mathcal{L}_q(\theta, D)] = \mathbb{E}[\sum_{j=1}^s "
        r"(\hat{\gamma}_j/q) \mathcal{L}_{i(j)}(\theta)]$ with $\hat{\gamma}_j = "
        r"(n/s)\gamma_j$",
    ),
    Quote(
        "A.4 Eq. 35, first equality",
        r"\mathbb{E}[\mathcal{L}_q(\theta^t, D)] = \mathbb{E} \left[\sum_{j=1}^s "
        r"\frac{\hat{\gamma}_j}{q} \mathcal{L}_{i_{(j)}}(\theta^t) \right]",
    ),
)
def sec32_gamma_hat(hat: Hat = printed_hat) -> list[Reading]:
    designs = list(all_designs(7))
    by_rank = tally((d, hat_weights(d, hat, "full data") == spectrum(d)) for d in designs)
    within = tally(
        (d, hat_weights(d, hat, "candidates") == spectrum(d))
        for d in designs
        if explores_and_prunes(d)
    )
    total = sum((hat(Design(3, 2, 1), j) for j in (1, 2)), Fraction(0))
    return [
        Reading(
            "The weight of a candidate is γ̂ at its rank in the full data.",
            by_rank.holds,
            f"both sides weigh every sample alike for {by_rank.agreeing} of {by_rank.cases} "
            "designs with n ≤ 7, all draws counted",
            "exact enumeration",
            by_rank.numbers("designs"),
        ),
        Reading(
            "The weight of a candidate is γ̂ at its rank among the candidates.",
            within.holds,
            f"fails for {len(within.failures)} of {within.cases} designs with q < s < n; at "
            f"(3, 2, 1) the weights sum to {total}",
            "exact enumeration",
            within.numbers("designs with q < s < n"),
            correction="Among the candidates γ̂_j = 1 for j ≤ q and 0 beyond.",
        ),
    ]


@claim(
    "theory",
    Quote(
        "A.4 Eq. 35, second equality",
        r"\mathbb{E} \left[\sum_{j=1}^s \frac{\hat{\gamma}_j}{q} "
        r"\mathcal{L}_{i_{(j)}}(\theta^t) \right] = \mathbb{E}[\mathbb{L}_s[F_{n,s}(\cdot; "
        r"\theta^t)]], \quad (35)",
    ),
    Quote(
        "A.4 Eq. 31",
        r"where $\mathbb{L}_s[G] := \int_0^1 s(t)G^{-1}(t) dt$ is called a spectral risk "
        "measure with spectrum s applied to CDF G .",
    ),
)
def a4_eq35_spectrum(hat: Hat = printed_hat) -> list[Reading]:
    """The spectral risk of the candidate set weighs its rank j by ∫ s(t) over ((j−1)/s, j/s)."""
    designs = [d for d in all_designs(7) if explores_and_prunes(d)]

    def spectral_hat(d: Design, j: int) -> Fraction:
        return d.q * regrouped(spectrum(d), d.s)[j - 1]

    risk = {d: hat_weights(d, spectral_hat, "candidates") for d in designs}
    results = {
        rank: tally((d, hat_weights(d, hat, rank) == risk[d]) for d in designs)
        for rank in ("full data", "candidates")
    }
    d = Design(3, 2, 1)
    sides = {
        rank: ", ".join(map(str, hat_weights(d, hat, rank))) for rank in ("full data", "candidates")
    }
    return [
        Reading(
            f"E[Σ (γ̂_j/q) L_i(j)] = E[L_s[F_n,s]], j the rank in the {rank}."
            if rank == "full data"
            else "E[Σ (γ̂_j/q) L_i(j)] = E[L_s[F_n,s]], j the rank among the candidates.",
            result.holds,
            f"fails for {len(result.failures)} of {result.cases} designs with q < s < n ≤ 7; at "
            f"(3, 2, 1) the ranks weigh {sides[rank]} against {', '.join(map(str, risk[d]))}",
            "exact enumeration",
            result.numbers("designs"),
            correction="No spectral risk of the candidate set is needed: (1/q) Σ_{j≤q} L_{i(j)} "
            "has expectation L_q(θ, D) exactly.",
        )
        for rank, result in results.items()
    ]


@claim(
    "theory",
    Quote(
        "A.4",
        r"the surrogate loss $\mathcal{L}_q(\theta, D) = \sum_{i=1}^n \frac{\gamma_i}{q} "
        r"L_{(i)}(\theta) = \sum_{i=1}^n \sigma_i Z_{(i)}$ is called an L -risk with a "
        r"spectrum $\sigma_i = \frac{\gamma_i}{q}$",
    ),
    Quote(
        "A.4", r"when $t \in (\frac{i-1}{n}, \frac{i}{n})$, we have that $F_n^{-1}(t) = Z_{(i)}$"
    ),
    Quote("§3.1", r"where $\mathcal{L}_{(j)}(\cdot)$ is the j -th rank of per-sample loss"),
)
def a4_orientation(ascending: bool = True) -> list[Reading]:
    """F_n^{-1} rises with t while γ_i falls: as printed the smallest loss weighs most."""

    def quantiles(losses: Sequence[Fraction]) -> list[Fraction]:
        n = len(losses)
        return [min(z for z in losses if sum(x <= z for x in losses) >= i) for i in range(1, n + 1)]

    def value(d: Design, losses: Sequence[Fraction]) -> Fraction:
        ordered = quantiles(losses) if ascending else sorted(losses, reverse=True)
        return sum((w * x for w, x in zip(spectrum(d), ordered, strict=True)), Fraction(0))

    result = tally(
        (d, value(d, losses) == spectral(spectrum(d), losses))
        for d in all_designs(5)
        for losses in random_sets(7, d.n, 3)
    )
    d, losses = Design(2, 2, 1), [Fraction(1), Fraction(0)]
    return [
        Reading(
            "L_q = Σ (γ_i/q) F_n^{-1}(i/n).",
            result.holds,
            f"losses 1 and 0, s = 2, q = 1: Eq. 31 gives {value(d, losses)}, Eq. 3 gives "
            f"{spectral(spectrum(d), losses)}; they differ in {len(result.failures)} of "
            f"{result.cases} cases",
            "exact rational",
            result.numbers("cases"),
            rival="Eq. 3, whose γ_j falls from the largest loss down",
            correction="With quantiles in rising order the spectrum is σ_i = γ_{n+1−i}/q.",
        )
    ]


@claim(
    "theory",
    Quote(
        "A.4 Eq. 34",
        r"$$\mu_n := \sum_{i=1}^n \delta_{x_i} \text{ and } \mu_{n,m} = \sum_{j=1}^m "
        r"\delta_{X_j} \quad (34)$$ be the empirical measures of the full batch and minibatch, "
        "respectively",
    ),
)
def a4_empirical_measure(mass: Callable[[int], Fraction] = lambda n: Fraction(1)) -> list[Reading]:
    points = [Fraction(k) for k in (1, 1, 2, 5, 8)]

    def agrees(each: Fraction) -> bool:
        """Its distribution function is F_n of Eq. 32."""
        return all(
            each * sum(x <= at for x in points)
            == Fraction(sum(x <= at for x in points), len(points))
            for at in points
        )

    n = len(points)
    return [
        Reading(
            "Σ_i δ_{x_i} is the empirical measure, whose distribution function is F_n of Eq. 32.",
            agrees(mass(n)),
            f"its total mass is {mass(n) * n} for n = {n}, F_n ends at 1",
            "exact rational",
            {"total mass at n = 5": mass(n) * n},
        ),
        Reading(
            "(1/n) Σ_i δ_{x_i} is the empirical measure.",
            agrees(Fraction(1, n)),
            f"its distribution function is F_n at all {n} points",
            "exact rational",
            words="evident slip",
        ),
    ]


@dataclass(frozen=True)
class Trial:
    """The two sides of Theorem 4 for one data set."""

    left: Fraction
    right: Fraction


KEYS, STEPS, ITERATE = 8, 12, 5  # by θ⁵ every data set without a conflict is fitted exactly


@cache
def coin_trials(risk: Risk) -> tuple[Trial, ...]:
    """Theorem 4 on every data set of a small noisy problem.

    Population: one of K equally likely inputs k with an independent fair label y in {0, 1}; loss
    |θ_k − y| (convex, 1-Lipschitz). Two samples, s = 2, q = 1: no randomness in the selection, the
    factor √((n−s)/(s(n−1))) is 0. Start at 1/2, constant step 1/4. The risk of every θ in
    [0, 1]^K is 1/2, whichever of them is called θ*, but training fits the labels it saw.
    """
    design, steps = Design(2, 2, 1), [Fraction(1, 4)] * STEPS
    start = vector(*[HALF] * KEYS)
    unit = [vector(*(int(i == k) for i in range(KEYS))) for k in range(KEYS)]
    trials = []
    for first, second in product(product(range(2), (0, 1)), repeat=2):
        # Inputs are exchangeable: 0 is the first sample's input, 1 any other.
        if first[0] != 0:
            continue
        weight = KEYS - 1 if second[0] else 1
        losses = [distance_loss(unit[k], y) for k, y in (first, second)]
        conflict = first[0] == second[0] and first[1] != second[1]
        best = list(start)
        for k, y in (first, second):
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
        left = at_minimiser - ranked_loss(losses, design, visited[ITERATE - 1])
        trials += [Trial(left, optimization - gap)] * weight
    return tuple(trials)


def population_risk(theta: Vector) -> Fraction:
    """E|θ_k − y| over a uniform input k and a fair label y."""
    return sum(((abs(t) + abs(t - 1)) / 2 for t in theta), Fraction(0)) / len(theta)


def mean_of(values: Sequence[Fraction]) -> Fraction:
    """The arithmetic mean."""
    return sum(values, Fraction(0)) / len(values)


@claim(
    "theory",
    POPULATION,
    Quote(
        "Theorem 4",
        "Under the same assumption of Theorem 3, the following satisfies for any θ^t in the "
        r"sequence $\Theta = \{\theta\}_{t=1}^T$ generated by **OrderDP**:* "
        r"$$\mathcal{L}(\theta^*) - \mathbb{E}[\mathcal{L}_q(\theta^t, D)] \leq",
    ),
)
def thm4_as_stated(risk: Risk = "population") -> list[Reading]:
    """No term of the bound is for the sampling error between D and the population."""
    trials = coin_trials(risk)
    result = tally((trial, trial.left <= trial.right) for trial in trials)
    worst = max(trials, key=lambda trial: trial.left - trial.right)
    left, right = (mean_of([getattr(t, side) for t in trials]) for side in ("left", "right"))
    empirical = coin_trials("empirical")
    within = tally((trial, trial.left <= trial.right) for trial in empirical)
    correction = (
        "It holds for the empirical loss at its minimiser, where it says nothing about θ^t (see "
        "thm4-says-nothing); for the population risk add sup_θ (L(θ) − L(θ, D)), which A.4 drops."
    )
    return [
        Reading(
            "The bound holds for every data set D, L(θ*) the expected (population) risk.",
            result.holds,
            f"{worst.left} > {worst.right}; violated for {len(result.failures)} of {result.cases} "
            "data sets"
            if result.failures
            else f"holds for all {result.cases} data sets",
            "counterexample",
            {
                **result.numbers("data sets"),
                "left side, worst data set": worst.left,
                "right side, worst data set": worst.right,
                "T": STEPS,
                "t": ITERATE,
            },
            correction=correction,
        ),
        Reading(
            "The bound holds on average over data sets D.",
            left <= right,
            f"{float(left):.3f} against {float(right):.3f} over {result.cases} data sets",
            "counterexample",
            {"left side, mean": left, "right side, mean": right},
            correction=correction,
        ),
        Reading(
            "The bound holds with L(θ*) the loss of the data set itself.",
            within.holds,
            f"holds for {within.agreeing} of {within.cases} data sets",
            "exact rational",
            within.numbers("data sets"),
            words="not in the words",
        ),
    ]


@claim(
    "theory",
    Quote(
        "§3.2, after Theorem 4",
        r"and as $s \rightarrow n$, $\sqrt{2}C_s B \sqrt{\frac{n-s}{s(n-1)}} \rightarrow 0$, "
        r"implying $\mathcal{L}(\theta^*) \leq \mathbb{E}[\mathcal{L}_q(\theta^t, D)]$.",
    ),
    POPULATION,
)
def thm4_limit_implication(risk: Risk = "population") -> list[Reading]:
    trials = coin_trials(risk)  # they have s = n
    result = tally((trial, trial.left <= 0) for trial in trials)
    worst, mean = max(trial.left for trial in trials), mean_of([trial.left for trial in trials])
    correction = (
        "L(θ*, D) ≤ L_q(θ, D) for the loss of the data set, at every s; nothing of the kind for "
        "the expected risk."
    )
    return [
        Reading(
            "At s = n, L(θ*) ≤ L_q(θ^t, D) for every data set.",
            result.holds,
            f"L(θ*) exceeds it by {worst} in the worst of {result.cases} data sets; fails for "
            f"{len(result.failures)}",
            "counterexample",
            {**result.numbers("data sets"), "largest L(θ*) − L_q(θ^t, D)": worst},
            correction=correction,
        ),
        Reading(
            "At s = n, L(θ*) ≤ E[L_q(θ^t, D)] on average over data sets.",
            mean <= 0,
            f"L(θ*) exceeds it by {float(mean):.3f} on average",
            "counterexample",
            {"mean of L(θ*) − L_q(θ^t, D)": mean},
            correction=correction,
        ),
    ]


@claim(
    "theory",
    Quote(
        "§3.2, after Theorem 4",
        r"Thus, by minimizing $\mathcal{L}_q(\theta^t, D)$, **OrderDP** also minimizes "
        "expected generalization error.",
    ),
    POPULATION,
)
def sec32_minimises_true_risk(
    label_odds: Fraction = Fraction(3, 5), sample: Sequence[int] = (0, 0, 1)
) -> list[Reading]:
    """Labels 1 with the given odds, else 0; loss |θ − y|; every minimiser of L_q on the sample."""
    losses = [distance_loss(vector(1), y) for y in sample]

    def risk(theta: Vector) -> Fraction:
        return label_odds * abs(theta[0] - 1) + (1 - label_odds) * abs(theta[0])

    def excesses(objective: Callable[[Design, Vector], Fraction]) -> dict[Design, Fraction]:
        """How far the least risk of a minimiser of the objective is above the least risk."""
        points = [*breakpoints(losses), vector(0), vector(1)]
        found = {}
        for d in all_designs(len(sample)):
            if d.n == len(sample):
                least = min(objective(d, p) for p in points)
                best = min(risk(p) for p in points if objective(d, p) == least)
                found[d] = best - min(map(risk, points))
        return found

    excess = excesses(lambda d, p: ranked_loss(losses, d, p))
    result = tally((d, gap == 0) for d, gap in excess.items())
    # Theorem 4's left side, "generalization error", is L(θ*) − L_q(θ): it falls as L_q rises.
    points = breakpoints(losses)
    d = Design(len(sample), len(sample), 1)
    surrogate = {p: ranked_loss(losses, d, p) for p in points}
    least = min(surrogate.values())
    error = {p: min(map(risk, points)) - value for p, value in surrogate.items()}
    opposite = all(error[p] == min(error.values()) for p in points if surrogate[p] == least)
    correction = (
        "L at a minimiser of L_q exceeds min L by at most the gap L_q − L at the minimiser of L, L "
        "the loss of the data set; the expected risk adds the sampling error."
    )
    return [
        Reading(
            "A minimiser of L_q(·, D) minimises the expected loss of a new sample.",
            result.holds,
            f"labels {tuple(sample)} of a coin with P(1) = {label_odds}: fails for "
            f"{len(result.failures)} of {result.cases} designs, by up to {max(excess.values())}",
            "counterexample",
            {**result.numbers("designs"), "largest excess risk": max(excess.values())},
            correction=correction,
        ),
        Reading(
            "A minimiser of L_q(·, D) minimises L(θ*) − L_q(θ, D), which Theorem 4 calls the "
            "generalization error.",
            opposite,
            "L(θ*) does not depend on θ, so the difference is largest where L_q is least",
            "counterexample",
            correction=correction,
        ),
    ]


@claim(
    "theory",
    Quote(
        "A.4 Eq. 38",
        r"& \leq \inf_{\theta \in \Theta} |\mathbb{E}[\mathbb{L}_u[F_{n,s}]] - "
        r"\mathcal{L}(\theta^*)| + \sup_{\theta \in \Theta} (\mathbb{L}_u[F_n] - "
        r"\mathbb{L}_s[F_n])",
    ),
    Quote("A.4, after Eq. 38", "where the third inequality follows the Theorem 3"),
)
def a4_third_inequality(
    risk: Risk = "population", side: Callable[..., Fraction] = min
) -> list[Reading]:
    """Θ is the trajectory, and E[L_u[F_{n,s}(θ)]] is the loss of the data set at θ."""
    # One sample with label 0 of a fair coin; a trajectory from θ = 1/2 to θ = 0.
    losses = [distance_loss(vector(1), 0)]
    trajectory = [vector(HALF), vector(Fraction(1, 4)), vector(0)]
    best = HALF if risk == "population" else mean_loss(losses, vector(0))
    differences = [best - mean_loss(losses, theta) for theta in trajectory]
    left, right = max(differences), side(map(abs, differences))
    return [
        Reading(
            "sup_Θ (L(θ*) − E[L_u[F_n,s]]) is at most the infimum over Θ of its absolute value.",
            left <= right,
            f"{left} against {right} on a trajectory that fits its one sample",
            "counterexample",
            {"supremum": left, "infimum of the absolute value": right},
            correction="sup_Θ (L(θ*) − L(θ, D)) ≤ sup_Θ |L(θ*) − L(θ, D)|, which Theorem 3 does "
            "not bound.",
        )
    ]


def subset_bias(d: Design, losses: Sequence[Fraction]) -> Fraction:
    """|E L_s[F_{n,s}] − L_s[F_n] − (E L_u[F_{n,s}] − L_u[F_n])|, by enumeration."""
    sets = list(combinations(sorted(losses, reverse=True), d.s))

    def shift(weights: Sequence[Fraction]) -> Fraction:
        inside = regrouped(weights, d.s)
        return mean_of([spectral(inside, drawn) for drawn in sets]) - spectral(weights, losses)

    return abs(shift(spectrum(d)) - shift([Fraction(1, d.n)] * d.n))


@claim(
    "theory",
    Quote(
        "Theorem 4",
        r"$B = \inf_{\theta \in \Theta} \max_{i \in [1, n]} |\mathcal{L}_i(\theta, D_i)| < "
        r"\infty$",
    ),
)
def thm4_b_infimum(over: Callable[..., Fraction] = min) -> list[Reading]:
    """B bounds, at every θ in Θ at once, the difference between candidate set and full data."""

    def sides(d: Design, theta_set: Sequence[Sequence[Fraction]], pick: Callable[..., Fraction]):
        left = max(subset_bias(d, losses) for losses in theta_set)
        bound = pick(max(map(abs, losses)) for losses in theta_set)
        share = Fraction(d.n - d.s, d.s * (d.n - 1)) if d.n > 1 else Fraction(0)
        return left**2, 2 * largest_deviation(d) ** 2 * bound**2 * share

    def check(pick: Callable[..., Fraction]):
        cases = [(d, [[Fraction(0)] * d.n, *random_sets(8, d.n, 3)]) for d in all_designs(6)]
        example = [[Fraction(0)] * 3, [Fraction(3), Fraction(0), Fraction(0)]]
        cases.append((Design(3, 2, 1), example))
        both = [(d, *sides(d, theta_set, pick)) for d, theta_set in cases]
        return tally((d, left <= right) for d, left, right in both), both[-1][1:]

    result, (left, right) = check(over)
    supremum, _ = check(max)
    return [
        Reading(
            "sup_Θ |difference| ≤ √2 C_s B √((n−s)/(s(n−1))) with B the infimum over Θ of the "
            "largest absolute loss.",
            result.holds,
            f"losses (0, 0, 0) and (3, 0, 0) at (n, s, q) = (3, 2, 1): {float(left) ** 0.5:.3f} "
            f"against {float(right) ** 0.5:.3f}; fails for {len(result.failures)} of "
            f"{result.cases} problems",
            "counterexample",
            result.numbers("problems"),
            correction="B = sup_{θ ∈ Θ} max_i |L_i(θ)|",
        ),
        Reading(
            "The same with B the supremum over Θ.",
            supremum.holds,
            f"holds in {supremum.agreeing} of {supremum.cases} problems",
            "exact enumeration",
            words="not in the words",
        ),
    ]


@claim(
    "theory",
    Quote(
        "D.2, Fig. 6",
        r"(fix $(n, s) = (200, 100)$ and increase $q \rightarrow 100$), highlighting that the "
        r"gap between the two distributions vanishes (i.e., $\mathcal{Q}_n(\theta; s, q)$ and "
        "C_s approach 0) as q increases.",
    ),
)
def thm4_cs_vanishes(deviation: Callable[[Design], Fraction] = largest_deviation) -> list[Reading]:
    """For every q < s the last ranks have weight 0, a relative distance of 1 from uniform."""
    at = {q: deviation(Design(200, 100, q)) for q in (50, 90, 99, 100)}
    last = {s: deviation(Design(2 * s, s, s - 1)) for s in (10, 20, 40, 80)}
    return [
        Reading(
            "C_s approaches 0 as q approaches s.",
            at[99] < at[50] and all(s * value <= 2 for s, value in last.items()),
            f"(n, s) = (200, 100): {float(at[50]):.3g} at q = 50, {float(at[90]):.3g} at q = 90, "
            f"{float(at[99]):.3g} at q = 99; {at[100]} only at q = 100",
            "exact rational",
            {f"C_s at (n, s) = (200, 100), q = {q}": value for q, value in at.items()}
            | {f"C_s at n = 2s, q = s − 1, s = {s}": value for s, value in last.items()},
            correction="C_s = max(s/q − 1, 1) ≥ 1 for every q < s, and 0 at q = s; the total "
            "variation is what falls to 0.",
        )
    ]


@claim(
    "theory",
    Quote(
        "§3.2, after Theorem 4",
        r"As $q \rightarrow s$, $(r_i(\theta, D)/q - 1/n) \rightarrow 0$, so "
        r"$\mathcal{Q}_n(\theta; s, q) \rightarrow 0$",
    ),
)
def thm4_qn_vanishes(weights: Callable[[Design], list[Fraction]] = spectrum) -> list[Reading]:
    """Q_n ≤ L_q − L at any θ ≤ total variation times the range of the losses, which falls to 0."""
    last = {s: total_deviation(Design(2 * s, s, s - 1)) for s in (10, 20, 40, 80)}
    cases = []
    for n, s in ((6, 4), (8, 5), (9, 9)):
        for losses in random_sets(9, n, 4):
            gaps = [
                spectral(weights(Design(n, s, q)), losses) - mean_of(losses)
                for q in range(1, s + 1)
            ]
            spread = max(losses) - min(losses)
            falls = gaps[-1] == 0 and all(a >= b for a, b in pairwise(gaps))
            bounded = all(
                gap <= total_deviation(Design(n, s, q)) * spread for q, gap in enumerate(gaps, 1)
            )
            cases.append((n, falls and bounded))
    result = tally(cases)
    return [
        Reading(
            "Q_n → 0 as q → s.",
            result.holds and all(s * value <= 2 for s, value in last.items()),
            "L_q − L falls to 0 with q and is at most TV · range, TV at q = s − 1, n = 2s: "
            + ", ".join(f"{float(value):.4f} at s = {s}" for s, value in last.items()),
            "exact rational",
            {**result.numbers("problems")}
            | {f"total variation at n = 2s, q = s − 1, s = {s}": v for s, v in last.items()},
        )
    ]


@claim(
    "theory",
    Quote(
        "Theorem 4",
        r"$\mathcal{Q}_n(\theta; s, q) := \inf_{\theta \in \Theta} \sum_{i=1}^n "
        r"(\frac{r_i(\theta, D)}{q} - \frac{1}{n}) \mathcal{L}_i(\theta, D_i)$",
    ),
    Quote(
        "§3.2, after Theorem 4",
        r"In the special case $s = q$, it reduces to standard mini-batch SGD ($r_i(\theta, "
        "D)/q = 1/n$, $C_s = 0$) and the bias vanishes.",
    ),
)
def thm4_undefined_r(
    defined: Callable[[Design, int], Fraction] | None = None,
) -> list[Reading]:
    """`defined`: r_i by design and rank, had the paper stated it."""

    def uniform_at_equality(r: Callable[[Design, int], Fraction]):
        return tally(
            (d, all(r(d, rank) / d.q == Fraction(1, d.n) for rank in range(1, d.n + 1)))
            for d in all_designs(10)
            if d.q == d.s
        )

    meant = uniform_at_equality(lambda d, rank: gamma(d)[rank - 1])
    as_rank = uniform_at_equality(lambda d, rank: Fraction(rank))
    return [
        Reading(
            "Q_n is defined by r_i(θ, D).",
            None if defined is None else uniform_at_equality(defined).holds,
            "no r_i is defined in the paper",
            "comparison of printed words",
            missing=("a definition of r_i(θ, D)",) if defined is None else (),
        ),
        Reading(
            "r_i(θ, D) is γ at the rank of L_i(θ), so that r_i/q = 1/n at s = q.",
            meant.holds,
            f"true of {meant.agreeing} of {meant.cases} designs with s = q, n ≤ 10",
            "exact rational",
            meant.numbers("designs"),
            words="evident slip",
        ),
        Reading(
            "r_i(θ, D) is the rank of L_i(θ).",
            as_rank.holds,
            f"r_i/q = 1/n at s = q for {as_rank.agreeing} of {as_rank.cases} designs",
            "exact rational",
            as_rank.numbers("designs"),
            words="not in the words",
        ),
    ]


@claim(
    "theory",
    Quote(
        "§3.2, after Theorem 4",
        r"and as $s \rightarrow n$, $\sqrt{2}C_s B \sqrt{\frac{n-s}{s(n-1)}} \rightarrow 0$",
    ),
)
def thm4_fpc_vanishes(remaining: Callable[[int, Fraction], Fraction] = lambda n, s: n - s):
    """With n and q fixed, C_s = max(s/q − 1, 1) stays below n/q while the root goes to 0."""

    def squared(n: int, s: Fraction, q: int) -> Fraction:
        return 2 * max(s / q - 1, Fraction(1)) ** 2 * remaining(n, s) / (s * (n - 1))

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
    near = {s: float(squared(200, Fraction(s), 60)) ** 0.5 for s in (100, 150, 199, 200)}
    return [
        Reading(
            "√2 C_s B √((n−s)/(s(n−1))) → 0 as s → n, with n and q fixed.",
            closed_form.holds and limits.holds and near[200] == 0,
            "per unit of B, n = 200, q = 60: "
            + ", ".join(f"{value:.3f} at s = {s}" for s, value in near.items()),
            "exact rational",
            {f"term over B at n = 200, q = 60, s = {s}": value for s, value in near.items()},
        )
    ]


@claim(
    "theory",
    Quote(
        "§3.2, end",
        "Specifically, when $q = s$, **OrderDP** reduces to standard SGD. In this case, the "
        r"bias term vanishes, yielding $\mathcal{L}_q = \mathcal{L}$.",
    ),
)
def thm4_sgd_case(weights: Callable[[Design], list[Fraction]] = spectrum) -> list[Reading]:
    result = tally(
        (
            d,
            max(map(abs, deviations(d))) == 0
            and all(
                spectral(weights(d), losses) == mean_of(losses)
                for losses in random_sets(10, d.n, 3)
            ),
        )
        for d in all_designs(12)
        if d.s == d.q
    )
    return [
        Reading(
            "For s = q: C_s = 0, Q_n = 0 and L_q = L, the loss of the data set.",
            result.holds,
            f"exact for {result.agreeing} of {result.cases} designs with s = q, n ≤ 12",
            "exact rational",
            result.numbers("designs"),
        )
    ]


@claim(
    "theory",
    Quote(
        "§3.2",
        "As the pruning ratio decreases (i.e., q approaches s), the range of the γ_j "
        "distribution narrows, and its shift from the uniform distribution diminishes and "
        r"both C_s and $\mathcal{Q}_n(\theta; s, q)$ decrease",
    ),
)
def thm4_range(extent: Callable[[Design], Fraction] | None = None) -> list[Reading]:
    def width(d: Design) -> Fraction:
        weights = spectrum(d)
        return max(weights) - min(weights) if extent is None else extent(d)

    columns = [
        [Design(n, s, q) for q in range(1, s + 1)] for n in range(2, 13) for s in (n // 2, n)
    ]
    narrows = tally(
        (
            column[0],
            all(width(a) > width(b) for a, b in pairwise(column))
            and all(total_deviation(a) > total_deviation(b) for a, b in pairwise(column))
            and all(largest_deviation(a) >= largest_deviation(b) for a, b in pairwise(column)),
        )
        for column in columns
    )
    strictly = tally(
        (column[0], all(largest_deviation(a) > largest_deviation(b) for a, b in pairwise(column)))
        for column in columns
    )
    last = {s: 2 * s * width(Design(2 * s, s, s - 1)) for s in (10, 20, 40, 80)}
    return [
        Reading(
            "With n and s fixed, a larger q makes the range of γ_j/q and the total variation "
            "smaller and C_s not larger.",
            narrows.holds,
            f"true for {narrows.agreeing} of {narrows.cases} (n, s), n ≤ 12; the range is s/(n q) "
            "for q < s",
            "exact rational",
            narrows.numbers("pairs (n, s)"),
        ),
        Reading(
            "C_s falls with every step of q.",
            strictly.holds,
            f"true for {strictly.agreeing} of {strictly.cases} (n, s): C_s = 1 for s/2 ≤ q < s",
            "exact rational",
            strictly.numbers("pairs (n, s)"),
        ),
        Reading(
            "n times the range tends to 0 as q → s.",
            all(s * value <= 2 for s, value in last.items()),
            "at q = s − 1, n = 2s it is "
            + ", ".join(f"{float(v):.3f} at s = {s}" for s, v in last.items()),
            "exact rational",
            {f"n · range at n = 2s, q = s − 1, s = {s}": v for s, v in last.items()},
            words="not in the words",
        ),
    ]


def quantile_distance(sample: Sequence[Fraction], full: Sequence[Fraction]) -> Fraction:
    """∫₀¹ |F_{n,m}^{-1}(t) − F_n^{-1}(t)| dt, as the area between the two CDFs."""

    def below(values: Sequence[Fraction], at: Fraction) -> Fraction:
        return Fraction(sum(x <= at for x in values), len(values))

    return sum(
        (abs(below(sample, a) - below(full, a)) * (b - a) for a, b in pairwise(sorted(set(full)))),
        Fraction(0),
    )


@claim(
    "theory",
    Quote("A.4, after Eq. 38", "the fourth inequality follows Lemma 14 in (Mehta et al., 2023)"),
    Quote(
        "A.4 Eq. 38",
        r"\sup_{\theta \in \Theta} \|s - u\|_{\infty} \mathbb{E}[\|F_{n,m}^{-1} - "
        r"F_n^{-1}\|_1]",
    ),
    Quote(
        "A.4 Eq. 38", r"- \mathcal{Q}_n(\theta^t; s, q) + \sqrt{2} C_s B \sqrt{\frac{n-s}{s(n-1)}}"
    ),
)
def a4_wasserstein_lemma(squared_constant: Fraction = Fraction(2)) -> list[Reading]:
    """The constant 1 does, with B = max_i |x_i| at the same θ: x_i = ±B in equal numbers, m = 1."""
    cases, ratios = [], []
    for n in range(2, 8):
        half = [Fraction(1)] * (n // 2) + [Fraction(-1)] * (n - n // 2)
        for full in [half, *random_sets(11, n, 4, signed=True)]:
            for m in range(1, n + 1):
                mean = mean_of([quantile_distance(drawn, full) for drawn in combinations(full, m)])
                unit = max(map(abs, full)) ** 2 * Fraction(n - m, m * (n - 1))
                cases.append(((n, m), mean**2 <= squared_constant * unit))
                ratios += [mean**2 / unit] if unit else []
    result = tally(cases)
    largest = float(max(ratios)) ** 0.5
    return [
        Reading(
            "E‖F_{n,m}^{-1} − F_n^{-1}‖_1 ≤ √2 B √((n−m)/(m(n−1))), B the largest absolute value.",
            result.holds,
            f"holds in {result.agreeing} of {result.cases} cases, all draws counted; largest ratio "
            f"to B √((n−m)/(m(n−1))) is {largest:.3f}",
            "exact enumeration",
            {**result.numbers("cases"), "largest ratio to B √((n−m)/(m(n−1)))": largest},
        )
    ]
