"""§4.2, §5.1–5.3: what Tables 1 to 5 say about accuracy.

A printed accuracy stands for every value that rounds to it: digits that tie decide nothing.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from orderdp_theory.claims.reading import Number, Reading, tally
from orderdp_theory.claims.registry import Quote, claim
from orderdp_theory.claims.tables import (
    FULL,
    Row,
    Setting,
    Table,
    accuracies,
    all_hold,
    exceeds,
    full_accuracy,
    half_unit,
    number,
    numbers_in,
    read_table,
    setting,
    where,
)

TABLE_1, TABLE_2, TABLE_3, TABLE_4, TABLE_5, TABLE_8 = map(read_table, (1, 2, 3, 4, 5, 8))
Cells = Mapping[tuple[str, Setting], str]
GAPS = Quote("Tables 1 and 2", "Performance gaps to full-data are in blue / orange.")
STATIC_METHODS = Quote(
    "§5.1",
    "From static DP, we include 15 representative methods: static random pruning, CD "
    "(Agarwal et al., 2020), Herding (Welling, 2009), K-means (Sorscher et al., 2022), "
    "Least Confidence and Entropy (Coleman et al., 2019), Forgetting (Toneva et al., "
    "2018), GraNd and EL2N (Paul et al., 2021), DeepFool (Ducoffe & Precioso, 2018), "
    "Craig (Mirzasoleiman et al., 2020), Glister (Killamsetty et al., 2021b), Influence "
    "(Koh & Liang, 2017), and DP (Yang et al., 2022).",
)
NEAR_LOSSLESS = Quote(
    "§1, footnote 1",
    "near-lossless means matching full-data accuracy up to normal stochastic fluctuations "
    "(typically within 0.1%)",
)
DEFAULTS = Quote(
    "§4.2",
    "an exploration ratio of 0.5 related to s (i.e., $s/|D| = 0.5$) and an exploitation "
    "ratio of 0.6 related to q (i.e., $q/s = 0.6$) are used by default when no other "
    "values are specified.",
)


def cells(tables: Iterable[Table], ours: bool) -> dict[tuple[str, Setting], str]:
    """Printed accuracies by method and column: OrderDP's, or every other pruning method's."""
    return {
        (row["method"], setting(row)): row["accuracy"]
        for table in tables
        for row in table
        if row["method"] != FULL and (row["method"] == "OrderDP") == ours
    }


def comparison(says: str, ours: Cells, theirs: Cells, correction: str | None = None) -> Reading:
    """OrderDP's accuracy is higher than the others' in every cell."""
    answers = {key: exceeds(ours["OrderDP", key[1]], a) for key, a in theirs.items()}
    margins = [Fraction(ours["OrderDP", at]) - Fraction(a) for (_, at), a in theirs.items()]
    ties = [f"{method} {at}" for (method, at), higher in answers.items() if higher is None]
    lower = [f"{method} {at}" for (method, at), higher in answers.items() if higher is False]
    return Reading(
        says,
        all_hold(answers.values()),
        f"higher in {sum(h is True for h in answers.values())} of {len(answers)} cells, by at "
        f"least {float(min((m for m in margins if m > 0), default=Fraction(0)))}, lower in "
        f"{len(lower)}" + (f"; the same printed digits: {', '.join(ties)}" if ties else ""),
        "arithmetic on printed numbers",
        {"cells": len(answers), "ties": len(ties), "cells where it is lower": len(lower)},
        missing=tuple(f"unrounded accuracies of OrderDP and {tie}" for tie in ties)
        if all_hold(answers.values()) is None
        else (),
        correction=correction,
    )


def gaps(table: Table) -> list[Reading]:
    """Printed gaps beside 'whole dataset' minus accuracy: up to rounding, to the digit, slips."""
    rows = [row for row in table if row["method"] != FULL]
    names = {id(row): f"{row['method']} {setting(row)}" for row in rows}
    found = {id(row): full_accuracy(table, setting(row)) - number(row, "accuracy") for row in rows}
    # Three numbers, each rounded: their difference may be off by half a unit each.
    rounded = tally(
        (row, abs(found[id(row)] - number(row, "gap")) <= 3 * half_unit(row["gap"])) for row in rows
    )
    digits = tally((row, found[id(row)] == number(row, "gap")) for row in rows)
    slips = [row for row in rounded.failures if one_digit_off(row["gap"], found[id(row)])]

    def listing(failures: Iterable[Row]) -> str:
        return "; ".join(f"{names[id(r)]}: {r['gap']} for {float(found[id(r)])}" for r in failures)

    readings = [
        Reading(
            "Every printed gap is 'whole dataset' minus accuracy, up to the rounding of the three.",
            rounded.holds,
            f"{rounded.agreeing} of {rounded.cases} agree; {listing(rounded.failures) or 'all'}",
            "arithmetic on printed numbers",
            rounded.numbers("gaps"),
        ),
        Reading(
            "Every printed gap is 'whole dataset' minus accuracy to the printed digit.",
            digits.holds,
            f"{digits.agreeing} of {digits.cases} agree; {listing(digits.failures) or 'all'}",
            "arithmetic on printed numbers",
            digits.numbers("gaps"),
        ),
    ]
    if rounded.failures:
        readings.append(
            Reading(
                "One digit is wrong in some gaps; right are "
                + "; ".join(f"{names[id(r)]} {float(found[id(r)])}" for r in rounded.failures),
                len(slips) == len(rounded.failures),
                f"{len(slips)} of {len(rounded.failures)} wrong gaps are right but for one digit",
                "arithmetic on printed numbers",
                words="evident slip",
            )
        )
    return readings


def one_digit_off(printed: str, found: Fraction) -> bool:
    """The printed decimal differs from the right one in a single digit."""
    right = f"{float(found):.{len(printed.partition('.')[2])}f}"
    return (
        len(printed) == len(right) and sum(a != b for a, b in zip(printed, right, strict=True)) == 1
    )


@claim("arithmetic of tables", GAPS)
def tab1_gaps(table: Table = TABLE_1) -> list[Reading]:
    return gaps(table)


@claim("arithmetic of tables", GAPS)
def tab2_gaps(table: Table = TABLE_2) -> list[Reading]:
    return gaps(table)


@claim(
    "arithmetic of tables",
    Quote(
        "Table 4", r"OrderDP	76.4\uparrow_{0.0}	76.4\uparrow_{0.0}	76.0 \downarrow _{0.4}"
    ),
)
def tab4_gaps(table: Table = TABLE_4) -> list[Reading]:
    return gaps(table)


@claim(
    "arithmetic of tables",
    Quote("Table 5", r"R-50 _{Timm} 29.8% 78.4 78.3 \downarrow _{0.1}"),
)
def tab5_gaps(table: Table = TABLE_5) -> list[Reading]:
    result = tally(
        (row["model"], number(row, "original") - number(row, "accuracy") == number(row, "gap"))
        for row in table
    )
    return [
        Reading(
            "Every printed gap of Table 5 is the original minus OrderDP's accuracy.",
            result.holds,
            f"{result.agreeing} of {result.cases} gaps agree",
            "arithmetic on printed numbers",
            result.numbers("gaps"),
        )
    ]


@claim("experiments", DEFAULTS)
def sec42_defaults(
    split: tuple[Fraction, Fraction] | None = None,
    tables: Sequence[Table] = (TABLE_1, TABLE_2, TABLE_4, TABLE_8),
) -> list[Reading]:
    explore, exploit = split or tuple(numbers_in(DEFAULTS.words)[i] for i in (0, 2))
    ratios = sorted(
        {int(row["prune_percent"]) for table in tables for row in table if row["method"] != FULL}
    )
    product = 100 * (1 - explore * exploit)
    excluded = [ratio for ratio in ratios if 1 - Fraction(ratio, 100) > explore]
    return [
        Reading(
            "Both defaults are in force where the prune ratio is the one they give; a table with "
            "another ratio specifies other values.",
            product in ratios,
            f"the defaults prune {float(product):g} %, one of the printed ratios "
            f"{', '.join(map(str, ratios))} %",
            "arithmetic on printed numbers",
            {"prune ratio of the two defaults in %": product},
        ),
        Reading(
            f"s/|D| = {float(explore):g} is behind every printed ratio, as no table gives another.",
            not excluded,
            f"keeping q of s candidates keeps at most s/|D|, which excludes "
            f"{', '.join(map(str, excluded)) or 'none'} %",
            "arithmetic on printed numbers",
            {"printed ratios": len(ratios), "ratios excluded": len(excluded)},
            rival="Tables 1, 2, 4 and 8",
            correction="Ratios below 50 % need s/|D| above 0.5, which the paper does not state.",
        ),
    ]


def listed_methods(words: str) -> list[str]:
    """The names after the colon, without their citations."""
    names = re.sub(r"\([^)]*\)", "", words.partition(":")[2]).strip(" .")
    return [name.strip() for name in re.split(r",|\band\b", names) if name.strip()]


def families(table: Table) -> set[str]:
    """The static methods of Table 1; variants such as EL2N-2 and EL2N-20 are one."""
    shown = {row["method"] for row in table} - {FULL, "OrderDP"}
    return {name.rsplit("-", 1)[0] if name[-1].isdigit() else name for name in shown}


@claim("experiments", STATIC_METHODS)
def sec51_fifteen_methods(words: str = STATIC_METHODS.words, table: Table = TABLE_1):
    stated = int(numbers_in(words)[0])
    listed = listed_methods(words)
    rows = {row["method"] for row in table} - {FULL, "OrderDP"}
    return [
        Reading(
            f"The {stated} methods are those that the sentence lists.",
            len(listed) == stated,
            f"it lists {len(listed)}: {', '.join(listed)}",
            "comparison of printed words",
            {"number in the sentence": stated, "methods listed": len(listed)},
            correction=f"The sentence lists {len(listed)} methods.",
        ),
        Reading(
            f"The {stated} methods are the static rows of Table 1.",
            len(rows) == stated,
            f"Table 1 has {len(rows)} static rows, two of them of EL2N",
            "comparison of printed words",
            {"static rows of Table 1": len(rows)},
            words="evident slip",
        ),
    ]


@claim(
    "experiments",
    STATIC_METHODS,
    Quote("Table 1", "K-Center (Sener & Savarese, 2018)"),
    Quote("Table 1", "Margin (Coleman et al., 2019)"),
)
def sec51_static_methods(words: str = STATIC_METHODS.words, table: Table = TABLE_1):
    listed = {
        name.replace("static random pruning", "Static Random") for name in listed_methods(words)
    }
    shown = families(table)
    only_text, only_table = sorted(listed - shown), sorted(shown - listed)
    return [
        Reading(
            "The static methods listed are those of Table 1, variants of one method counted once.",
            not only_text and not only_table,
            f"only in the text: {', '.join(only_text) or 'none'}; only in the table: "
            f"{', '.join(only_table) or 'none'}",
            "comparison of printed words",
            {"only in the text": len(only_text), "only in Table 1": len(only_table)},
            rival="Table 1",
            correction=f"Table 1 has {', '.join(only_table)} where the text has "
            f"{', '.join(only_text)}.",
        )
    ]


@claim(
    "experiments",
    Quote(
        "§5.1, first trend",
        "Dynamic random pruning outperforms static random by preserving higher sample diversity",
    ),
)
def sec51_dynamic_random(static: Table = TABLE_1, dynamic: Table = TABLE_2) -> list[Reading]:
    kept = {("Static Random", setting(r)): r["accuracy"]
            for r in where(static, method="Static Random")}  # fmt: skip
    drawn = {
        ("OrderDP", setting(r)): r["accuracy"] for r in where(dynamic, method="Dynamic Random")
    }
    answers = {at: exceeds(drawn["OrderDP", at], a) for (_, at), a in kept.items()}
    return [
        Reading(
            "Dynamic random pruning is more accurate than static random pruning in every column of "
            "both tables.",
            all_hold(answers.values()),
            f"higher in {sum(h is True for h in answers.values())} of {len(answers)} columns",
            "arithmetic on printed numbers",
            {"columns": len(answers)},
            missing=tuple(f"unrounded accuracies, {at}" for at, h in answers.items() if h is None)
            if all_hold(answers.values()) is None
            else (),
        )
    ]


@claim(
    "experiments",
    Quote(
        "§5.1, first trend",
        "but **OrderDP** consistently surpasses other baselines in accuracy and robustness "
        "across all prune ratios.",
    ),
)
def sec51_surpasses_all(static: Table = TABLE_1, dynamic: Table = TABLE_2) -> list[Reading]:
    return [
        comparison(
            "OrderDP is more accurate than every other method in every column of Tables 1 and 2.",
            cells([dynamic], ours=True),
            cells([static, dynamic], ours=False),
            "It is at least as high to the printed digit where the tables say so.",
        )
    ]


@claim(
    "experiments",
    Quote("§5.1, second trend", "At 30% pruning, only **OrderDP** matches full-data accuracy."),
    NEAR_LOSSLESS,
)
def sec51_only_orderdp_lossless(static: Table = TABLE_1, dynamic: Table = TABLE_2) -> list[Reading]:
    at_30 = {
        (method, at): full_accuracy(dynamic, at) - Fraction(a)
        for ours in (True, False)
        for (method, at), a in cells([static, dynamic], ours).items()
        if at.prune_percent == 30
    }
    columns = {at for _, at in at_30}

    def everywhere(within: Fraction) -> set[str]:
        """Methods that match the full-data accuracy in every column of the tables they are in."""
        return {
            method
            for method, _ in at_30
            if {at for m, at in at_30 if m == method} == columns
            and all(drop <= within for (m, _), drop in at_30.items() if m == method)
        }

    somewhere = {(m, at) for (m, at), drop in at_30.items() if drop <= 0 and m != "OrderDP"}
    names = ", ".join(sorted(f"{m} ({at.dataset}, {at.model})" for m, at in somewhere))
    exact, near = everywhere(Fraction(0)), everywhere(numbers_in(NEAR_LOSSLESS.words)[0])
    return [
        Reading(
            "OrderDP is the only method that matches full-data accuracy in all columns at 30 %.",
            exact == {"OrderDP"} == near,
            f"to the printed digit, and within 0.1 points: {', '.join(sorted(exact | near))}",
            "arithmetic on printed numbers",
            {"columns at 30 %": len(columns), "methods that match in all": len(exact | near)},
        ),
        Reading(
            "No other method matches full-data accuracy in any column at 30 %.",
            not somewhere,
            f"also: {names}" if somewhere else "no other method does",
            "arithmetic on printed numbers",
            {"other cells at 30 % that reach full-data accuracy": len(somewhere)},
            correction=f"Reached by {names} too; elsewhere only by OrderDP.",
        ),
    ]


@claim(
    "experiments",
    Quote(
        "§5.1, third trend",
        "Under 50% and 70%, **OrderDP** has the smallest accuracy drop, outperforming both "
        "static and existing dynamic methods.",
    ),
)
def sec51_smallest_drop(static: Table = TABLE_1, dynamic: Table = TABLE_2) -> list[Reading]:
    others = cells([static, dynamic], ours=False)
    return [
        comparison(
            "At 50 % and 70 % OrderDP is more accurate than every other method in every column.",
            cells([dynamic], ours=True),
            {(m, at): a for (m, at), a in others.items() if at.prune_percent in (50, 70)},
        )
    ]


@claim(
    "experiments",
    Quote(
        "§5.1, Fig. 3",
        "It can be observed that **OrderDP** not only achieves higher accuracy at every "
        "pruning ratio, but also remains",
    ),
)
def sec51_higher_everywhere(dynamic: Table = TABLE_2, imagenet: Table = TABLE_4) -> list[Reading]:
    theirs = cells([dynamic, imagenet], ours=False)
    return [
        comparison(
            "OrderDP is more accurate than InfoBatch at every pruning ratio of Tables 2 and 4 "
            "(Fig. 3 prints no numbers).",
            cells([dynamic, imagenet], ours=True),
            {(m, at): a for (m, at), a in theirs.items() if m == "InfoBatch"},
        )
    ]


@claim(
    "experiments",
    Quote(
        "§5.1, fourth trend",
        "Compared to InfoBatch, **OrderDP** consistently yields higher accuracy as pruning "
        "becomes more aggressive.",
    ),
)
def sec51_margin_grows(table: Table = TABLE_2) -> list[Reading]:
    ours, theirs = accuracies(table, "OrderDP"), accuracies(table, "InfoBatch")
    lead = {at: a - theirs[at] for at, a in ours.items()}
    series = {
        c: [lead[Setting(*c, percent)] for percent in (30, 50, 70)]
        for c in sorted({(at.dataset, at.model) for at in lead})
    }
    result = tally((c, all(a < b for a, b in itertools.pairwise(m))) for c, m in series.items())
    return [
        Reading(
            "OrderDP's lead over InfoBatch grows from 30 to 50 to 70 % in every column of Table 2.",
            result.holds,
            "; ".join(
                f"{d} {m}: {', '.join(str(float(x)) for x in leads)}"
                for (d, m), leads in series.items()
            ),
            "arithmetic on printed numbers",
            {f"lead, {at}": value for at, value in lead.items()},
        )
    ]


@claim(
    "experiments",
    Quote(
        "§5.2",
        "**OrderDP** matches/exceeds all baselines in accuracy while not significantly "
        "increasing the total GPU runtime",
    ),
)
def sec52_best_accuracy(table: Table = TABLE_3) -> list[Reading]:
    found = {row["method"]: number(row, "accuracy") for row in table if row["method"] != FULL}
    ours = found.pop("OrderDP")
    return [
        Reading(
            "On ImageNet-1K at 40 % no other method of Table 3 is more accurate.",
            all(ours >= theirs for theirs in found.values()),
            f"{float(ours)} against at most {float(max(found.values()))}",
            "arithmetic on printed numbers",
            {"accuracy of OrderDP": ours, "best of the others": max(found.values())},
        )
    ]


@claim(
    "arithmetic of tables",
    Quote(
        "Table 3",
        r"Acc (%)	73.4 \pm 0.3	75.2 \pm 0.3	75.4 \pm 0.3	75.6 \pm 0.2	76.4\pm0.2	"
        r"76.4 \pm 0.2",
    ),
    Quote("Table 4", r"Whole Dataset	76.4 \pm 0.1"),
)
def tab3_tab4_full_accuracy(table_3: Table = TABLE_3, table_4: Table = TABLE_4) -> list[Reading]:
    (a,), (b,) = where(table_3, method=FULL), where(table_4, method=FULL)
    numbers: dict[str, Number] = {
        f"{column}, Table {k}": number(row, column)
        for k, row in ((3, a), (4, b))
        for column in ("accuracy", "accuracy_std")
    }
    return [
        Reading(
            "Full training on ImageNet-1K has the same accuracy in Tables 3 and 4, over repeats "
            "that need not be the same.",
            number(a, "accuracy") == number(b, "accuracy"),
            f"{a['accuracy']} and {b['accuracy']}",
            "arithmetic on printed numbers",
            numbers,
            rival="Table 4",
        ),
        Reading(
            "Full training on ImageNet-1K has the same accuracy and uncertainty in both.",
            number(a, "accuracy") == number(b, "accuracy")
            and number(a, "accuracy_std") == number(b, "accuracy_std"),
            f"{a['accuracy']} ± {a['accuracy_std']} and {b['accuracy']} ± {b['accuracy_std']}",
            "arithmetic on printed numbers",
            numbers,
            rival="Table 4",
        ),
    ]


OVER = Quote(
    "§5.3",
    "up to about 70% pruning, where we see over 95% on CIFAR-10 and over 76% on CIFAR-100 "
    "with half the compute.",
)


@claim("experiments", OVER)
def sec53_over_95(table: Table = TABLE_2) -> list[Reading]:
    percent, cifar10, _, cifar100, _ = (str(int(x)) for x in numbers_in(OVER.words))
    levels = {"CIFAR-10": cifar10, "CIFAR-100": cifar100}
    found = {
        setting(row): row["accuracy"]
        for row in where(table, method="OrderDP", prune_percent=percent)
    }
    answers = {at: exceeds(a, levels[at.dataset]) for at, a in found.items()}
    ties = [at for at, higher in answers.items() if higher is None]
    return [
        Reading(
            "At 70 % pruning OrderDP has over 95 % on CIFAR-10 and over 76 % on CIFAR-100.",
            all_hold(answers.values()),
            "; ".join(f"{at} {a}" for at, a in found.items()),
            "arithmetic on printed numbers",
            {f"points over the level, {at}": Fraction(a) - int(levels[at.dataset])
             for at, a in found.items()},
            missing=tuple(f"unrounded accuracy, {at}" for at in ties)
            if all_hold(answers.values()) is None
            else (),
        )
    ]  # fmt: skip
