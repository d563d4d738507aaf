"""Questions that the paper does not raise, asked of its theorems and tables."""

from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np

from orderdp_theory import Design
from orderdp_theory.claims.chance import binomial_tail
from orderdp_theory.claims.designs import all_designs
from orderdp_theory.claims.exact_training import (
    breakpoints,
    mean_loss,
    random_losses,
    random_vector,
    ranked_loss,
)
from orderdp_theory.claims.reading import Reading, tally
from orderdp_theory.claims.registry import Quote, claim
from orderdp_theory.claims.tables import FULL, Table, accuracies, read_table, setting, where
from orderdp_theory.claims.weights import total_deviation


@claim("toolkit", Quote("Theorem 4, with L the loss of the data set"))
def thm4_says_nothing(margin: Fraction = Fraction(0)) -> list[Reading]:
    """L(θ*) − L_q(θ) ≤ L(θ) − L_q(θ) ≤ −Q_n: at any points, trained or not, without other terms.

    `margin` is subtracted from the right side, to see the check fail.
    """
    rng = np.random.default_rng(12)
    cases = []
    for design in all_designs(5):
        losses = random_losses(rng, design.n, 1)
        points = [random_vector(rng, 1, 20) for _ in range(6)]
        least = min(mean_loss(losses, p) for p in [*breakpoints(losses), *points])
        gap = min(ranked_loss(losses, design, p) - mean_loss(losses, p) for p in points)
        worst = max(least - ranked_loss(losses, design, p) for p in points)
        cases.append((design, worst <= -gap - margin))
    result = tally(cases)
    return [
        Reading(
            "Where Theorem 4 holds it does so for any points whatever, with C_s and the "
            "optimization term left out: it does not bound the risk of θ^t from above.",
            result.holds,
            f"L(θ*) − L_q(θ) ≤ −Q_n at arbitrary points in {result.agreeing} of {result.cases} "
            "problems",
            "exact rational",
            result.numbers("problems"),
        )
    ]


@claim("toolkit", Quote("Table 9, gradient norms of ε-greedy and OrderDP"))
def tab9_shared_means(table: Table = read_table(9), allowed: float = 1e-3) -> list[Reading]:
    """Two means with two decimals, equal before the point, share both digits with chance 1/100.

    That is generous to a coincidence: means of different methods need not agree before the point.
    """
    rows: dict[str, list[str]] = {}
    for row in where(table, quantity="gradient_norm"):
        rows.setdefault(row["method"], []).append(row["mean"])
    shared = {
        (a, b): sum(x == y for x, y in zip(rows[a], rows[b], strict=True))
        for a, b in combinations(rows, 2)
    }
    pair = max(shared, key=lambda names: shared[names])
    stages = len(rows[pair[0]])
    chance = len(shared) * binomial_tail(stages, Fraction(1, 100), shared[pair])
    return [
        Reading(
            "The means that two methods share are no more than chance explains.",
            chance > allowed,
            f"{' and '.join(pair)} share {shared[pair]} of {stages} means to the last digit: "
            f"chance at most {float(min(chance, Fraction(1))):.1e} over the {len(shared)} pairs",
            "exact tail probability",
            {"pairs of methods": len(shared), "means shared": shared[pair], "chance ≤": chance},
            correction="The two rows are not independent measurements.",
        )
    ]


@claim("toolkit", Quote("Table 1, static rows"))
def tab1_earlier_paper(earlier: Table | None = None) -> list[Reading]:
    """`earlier`: the table of Qin et al. (2024) in the columns of Table 1."""
    ours = read_table(1)
    static = [row for row in ours if row["method"] not in (FULL, "OrderDP")]
    theirs = {(row["method"], setting(row)): row["accuracy"] for row in earlier or []}
    result = tally((row["method"], theirs.get((row["method"], setting(row))) == row["accuracy"])
                   for row in static)  # fmt: skip
    return [
        Reading(
            "The static rows of Table 1 are those of Table 1 of Qin et al. (2024).",
            None if earlier is None else result.holds,
            f"{len(static)} accuracies to compare, none transcribed from that paper"
            if earlier is None
            else f"{result.agreeing} of {result.cases} accuracies agree",
            "arithmetic on printed numbers",
            {"accuracies to compare": len(static)},
            missing=("Table 1 of Qin et al. (2024)",) if earlier is None else (),
        )
    ]


@claim("toolkit", Quote("§5.3, Fig. 4: splits s/n of q/n = 0.3"))
def fig4_surrogate_by_split(shares: tuple[int, ...] = (30, 50, 80, 100)) -> list[Reading]:
    deviation = {s: total_deviation(Design(100, s, 30)) for s in shares}
    return [
        Reading(
            "At a fixed q/n the surrogate depends on the split: the weights move away from uniform "
            "as s grows, from L at s = q to the mean of the worst losses at s = n.",
            len(deviation) > 1 and all(a < b for a, b in pairwise(deviation.values())),
            "total variation from uniform at n = 100, q = 30: "
            + ", ".join(f"{float(v):.3f} at s = {s}" for s, v in deviation.items()),
            "exact rational",
            {f"total variation at s = {s}": v for s, v in deviation.items()},
        )
    ]


@claim("toolkit", Quote("Tables 1 and 2, OrderDP and full training"))
def tab1_tab2_agree(first: Table = read_table(1), second: Table = read_table(2)) -> list[Reading]:
    cells = {
        (method, at): accuracy
        for method in ("OrderDP", FULL)
        for at, accuracy in accuracies(first, method).items()
    }
    result = tally(
        ((method, at), accuracies(second, method)[at] == accuracy)
        for (method, at), accuracy in cells.items()
    )
    return [
        Reading(
            "Tables 1 and 2 print the same accuracies where they overlap.",
            result.holds,
            f"{result.agreeing} of {result.cases} agree",
            "arithmetic on printed numbers",
            result.numbers("cells"),
        )
    ]
