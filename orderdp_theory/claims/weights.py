"""A.1, D.2 and §3.1: the inclusion probabilities γ_j."""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import combinations, pairwise
from math import comb

import numpy as np
from flint import arb, ctx

from orderdp_theory import Design, inclusion_probabilities, inclusion_probabilities_ball
from orderdp_theory.claims.designs import all_designs, explores_and_prunes
from orderdp_theory.claims.exact_training import gamma, gamma_limit
from orderdp_theory.claims.reading import Reading, tally
from orderdp_theory.claims.registry import Quote, claim

IMAGENET = Design.from_ratios(1_281_167)
Weights = Callable[[Design], Sequence[Fraction]]


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


def positions(n: int, s: int, j: int) -> list[int]:
    """The position of rank j in each candidate set of size s that holds it."""
    return [c.index(j) + 1 for c in combinations(range(1, n + 1), s) if j in c]


def sum_over_positions(d: Design, j: int, last: int) -> Fraction:
    """Σ_{l = max(1, s − n + j)}^{last} C(j − 1, l − 1) C(n − j, s − l) / C(n, s)."""
    n, s = d.n, d.s
    terms = (
        choose(j - 1, at - 1) * choose(n - j, s - at) for at in range(max(1, s - n + j), last + 1)
    )
    return Fraction(sum(terms), comb(n, s))


def spectrum(d: Design) -> list[Fraction]:
    """The weights γ_j/q of L_q."""
    return [g / d.q for g in gamma(d)]


def deviations(d: Design) -> list[Fraction]:
    """n γ_j/q − 1 for every rank."""
    return [d.n * w - 1 for w in spectrum(d)]


def largest_deviation(d: Design) -> Fraction:
    """C_s of A.4 (the raised 2 in Theorem 4 marks its footnote)."""
    return max(map(abs, deviations(d)))


def total_deviation(d: Design) -> Fraction:
    """The total variation between γ/q and the uniform distribution."""
    return sum(map(abs, deviations(d)), Fraction(0)) / (2 * d.n)


@claim(
    "theory",
    Quote(
        "A.1, before Eq. 8",
        r"There are in total $\binom{n}{s}$ different sets S such that $|S| = s$. Among them, "
        r"there are $\binom{n-1}{s-1}$ different sets S which contains the index (j)",
    ),
)
def a1_candidate_probability(
    count: Callable[[int, int], int] = lambda n, s: comb(n - 1, s - 1),
) -> list[Reading]:
    result = tally(
        ((n, s, j), sum(j in c for c in combinations(range(n), s)) == count(n, s))
        for n in range(1, 10)
        for s in range(1, n + 1)
        for j in range(n)
    )
    return [
        Reading(
            "C(n−1, s−1) of the C(n, s) candidate sets contain (j), whatever its rank.",
            result.holds,
            f"agrees for {result.agreeing} of {result.cases} (n, s, j) with n ≤ 9",
            "exact enumeration",
            result.numbers("cases"),
        )
    ]


@claim(
    "theory",
    Quote("A.1, before Eq. 9", r"There are $\binom{n-j}{s-l}$ such possible set S for $(j) \in S$"),
)
def a1_number_of_sets(
    count: Callable[[int, int, int, int], int] = lambda n, s, j, at: choose(n - j, s - at),
) -> list[Reading]:
    cases = [
        ((n, s, j, at), positions(n, s, j).count(at))
        for n in range(1, 9)
        for s in range(1, n + 1)
        for j in range(1, n + 1)
        for at in range(1, s + 1)
    ]
    printed = tally((case, count(*case) == found) for case, found in cases)
    meant = tally(
        ((n, s, j, at), choose(j - 1, at - 1) * choose(n - j, s - at) == found)
        for (n, s, j, at), found in cases
    )
    return [
        Reading(
            "C(n−j, s−l) candidate sets have (j) at position l.",
            printed.holds,
            f"wrong for {len(printed.failures)} of {printed.cases} (n, s, j, l)",
            "exact enumeration",
            printed.numbers("cases"),
        ),
        Reading(
            "C(j−1, l−1) C(n−j, s−l) candidate sets have (j) at position l, as Eq. 9 has it.",
            meant.holds,
            f"right for {meant.agreeing} of {meant.cases} (n, s, j, l) with n ≤ 8",
            "exact enumeration",
            meant.numbers("cases"),
            words="evident slip",
        ),
    ]


@claim(
    "theory",
    Quote(
        "A.1 Eq. 10",
        r"\sum_{l=\max\{1, s-n+j\}}^{\min\{q, j\}} \frac{\binom{j-1}{l-1} "
        r"\binom{n-j}{s-l}}{\binom{n}{s}} = \gamma_j. \quad (10)",
    ),
)
def a1_gamma_formula(
    formula: Callable[[Design, int], Fraction] = lambda d, j: sum_over_positions(d, j, min(d.q, j)),
) -> list[Reading]:
    result = tally(
        ((d, j), formula(d, j) == found)
        for d in all_designs(9)
        for j, found in enumerate(counted(d), start=1)
    )
    return [
        Reading(
            "P((j) ∈ Q) = Σ_l C(j−1, l−1) C(n−j, s−l) / C(n, s).",
            result.holds,
            f"equal for {result.agreeing} of {result.cases} (n, s, q, j) with n ≤ 9",
            "exact enumeration",
            result.numbers("cases"),
        )
    ]


@claim(
    "theory",
    Quote(
        "A.1, before Eq. 9",
        r"Thus we conclude $s-n+j \leq l \leq j$, i.e., $l_1 = \max\{1, s-n+j\}$ and $l_2 = "
        r"\min\{1, j\}$.",
    ),
)
def a1_upper_limit(
    upper_limit: Callable[[int, int], int] = lambda q, j: min(1, j),
) -> list[Reading]:
    def agreeing(limit: Callable[[int, int], int]):
        return tally(
            (d, [sum_over_positions(d, j, limit(d.q, j)) for j in range(1, d.n + 1)] == counted(d))
            for d in all_designs(8)
        )

    printed, meant = agreeing(upper_limit), agreeing(min)
    return [
        Reading(
            "P((j) ∈ Q) is the sum up to l_2 = min{1, j}.",
            printed.holds,
            f"wrong for {len(printed.failures)} of {printed.cases} designs with n ≤ 8",
            "exact enumeration",
            printed.numbers("designs"),
        ),
        Reading(
            "P((j) ∈ Q) is the sum up to l_2 = min{q, j}, as in Eq. 9 and 10.",
            meant.holds,
            f"right for {meant.agreeing} of {meant.cases} designs with n ≤ 8",
            "exact enumeration",
            meant.numbers("designs"),
            words="evident slip",
        ),
    ]


@claim(
    "theory",
    Quote(
        "A.1, before Eq. 9",
        r"thus we have the constraints: $$s-l \leq n-j \quad \text{and} \quad 1 \leq l-1 \leq "
        "j-1.$$",
    ),
)
def a1_lower_constraint(lowest: int = 1) -> list[Reading]:
    cases = [(n, s, j) for n in range(1, 9) for s in range(1, n + 1) for j in range(1, n + 1)]
    taken = {case: {at - 1 for at in positions(*case)} for case in cases}

    def within(low: int):
        return tally((c, all(low <= at <= c[2] - 1 for at in taken[c])) for c in cases)

    printed, meant = within(lowest), within(0)
    return [
        Reading(
            f"(j) at position l of S implies {lowest} ≤ l − 1 ≤ j − 1.",
            printed.holds,
            f"l − 1 = {min(min(found) for found in taken.values())} occurs: "
            f"{len(printed.failures)} of {printed.cases} (n, s, j) break the constraint",
            "exact enumeration",
            printed.numbers("cases"),
        ),
        Reading(
            "(j) at position l of S implies 0 ≤ l − 1 ≤ j − 1, so that l_1 ≥ 1 as concluded.",
            meant.holds,
            f"kept by all {meant.cases} (n, s, j) with n ≤ 8",
            "exact enumeration",
            meant.numbers("cases"),
            words="evident slip",
        ),
    ]


@claim(
    "theory",
    Quote(
        "A.1, before Eq. 7",
        r"For any given index j , $P((j) \in Q) \neq \frac{q}{n}$ thus $E\tilde{g}^t \notin "
        r"\partial L(\theta^t)$.",
    ),
)
def a1_never_uniform(designs: Iterable[Design] | None = None) -> list[Reading]:
    cases = [
        (d, j, found != Fraction(d.q, d.n))
        for d in (all_designs(9) if designs is None else designs)
        for j, found in enumerate(counted(d), start=1)
    ]
    every = tally(((d, j), differs) for d, j, differs in cases)
    ranked = tally(((d, j), differs) for d, j, differs in cases if explores_and_prunes(d))
    d, j = next(iter(ranked.failures), (Design(1, 1, 1), 1))
    return [
        Reading(
            "P((j) ∈ Q) ≠ q/n for every j.",
            every.holds,
            f"(n, s, q) = ({d.n}, {d.s}, {d.q}), rank {j}: exactly q/n = {Fraction(d.q, d.n)}"
            if every.failures
            else "no rank has probability q/n",
            "counterexample",
            every.numbers("cases (n, s, q, j)"),
            correction="For q < s the first rank has more than q/n and the last has 0; ranks "
            "between may have exactly q/n, and for q = s all have.",
        ),
        Reading(
            "P((j) ∈ Q) ≠ q/n for every j, if q < s < n.",
            ranked.holds,
            f"fails for {len(ranked.failures)} of {ranked.cases} (n, s, q, j)",
            "exact enumeration",
            ranked.numbers("cases with q < s < n"),
            words="with a condition",
        ),
    ]


@claim(
    "theory",
    Quote(
        "§3.1",
        "which can be easily verified through a numerical simulation showing that "
        r"$\sum_{j=1}^n \gamma_j/q = 1$ for given (n, s, q) .",
    ),
    Quote(
        "D.2, end",
        r"Therefore, the original claim holds for all q : $\sum_{j=1}^n \gamma_j/q = 1$.",
    ),
)
def sec3_normalization(weights: Weights = gamma) -> list[Reading]:
    result = tally((d, sum(weights(d)) == d.q) for d in all_designs(20))
    with ctx.workprec(160):
        total = sum(inclusion_probabilities_ball(IMAGENET, bits=128), arb(0))
    return [
        Reading(
            "Σ γ_j = q for every design.",
            result.holds and bool(total.contains(IMAGENET.q)),
            f"exact for {result.agreeing} of {result.cases} designs with n ≤ 20; at "
            f"n = {IMAGENET.n} an enclosure of radius {float(total.rad()):.0e} contains q",
            "exact rational",
            result.numbers("designs") | {"radius at n = 1281167": float(total.rad())},
        )
    ]


@claim(
    "theory",
    Quote(
        "D.2, induction base",
        r"For any n, s , when $q = 1$, we can show exactly that $$\sum_j \frac{\gamma_j}{q} = "
        r"\sum_j \frac{\binom{n-1}{s-1}}{\binom{n}{s}} = 1.",
    ),
)
def d2_base_case(
    term: Callable[[int, int, int], int] = lambda n, s, j: choose(n - 1, s - 1),
) -> list[Reading]:
    cases = [(n, s) for n in range(1, 25) for s in range(1, n + 1)]

    def total(summand: Callable[[int, int, int], int], n: int, s: int) -> Fraction:
        return Fraction(sum(summand(n, s, j) for j in range(1, n + 1)), comb(n, s))

    printed = tally(((n, s), total(term, n, s) == 1) for n, s in cases)
    meant = tally(
        ((n, s), total(lambda n, s, j: choose(n - j, s - 1), n, s) == 1) for n, s in cases
    )
    return [
        Reading(
            "Σ_j C(n−1, s−1)/C(n, s) = 1.",
            printed.holds,
            f"it is {total(term, 5, 2)} at n = 5, s = 2 (in general s)",
            "exact rational",
            printed.numbers("cases (n, s)"),
        ),
        Reading(
            "Σ_j C(n−j, s−1)/C(n, s) = 1.",
            meant.holds,
            f"exact for {meant.agreeing} of {meant.cases} (n, s) with n < 25",
            "exact rational",
            meant.numbers("cases (n, s)"),
            words="evident slip",
        ),
    ]


@claim(
    "theory",
    Quote(
        "D.2, induction step",
        r"we obtain the total number of subsets of size s : $\sum_{j=m+1}^{n-s+m+1} "
        r"\binom{j-1}{m} \binom{n-j}{s-m-1} = \binom{n}{s}$",
    ),
)
def d2_induction_step(
    term: Callable[[int, int, int, int], int] = lambda n, s, m, j: (
        choose(j - 1, m) * choose(n - j, s - m - 1)
    ),
) -> list[Reading]:
    result = tally(
        ((n, s, m), sum(term(n, s, m, j) for j in range(m + 1, n - s + m + 2)) == comb(n, s))
        for n in range(1, 31)
        for s in range(1, n + 1)
        for m in range(s)
    )
    return [
        Reading(
            "Σ_j C(j−1, m) C(n−j, s−m−1) = C(n, s).",
            result.holds,
            f"equal for {result.agreeing} of {result.cases} (n, s, m) with n ≤ 30",
            "exact rational",
            result.numbers("cases"),
        )
    ]


@claim(
    "theory",
    Quote(
        "D.2, counting argument",
        r"Arrange the elements of the subset in increasing order: $a_1 \geq a_2 \geq \dots "
        r"\geq a_s$.",
    ),
)
def d2_order_of_subset(reverse: bool = False) -> list[Reading]:
    subsets = list(combinations(range(1, 7), 3))

    def falls(decreasing: bool):
        return tally(
            (subset, all(a >= b for a, b in pairwise(sorted(subset, reverse=decreasing))))
            for subset in subsets
        )

    printed, meant = falls(reverse), falls(True)
    return [
        Reading(
            "Arranged in increasing order, a_1 ≥ a_2 ≥ … ≥ a_s.",
            printed.holds,
            f"false for {len(printed.failures)} of {printed.cases} subsets",
            "exact enumeration",
            printed.numbers("subsets"),
        ),
        Reading(
            "Arranged in decreasing order, a_1 ≥ a_2 ≥ … ≥ a_s.",
            meant.holds,
            f"true for {meant.agreeing} of {meant.cases} subsets",
            "exact enumeration",
            meant.numbers("subsets"),
            words="evident slip",
        ),
    ]


@claim(
    "theory",
    Quote(
        "D.2, counting argument",
        "Let $j = m+1$, i.e., the $(m+1)$ -th largest element is at position j .",
    ),
)
def d2_position_of_element(
    position: Callable[[int, int, int], set[int]] = lambda n, s, m: {m + 1},
) -> list[Reading]:
    n, s = 7, 3
    reached = {m: {c[m] for c in combinations(range(1, n + 1), s)} for m in range(s)}
    printed = all(reached[m] == position(n, s, m) for m in range(s))
    meant = all(reached[m] == set(range(m + 1, n - s + m + 2)) for m in range(s))
    found = f"at n = {n}, s = {s}, m = 1 it takes the positions {sorted(reached[1])}"
    return [
        Reading(
            "The (m + 1)-th element of the subset is at position j = m + 1.",
            printed,
            found,
            "exact enumeration",
            {"positions reached at n = 7, s = 3, m = 1": len(reached[1])},
        ),
        Reading(
            "The (m + 1)-th element is at a position j = m + 1 … n − s + m + 1, over which the "
            "next display sums.",
            meant,
            found,
            "exact enumeration",
            words="evident slip",
        ),
    ]


@claim(
    "theory",
    Quote(
        "§3.1, Fig. 5",
        "For the structure of γ_j itself, Fig 5 shows that γ_j monotonically decays.",
    ),
)
def sec3_monotone(weights: Weights = gamma) -> list[Reading]:
    designs = list(all_designs(20))
    never_rises = tally((d, all(a >= b for a, b in pairwise(weights(d)))) for d in designs)
    falls = tally((d, all(a > b for a, b in pairwise(weights(d)))) for d in designs)
    return [
        Reading(
            "γ_j never rises with j.",
            never_rises.holds,
            f"true of {never_rises.agreeing} of {never_rises.cases} designs with n ≤ 20",
            "exact rational",
            never_rises.numbers("designs"),
        ),
        Reading(
            "γ_j falls with every j.",
            falls.holds,
            f"true of {falls.agreeing} of {falls.cases} designs: there is a plateau of q ranks, "
            "and zeros at the end",
            "exact rational",
            falls.numbers("designs"),
        ),
    ]


@claim(
    "theory",
    Quote("§3.1", "each weight γ_j depends only on (n, s, q)"),
    Quote(
        "§3.1",
        "If we fix (s, q) , the cliff becomes smoother and closer to $r(z)$ as j, n increase.",
    ),
)
def sec31_r_of_z(
    r: Callable[[Fraction], Fraction] | None = None, sizes: Sequence[int] = (200, 400, 800, 1600)
) -> list[Reading]:
    """`r`: the function, had the paper defined it."""
    s, q = 100, 30  # as in Fig. 5

    def errors(limit: Callable[[Fraction], Fraction]) -> dict[int, Fraction]:
        """Largest |n γ_j − limit(j/n)| over s, by n."""
        return {
            n: max(
                abs(n * g - limit(Fraction(j, n))) for j, g in enumerate(gamma(Design(n, s, q)), 1)
            )
            / s
            for n in sizes
        }

    def falls(found: dict[int, Fraction]) -> bool:
        return all(a > b for a, b in pairwise(found.values()))

    meant = errors(lambda z: gamma_limit(z, s, q))
    return [
        Reading(
            "The curves n γ_j approach r(z).",
            None if r is None else falls(errors(r)),
            "no r is defined in the paper" if r is None else "approached at every size",
            "comparison of printed words",
            missing=("a definition of r(z)",) if r is None else (),
        ),
        Reading(
            "The curves n γ_j approach γ(z) of Proposition 2.",
            falls(meant),
            f"largest |n γ_j − γ(j/n)| over s at (s, q) = ({s}, {q}): "
            + ", ".join(f"{float(e):.4f} at n = {n}" for n, e in meant.items()),
            "exact rational",
            {f"largest distance over s at n = {n}": e for n, e in meant.items()},
            words="evident slip",
        ),
    ]


@claim(
    "theory",
    Quote(
        "D.2, Fig. 8",
        r"Figure 8 further shows the empirical values of $\sum_{j=1}^n \gamma_j/q$ across $q "
        r"\in \{10, 20, \dots, 100\}$, all of which lie extremely close to 1 (within "
        "floating-point error).",
    ),
)
def d2_fig8_normalization(
    floats: Callable[[Design], np.ndarray] = inclusion_probabilities,
) -> list[Reading]:
    errors = [abs(float(np.sum(floats(Design(400, 100, q)))) / q - 1) for q in range(10, 101, 10)]
    limit = 400 * np.finfo(float).eps
    return [
        Reading(
            "In double precision Σ γ_j / q differs from 1 by rounding only, with the "
            "(n, s) = (400, 100) of Fig. 7.",
            max(errors) <= limit,
            f"largest deviation {max(errors):.1e}; 400 roundings are {limit:.1e}",
            "floating point",
            {"largest deviation": max(errors), "400 units of rounding": limit},
        )
    ]


@claim(
    "theory",
    Quote(
        "D.2, Fig. 7",
        "As q increases, the curves gradually flatten and approach the uniform distribution, "
        "consistent with Theorem 4.",
    ),
)
def d2_fig7_flatten(
    deviation: Callable[[Design], Fraction] = total_deviation,
) -> list[Reading]:
    values = {q: deviation(Design(400, 100, q)) for q in range(1, 101)}
    falls = all(a > b for a, b in pairwise(values.values()))
    largest = {q: largest_deviation(Design(400, 100, q)) for q in (60, 80, 99, 100)}
    return [
        Reading(
            "The total variation between γ/q and uniform falls with q, to 0, at (n, s) = "
            "(400, 100).",
            falls and values[100] == 0,
            ", ".join(f"{float(values[q]):.4f} at q = {q}" for q in (1, 30, 99, 100)),
            "exact rational",
            {f"total variation at q = {q}": values[q] for q in (1, 30, 99, 100)},
        ),
        Reading(
            "The largest relative distance from uniform falls with q, to 0.",
            all(a > b for a, b in pairwise(largest.values())),
            ", ".join(f"{float(v):.4f} at q = {q}" for q, v in largest.items()),
            "exact rational",
            {f"largest relative distance at q = {q}": v for q, v in largest.items()},
        ),
    ]
