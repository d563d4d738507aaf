"""The bias terms C_s, Q_n and the finite-population factor of Theorem 4 as q → s and s → n.

For losses in falling order the spectrum density s(t) is n γ_j/q on the j-th of n equal intervals
and u(t) = 1, so C_s = max_j |n γ_j/q − 1|.
"""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

from orderdp_theory import Design
from orderdp_theory.claims.designs import all_designs
from orderdp_theory.claims.exact_training import (
    gamma,
)
from orderdp_theory.claims.reading import Reading, tally
from orderdp_theory.claims.registry import Quote, claim
from orderdp_theory.claims.spectral import mean_of, random_sets, spectral
from orderdp_theory.claims.weights import (
    deviations,
    largest_deviation,
    spectrum,
    total_deviation,
)


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
