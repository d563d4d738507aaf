"""A.4: spectral risks of the data and of a candidate set, and the lemma between them."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations, pairwise
from math import comb
from typing import Literal

import numpy as np

from orderdp_theory import Design
from orderdp_theory.claims.designs import all_designs, explores_and_prunes
from orderdp_theory.claims.exact_training import (
    gamma,
)
from orderdp_theory.claims.reading import Reading, tally
from orderdp_theory.claims.registry import Quote, claim
from orderdp_theory.claims.weights import (
    largest_deviation,
    spectrum,
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


def mean_of(values: Sequence[Fraction]) -> Fraction:
    """The arithmetic mean."""
    return sum(values, Fraction(0)) / len(values)


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
