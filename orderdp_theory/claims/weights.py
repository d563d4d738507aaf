"""A.1, D.2 and §3.1: the inclusion probabilities γ_j."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations, pairwise
from math import comb

import numpy as np
from flint import arb, ctx

from orderdp_theory.ball import inclusion_probabilities_ball
from orderdp_theory.claims.designs import all_designs, explores_and_prunes
from orderdp_theory.claims.exact_training import gamma
from orderdp_theory.claims.finding import Finding, tally
from orderdp_theory.claims.registry import claim
from orderdp_theory.design import Design
from orderdp_theory.deviation import total_variation
from orderdp_theory.inclusion import inclusion_probabilities

IMAGENET = Design.from_ratios(1_281_167)


def choose(a: int, b: int) -> int:
    """The binomial coefficient, zero out of range."""
    return comb(a, b) if a >= 0 and b >= 0 else 0


def counted(d: Design) -> list[Fraction]:
    """P((j) ∈ Q) for every rank by counting candidate sets."""
    times = [0] * d.n
    for candidates in combinations(range(d.n), d.s):
        for rank in candidates[: d.q]:
            times[rank] += 1
    return [Fraction(t, comb(d.n, d.s)) for t in times]


def positions(n: int, s: int, j: int) -> set[int]:
    """The positions that rank j takes in candidate sets of size s that hold it."""
    return {
        candidates.index(j) + 1
        for candidates in combinations(range(1, n + 1), s)
        if j in candidates
    }


def sum_over_positions(d: Design, j: int, last: int) -> Fraction:
    """Σ_{l = max(1, s − n + j)}^{last} C(j − 1, l − 1) C(n − j, s − l) / C(n, s)."""
    n, s = d.n, d.s
    terms = (
        choose(j - 1, at - 1) * choose(n - j, s - at) for at in range(max(1, s - n + j), last + 1)
    )
    return Fraction(sum(terms), comb(n, s))


@claim
def a1_gamma_formula(
    formula: Callable[[Design, int], Fraction] = lambda d, j: sum_over_positions(d, j, min(d.q, j)),
) -> Finding:
    """P((j) ∈ Q) equals the printed sum for γ_j.

    Source: A.1 Eq. 10.
    """
    result = tally(
        ((d, j), formula(d, j) == found)
        for d in all_designs(9)
        for j, found in enumerate(counted(d), start=1)
    )
    return Finding(
        claimed="γ_j = Σ_l C(j−1, l−1) C(n−j, s−l) / C(n, s)",
        found=f"equal for all {result.cases} (n, s, q, j) with n ≤ 9"
        if result.holds
        else f"differs for {len(result.failures)} of {result.cases} (n, s, q, j)",
        holds=result.holds,
        method="exact enumeration",
        numbers=result.numbers("cases"),
    )


@claim
def a1_upper_limit(
    upper_limit: Callable[[int, int], int] = lambda q, j: min(1, j),
) -> Finding:
    """The upper summation limit is l_2 = min{1, j}.

    Eq. 9 and 10 sum to min{q, j}.

    Source: A.1.
    """

    def agrees(limit: Callable[[int, int], int]) -> list[tuple[Design, bool]]:
        return [
            (d, [sum_over_positions(d, j, limit(d.q, j)) for j in range(1, d.n + 1)] == counted(d))
            for d in all_designs(8)
        ]

    printed = tally(agrees(upper_limit))
    meant = tally(agrees(min))
    return Finding(
        claimed="l_2 = min{1, j}",
        found=f"wrong for {len(printed.failures)} of {printed.cases} designs; min{{q, j}} is "
        f"right for {meant.agreeing}",
        holds=printed.holds,
        holds_as_meant=meant.holds,
        method="exact enumeration",
        numbers={
            **printed.numbers("designs"),
            "designs where min{q, j} is wrong": len(meant.failures),
        },
        correction="l_2 = min{q, j}",
    )


@claim
def a1_lower_constraint(lowest: int = 1) -> Finding:
    """The position l of (j) in S satisfies 1 ≤ l − 1 ≤ j − 1.

    l − 1 counts the better candidates, which may be none; A.1 itself concludes l_1 ≥ 1.

    Source: A.1.
    """
    cases = [(n, s, j) for n in range(1, 9) for s in range(1, n + 1) for j in range(1, n + 1)]
    taken = {case: positions(*case) for case in cases}

    def within(low: int) -> list[tuple[tuple[int, int, int], bool]]:
        return [(c, all(low <= at - 1 <= c[2] - 1 for at in taken[c])) for c in cases]

    printed, meant = tally(within(lowest)), tally(within(0))
    return Finding(
        claimed=f"l − 1 ≥ {lowest}",
        found=f"l − 1 = {min(at - 1 for found in taken.values() for at in found)} occurs; "
        f"{len(printed.failures)} of {printed.cases} (n, s, j) break the constraint",
        holds=printed.holds,
        holds_as_meant=meant.holds,
        method="exact enumeration",
        numbers={
            **printed.numbers("cases"),
            "cases that break 0 ≤ l − 1 ≤ j − 1": len(meant.failures),
        },
        correction="0 ≤ l − 1 ≤ j − 1",
    )


@claim
def a1_candidate_probability() -> Finding:
    """P((j) ∈ S) = C(n−1, s−1)/C(n, s), whatever the rank.

    Source: A.1 Eq. 8.
    """
    result = tally(
        (
            (n, s, j),
            Fraction(sum(j in c for c in combinations(range(n), s)), comb(n, s))
            == Fraction(comb(n - 1, s - 1), comb(n, s)),
        )
        for n in range(1, 10)
        for s in range(1, n + 1)
        for j in range(n)
    )
    return Finding(
        claimed="C(n−1, s−1)/C(n, s)",
        found=f"equal for all {result.cases} (n, s, j) with n ≤ 9; it is s/n",
        holds=result.holds,
        method="exact enumeration",
        numbers=result.numbers("cases"),
    )


@claim
def a1_never_uniform(designs: Sequence[Design] | None = None) -> Finding:
    """For any given index j, P((j) ∈ Q) ≠ q/n.

    Source: A.1, first display.
    """
    result = tally(
        ((d, j), found != Fraction(d.q, d.n), explores_and_prunes(d))
        for d in (all_designs(9) if designs is None else designs)
        for j, found in enumerate(counted(d), start=1)
    )
    example = next((f for f in result.failures if explores_and_prunes(f[0])), None)
    return Finding(
        claimed="P((j) ∈ Q) ≠ q/n for every j",
        found="no rank has probability q/n"
        if example is None
        else f"(n, s, q) = ({example[0].n}, {example[0].s}, {example[0].q}), rank {example[1]}: "
        f"exactly q/n = {Fraction(example[0].q, example[0].n)}",
        holds=result.holds,
        holds_under_condition=result.holds_inside,
        method="exact enumeration",
        numbers={
            **result.numbers("cases (n, s, q, j)"),
            "of these with q < s < n": result.failures_inside,
        },
        correction="For q < s the first rank has more than q/n and the last has 0; ranks between "
        "may have exactly q/n, and for q = s all have.",
    )


@claim
def sec3_normalization() -> Finding:
    """Σ γ_j / q = 1 for every admissible (n, s, q).

    Source: §3.1, D.2.
    """
    result = tally((d, sum(gamma(d)) == d.q) for d in all_designs(20))
    with ctx.workprec(160):
        total = sum(inclusion_probabilities_ball(IMAGENET, bits=128), arb(0))
    encloses = bool(total.contains(IMAGENET.q))
    return Finding(
        claimed="Σ γ_j = q",
        found=f"exact for all {result.cases} designs with n ≤ 20; at n = {IMAGENET.n} the "
        f"enclosure of Σ γ_j − q has radius {float(total.rad()):.0e}",
        holds=result.holds and encloses,
        method="exact rational",
        numbers={
            **result.numbers("designs"),
            "Σ γ_j − q at n = 1281167, midpoint": float((total - IMAGENET.q).mid()),
            "Σ γ_j − q at n = 1281167, radius": float(total.rad()),
        },
    )


@claim
def d2_base_case(
    term: Callable[[int, int, int], int] = lambda n, s, j: choose(n - 1, s - 1),
) -> Finding:
    """For q = 1 the sum is Σ_j C(n−1, s−1)/C(n, s) and equals 1.

    Source: D.2, induction base.
    """
    cases = [(n, s) for n in range(1, 25) for s in range(1, n + 1)]

    def total(summand: Callable[[int, int, int], int], n: int, s: int) -> Fraction:
        return Fraction(sum(summand(n, s, j) for j in range(1, n + 1)), comb(n, s))

    printed = tally(((n, s), total(term, n, s) == 1) for n, s in cases)
    meant = tally(
        ((n, s), total(lambda n, s, j: choose(n - j, s - 1), n, s) == 1) for n, s in cases
    )
    n, s = 5, 2
    return Finding(
        claimed="1",
        found=f"the printed sum is {total(term, n, s)} at n = 5, s = 2 (in general s); with "
        "C(n−j, s−1) it is 1",
        holds=printed.holds,
        holds_as_meant=meant.holds,
        method="exact rational",
        numbers={
            "printed sum at n = 5, s = 2": total(term, n, s),
            **printed.numbers("cases (n, s)"),
            "cases where Σ C(n−j, s−1)/C(n, s) is not 1": len(meant.failures),
        },
        correction="Σ_j C(n−j, s−1)/C(n, s) = 1",
    )


@claim
def d2_induction_step() -> Finding:
    """Σ_j C(j−1, m) C(n−j, s−m−1) = C(n, s).

    Source: D.2, induction step.
    """
    result = tally(
        (
            (n, s, m),
            sum(choose(j - 1, m) * choose(n - j, s - m - 1) for j in range(1, n + 1)) == comb(n, s),
        )
        for n in range(1, 31)
        for s in range(1, n + 1)
        for m in range(s)
    )
    return Finding(
        claimed="C(n, s)",
        found=f"equal for all {result.cases} (n, s, m) with n ≤ 30",
        holds=result.holds,
        method="exact rational",
        numbers=result.numbers("cases"),
    )


@claim
def d2_order_of_subset(reverse: bool = False) -> Finding:
    """Arranged in increasing order, the subset is a_1 ≥ a_2 ≥ … ≥ a_s.

    Source: D.2, counting argument.
    """
    subsets = list(combinations(range(1, 7), 3))

    def agrees(decreasing: bool) -> bool:
        arranged = [sorted(subset, reverse=decreasing) for subset in subsets]
        return all(a >= b for row in arranged for a, b in pairwise(row))

    return Finding(
        claimed="increasing order gives a_1 ≥ a_2 ≥ …",
        found="increasing order gives a_1 < a_2 < …; decreasing order gives the printed chain",
        holds=agrees(reverse),
        holds_as_meant=agrees(True),
        method="exact enumeration",
        numbers={"subsets": len(subsets)},
        correction="Arranged in decreasing order, a_1 ≥ a_2 ≥ … ≥ a_s.",
    )


@claim
def d2_position_of_element(position: Callable[[int], int] | None = lambda m: m + 1) -> Finding:
    """The (m + 1)-th element of the subset is at position j = m + 1 of the whole set.

    The sum that follows runs over j = m + 1 … n − s + m + 1.

    Source: D.2, counting argument.
    """
    n, s = 7, 3

    def reached(m: int) -> set[int]:
        return {subset[m] for subset in combinations(range(1, n + 1), s)}

    def claimed(m: int) -> set[int]:
        return set(range(m + 1, n - s + m + 2)) if position is None else {position(m)}

    printed = all(reached(m) == claimed(m) for m in range(s))
    meant = all(reached(m) == set(range(m + 1, n - s + m + 2)) for m in range(s))
    return Finding(
        claimed="j = m + 1",
        found=f"at n = {n}, s = {s}, m = 1 it takes the positions {sorted(reached(1))}",
        holds=printed,
        holds_as_meant=meant,
        method="exact enumeration",
        numbers={"positions reached at n = 7, s = 3, m = 1": len(reached(1))},
        correction="j takes every value from m + 1 to n − s + m + 1, as the sum has it.",
    )


@claim
def sec3_monotone() -> Finding:
    """γ_j decreases monotonically in j.

    Non-increasing is what can hold: γ_1 = … = γ_q = s/n.

    Source: §3.1, Fig. 5.
    """
    designs = list(all_designs(20))
    result = tally(
        (d, all(a >= b for a, b in zip(gamma(d), gamma(d)[1:], strict=False))) for d in designs
    )
    strict = sum(all(a > b for a, b in zip(gamma(d), gamma(d)[1:], strict=False)) for d in designs)
    return Finding(
        claimed="γ_j ≥ γ_{j+1}",
        found=f"non-increasing for all {result.cases} designs with n ≤ 20 (strictly for {strict}: "
        "a plateau of q ranks, then zeros)",
        holds=result.holds,
        method="exact rational",
        numbers={
            **result.numbers("designs"),
            "designs that decrease strictly": strict,
        },
    )


@claim
def d2_fig8_normalization() -> Finding:
    """The computed Σ γ_j / q is 1 within floating-point error for q = 10, 20, …, 100.

    Source: D.2, Fig. 8, with the (n, s) = (400, 100) of Fig. 7.
    """
    errors = {
        q: abs(float(np.sum(inclusion_probabilities(Design(400, 100, q)))) / q - 1)
        for q in range(10, 101, 10)
    }
    worst = max(errors.values())
    return Finding(
        claimed="1 up to rounding",
        found=f"largest deviation {worst:.1e}",
        holds=worst <= 400 * np.finfo(float).eps,
        method="certified enclosure",
        numbers={"largest deviation": worst, "400 units of rounding": 400 * np.finfo(float).eps},
    )


@claim
def d2_fig7_flatten() -> Finding:
    """As q increases the curves γ_j/q flatten and approach the uniform distribution.

    Measured by total variation; the largest ratio to uniform does not vanish (thm4-cs-vanishes).

    Source: D.2, Fig. 7, (n, s) = (400, 100).
    """
    deviations = [total_variation(Design(400, 100, q)) for q in range(1, 101)]
    falls = all(a > b for a, b in pairwise(deviations))
    return Finding(
        claimed="deviation from uniform falls to 0",
        found=f"total variation {deviations[0]:.3f} at q = 1, {deviations[98]:.4f} at q = 99, "
        f"{deviations[99]:.0e} at q = 100",
        holds=falls and deviations[-1] <= 1e-12,
        method="exact rational",
        numbers={
            "total variation at q = 1": deviations[0],
            "total variation at q = 30": deviations[29],
            "total variation at q = 99": deviations[98],
            "total variation at q = 100": deviations[99],
        },
    )
