"""§1, §5.3, D.3, D.5, D.6, E.2: what happens along a training, in Tables 8, 9, 11 and figures."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from orderdp_theory.claims.accuracy import DEFAULTS, TABLE_2
from orderdp_theory.claims.chance import hypergeometric_tail
from orderdp_theory.claims.reading import Number, Reading, tally
from orderdp_theory.claims.registry import Quote, claim
from orderdp_theory.claims.tables import (
    FULL,
    Table,
    accuracies,
    number,
    numbers_in,
    printed_tables,
    read_table,
    where,
)

TABLE_8, TABLE_9, TABLE_11 = map(read_table, (8, 9, 11))
SETTING_9 = Quote(
    "D.6, last paragraph",
    "Detailed results are summarized in Table 9 (real prune ratio ≈ 0.61 , InfoBatch "
    "nominal prune ratio ≈ 0.99 ; 200 epochs; learning rate = 0.03; batch size = 128; "
    "averaged over 10 runs).",
)
STUDY = Quote(
    "D.6",
    "In this analysis, we evaluate CIFAR-100 with ResNet-18 at a 70% real pruning ratio "
    "across 10 runs.",
)
LIMITS = Quote(
    "§5.1",
    "InfoBatch cannot prune to an extreme ratio (limited by 77.9% on CIFAR-10 or 72.2% on "
    "CIFAR-100 in our setting) due to its fixed retention mechanism.",
)
CORRELATION = Quote(
    "§1, Fig. 1",
    "test accuracy exhibits a strong linear correlation with gradient norm (Pearson’s $R "
    "= -0.93$), as shown in Figure 1 (d)",
)


def lead(table: Table, column: str) -> dict[tuple[str, str], Fraction]:
    """OrderDP minus InfoBatch by prune ratio and progress."""
    found = {(r["method"], r["prune_percent"], r["progress"]): number(r, column) for r in table}
    return {
        (percent, progress): value - found["InfoBatch", percent, progress]
        for (method, percent, progress), value in found.items()
        if method == "OrderDP"
    }


@claim(
    "experiments",
    Quote(
        "D.3",
        "Table 8 shows that OrderDP consistently achieves higher coreset stability than InfoBatch",
    ),
)
def tab8_consistently_higher(table: Table = TABLE_8) -> list[Reading]:
    leads = lead(table, "jaccard")
    result = tally((cell, value > 0) for cell, value in leads.items())
    lower = "; ".join(
        f"{percent} % pruned, {progress} % of training: by {float(-leads[percent, progress])}"
        for percent, progress in result.failures
    )
    return [
        Reading(
            "OrderDP's Jaccard similarity is higher than InfoBatch's in every cell of Table 8.",
            result.holds,
            f"higher in {result.agreeing} of {result.cases} cells; lower: {lower or 'none'}",
            "arithmetic on printed numbers",
            {**result.numbers("cells"), "smallest lead": min(leads.values())},
            correction=f"Higher in {result.agreeing} of {result.cases} cells; "
            "lower in the first fifth of training at 70 %.",
        )
    ]


def out_of_reach(table: Table, explore: Fraction, n: int, chance: float) -> dict[str, float]:
    """OrderDP's cells of Table 8 that independent draws reach with at most the given chance.

    Given the kept set A, the next kept set shares with it at most the candidates that fall into A,
    whatever the ranking: hypergeometric (n, q, s). A mean over 5 runs of 40 epochs reaches a value
    only if one of the 200 pairs does. Two printed standard deviations are granted. And q ≤ s
    excludes keeping more than s/n.
    """
    s = int(explore * n)
    found = {}
    for row in where(table, method="OrderDP"):
        q = n - n * int(row["prune_percent"]) // 100
        least = number(row, "jaccard") - 2 * number(row, "std")
        shared = math.ceil(q * 2 * least / (1 + least))
        bound = 0.0 if q > s else 200 * float(hypergeometric_tail(n, q, s, shared).upper())
        if bound <= chance:
            found[f"{row['jaccard']} at {row['prune_percent']} %, {row['progress']} %"] = bound
    return found


@claim(
    "experiments",
    Quote(
        "Table 8", "Jaccard Similarity between consecutive checkpoints on CIFAR-100 with ResNet-18."
    ),
    DEFAULTS,
    Quote(
        "D.3",
        "we measure the *Jaccard Similarity* between the coreset at the current epoch and "
        "that from the immediately preceding epoch",
    ),
)
def tab8_jaccard_attainable(
    table: Table = TABLE_8,
    explore: Fraction = numbers_in(DEFAULTS.words)[0],
    chance: float = 1e-9,
    n: int = 50_000,
) -> list[Reading]:
    cells = len(where(table, method="OrderDP"))
    values = [number(row, "jaccard") for row in where(table, method="OrderDP")]
    needed = [2 * value / (1 + value) for value in (min(values), max(values))]

    def reading(share: Fraction, name: str, **options) -> Reading:
        excluded = out_of_reach(table, share, n, chance)
        limit = share / (2 - share)
        return Reading(
            f"The similarities of Table 8 occur at s/|D| = {float(share):g}{name}.",
            not excluded,
            f"{len(excluded)} of {cells} cells out of reach, two standard deviations granted: "
            f"about {float(limit):.3f} is the most that independent draws allow",
            "exact tail probability",
            {
                "cells": cells,
                "cells out of reach": len(excluded),
                "largest expected similarity, about": limit,
                "chance below which a cell is out of reach": chance,
            },
            correction="A similarity J between independently drawn epochs needs s/|D| of at least "
            f"about 2J/(1 + J): {float(needed[0]):.2f} for the smallest value of Table 8, "
            f"{float(needed[1]):.2f} for the largest.",
            **options,
        )

    return [
        reading(explore, ", the default, as no other value is specified", rival="§4.2"),
        reading(
            Fraction(4, 5), ", the value of the released example command", words="not in the words"
        ),
        reading(Fraction(9, 10), ", which is stated nowhere", words="not in the words"),
    ]


@claim(
    "experiments",
    STUDY,
    Quote("Table 9", "Stability comparison on CIFAR-100 with ResNet-50 across 10 runs"),
)
def tab9_model(words: str = STUDY.words, table: Table = TABLE_9) -> list[Reading]:
    (model,) = {row["model"] for row in table}
    (final,) = where(table, method=FULL, quantity="accuracy", progress="final")
    known = {
        row["model"]: row["accuracy"] for row in where(TABLE_2, method=FULL, dataset="CIFAR-100")
    }
    named = next(name for name in known if name in words)
    return [
        Reading(
            f"Table 9 is measured with {named}, the model that the text of D.6 names.",
            named == model and number(final, "mean") == Fraction(known[named]),
            f"the caption names {model}; the full-data accuracy {final['mean']} is "
            + ", ".join(f"{a} for {m} in Table 2" for m, a in known.items()),
            "comparison of printed words",
            {f"full-data accuracy of {m} in Table 2": Fraction(a) for m, a in known.items()}
            | {"full-data accuracy in Table 9": number(final, "mean")},
            rival="the caption of Table 9",
            correction=f"Table 9 is {model}, by its caption and its full-data accuracy.",
        )
    ]


@claim("experiments", STUDY, SETTING_9)
def d6_prune_ratio(study: str = STUDY.words, detail: str = SETTING_9.words) -> list[Reading]:
    percent = next(x for x in numbers_in(study) if f"{x}%" in study)
    real = numbers_in(detail)[1]
    kept = {name: 50_000 * (1 - share) for name, share in
            (("the first paragraph", percent / 100), ("the last paragraph", real))}  # fmt: skip
    return [
        Reading(
            "The stability study and its results in Table 9 are at one real prune ratio.",
            len(set(kept.values())) == 1,
            ", ".join(f"{float(k):g} samples kept by {name}" for name, k in kept.items()),
            "arithmetic on printed numbers",
            {f"samples kept by {name}": k for name, k in kept.items()},
            rival="the last paragraph of D.6",
        )
    ]


@claim(
    "experiments",
    LIMITS,
    SETTING_9,
    Quote("Table 9", "Stability comparison on CIFAR-100 with ResNet-50 across 10 runs"),
    Quote(
        "Table 2",
        "InfoBatch	95.6 \\downarrow 0.0	95.0 \\downarrow 0.6	94.5 \\downarrow 1.1",
    ),
)
def sec51_infobatch_limit(
    limits: str = LIMITS.words, detail: str = SETTING_9.words, table: Table = TABLE_2
) -> list[Reading]:
    """InfoBatch prunes a share r, the nominal ratio, of the samples below the mean loss."""
    stated = numbers_in(limits)[2] / 100
    _, real, nominal, *_ = numbers_in(detail)
    below = (real + Fraction(1, 200)) / (nominal - Fraction(1, 200))
    column = max(
        Fraction(r["prune_percent"]) / 100
        for r in where(table, method="InfoBatch", dataset="CIFAR-100", model="ResNet-50")
    )
    numbers: dict[str, Number] = {
        "largest real ratio, from D.6": below,
        "stated limit": stated,
        "largest ratio of InfoBatch in Table 2": column,
    }
    found = f"a real ratio of 0.61 at the nominal 0.99 allows at most {float(below):.3f}"
    return [
        Reading(
            "D.6 is about ResNet-18, as its text says, and InfoBatch reaches 72.2 % there.",
            below >= stated,
            f"{found}, against {float(stated):.3f}",
            "arithmetic on printed numbers",
            numbers,
            rival="D.6",
        ),
        Reading(
            "D.6 is about ResNet-50, as the caption of Table 9 says, and InfoBatch reaches the "
            "70 % of its column in Table 2 there.",
            below >= column,
            f"{found}, against {float(column):g}",
            "arithmetic on printed numbers",
            numbers,
            rival="D.6",
        ),
    ]


@claim(
    "experiments",
    Quote(
        "Table 9",
        "OrderDP shows smoother convergence and eliminates instability observed in InfoBatch.",
    ),
)
def tab9_steadier(table: Table = TABLE_9) -> list[Reading]:
    theirs = {
        (r["quantity"], r["progress"]): number(r, "std") for r in where(table, method="InfoBatch")
    }
    result = tally(
        (cell := (r["quantity"], r["progress"]), number(r, "std") < theirs[cell])
        for r in where(table, method="OrderDP")
    )
    return [
        Reading(
            "OrderDP's accuracy and gradient norm have smaller standard deviations than "
            "InfoBatch's in every cell of Table 9.",
            result.holds,
            f"smaller in {result.agreeing} of {result.cases} cells",
            "arithmetic on printed numbers",
            result.numbers("cells"),
        )
    ]


ALIGNED = Quote(
    "E.2, last sentence",
    "These results demonstrate that **OrderDP’s gradients align more closely with "
    "full-data gradients**, particularly at high pruning ratios",
)


@claim("experiments", ALIGNED)
def tab11_cosine_higher(table: Table = TABLE_11) -> list[Reading]:
    leads = lead(table, "cosine")
    result = tally((cell, value > 0) for cell, value in leads.items())
    return [
        Reading(
            "OrderDP's cosine similarity is higher than InfoBatch's in every cell of Table 11.",
            result.holds,
            f"higher in {result.agreeing} of {result.cases} cells, by "
            f"{float(min(leads.values()))} to {float(max(leads.values()))}",
            "arithmetic on printed numbers",
            result.numbers("cells"),
        )
    ]


@claim("experiments", ALIGNED)
def e2_high_ratios(table: Table = TABLE_11) -> list[Reading]:
    leads = lead(table, "cosine")
    result = tally(
        (progress, leads["70", progress] >= value)
        for (percent, progress), value in leads.items()
        if percent == "40"
    )
    mean = {
        p: sum((v for (percent, _), v in leads.items() if percent == p), Fraction(0)) / result.cases
        for p in ("40", "70")
    }
    return [
        Reading(
            "The lead in cosine similarity is larger at 70 % than at 40 %, at every stage.",
            result.holds and mean["70"] > mean["40"],
            f"mean lead {float(mean['70']):.3f} at 70 %, {float(mean['40']):.3f} at 40 %",
            "arithmetic on printed numbers",
            {f"mean lead at {p} %": value for p, value in mean.items()},
        )
    ]


@claim(
    "experiments",
    Quote(
        "§5.3, Fig. 4",
        "As shown in Figure 4, **OrderDP** achieves identical accuracy across all "
        "decompositions on both datasets",
    ),
)
def fig4_decomposition(
    drawn: Sequence[str] | None = None, dynamic: Table = TABLE_2
) -> list[Reading]:
    """q/s = 1 is a decomposition, and it is uniform random pruning: γ_j = q/n for every rank."""
    ours, uniform = accuracies(dynamic, "OrderDP"), accuracies(dynamic, "Dynamic Random")
    difference = {at: ours[at] - uniform[at] for at in ours if at.model == "ResNet-18"}
    widest = max(difference, key=lambda at: difference[at])
    return [
        Reading(
            "The accuracies drawn in Fig. 4 are the same at every split drawn there.",
            None if drawn is None else len(set(drawn)) == 1,
            "Fig. 4 prints no numbers" if drawn is None else f"{', '.join(drawn)}",
            "arithmetic on printed numbers",
            missing=("the accuracies drawn in Fig. 4",) if drawn is None else (),
        ),
        Reading(
            "The accuracy is the same for every split of q/n into s/n and q/s, q/s = 1 included.",
            all(value == 0 for value in difference.values()),
            f"q/s = 1 is uniform random pruning, in Table 2 up to {float(difference[widest])} "
            f"points lower ({widest})",
            "arithmetic on printed numbers",
            {f"OrderDP − uniform, {at}": value for at, value in difference.items()},
            rival="Table 2, Dynamic Random",
        ),
    ]


def columns_missing(tables: Mapping[int, Table], needed: Sequence[str]) -> tuple[str, ...]:
    """The needed columns, unless one table has them all in three rows or more."""
    for table in tables.values():
        if len([row for row in table if all(row.get(name) for name in needed)]) >= 3:
            return ()
    return tuple(needed)


def correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Pearson's R."""
    n = len(pairs)
    mean_x, mean_y = (sum(values) / n for values in zip(*pairs, strict=True))
    covariance = sum((x - mean_x) * (y - mean_y) for x, y in pairs)
    spread = math.sqrt(
        sum((x - mean_x) ** 2 for x, _ in pairs) * sum((y - mean_y) ** 2 for _, y in pairs)
    )
    return covariance / spread


@claim("experiments", CORRELATION)
def fig1_pearson(tables: Mapping[int, Table] | None = None) -> list[Reading]:
    needed = ("epoch", "test_accuracy", "gradient_norm")
    searched = printed_tables() if tables is None else tables
    missing = columns_missing(searched, needed)
    pairs = [
        (float(row["test_accuracy"]), float(row["gradient_norm"]))
        for table in searched.values()
        for row in table
        if all(row.get(name) for name in needed)
    ]
    found = math.nan if missing else correlation(pairs)
    return [
        Reading(
            "Test accuracy and gradient norm correlate with R = −0.93 under full-data training.",
            None if missing else round(found, 2) == -float(numbers_in(CORRELATION.words)[0]),
            f"no printed table has {', '.join(needed)}; Fig. 1 (d) prints no numbers"
            if missing
            else f"R = {found:.2f} over {len(pairs)} epochs",
            "arithmetic on printed numbers",
            {"tables searched": len(searched), "epochs with both quantities": len(pairs)},
            missing=missing,
        )
    ]


@claim(
    "experiments",
    Quote(
        "D.5",
        "**OrderDP** achieves faster accuracy improvement and maintains stable convergence "
        "compared with both InfoBatch and Random, especially under higher pruning levels.",
    ),
)
def d5_time_to_accuracy(tables: Mapping[int, Table] | None = None) -> list[Reading]:
    needed = ("method", "seconds", "test_accuracy")
    searched = printed_tables() if tables is None else tables
    missing = columns_missing(searched, needed)
    rows = [row for table in searched.values() for row in table if all(row.get(c) for c in needed)]

    def reached(method: str, level: float) -> float:
        times = [
            float(row["seconds"])
            for row in rows
            if row["method"] == method and float(row["test_accuracy"]) >= level
        ]
        return min(times, default=math.inf)

    levels = {float(row["test_accuracy"]) for row in rows if row["method"] == "OrderDP"}
    others = {row["method"] for row in rows} - {"OrderDP"}
    return [
        Reading(
            "OrderDP reaches every accuracy in fewer seconds than InfoBatch and random pruning.",
            None
            if missing
            else all(
                reached("OrderDP", a) <= reached(other, a) for a in levels for other in others
            ),
            f"no printed table has {', '.join(needed)}; the figures print no numbers"
            if missing
            else f"compared at {len(levels)} accuracies",
            "arithmetic on printed numbers",
            {"tables searched": len(searched), "points of the curves": len(rows)},
            missing=missing,
        )
    ]
