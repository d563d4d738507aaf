"""Sections 1, 4–6, D and E.2: statements about the printed tables and figures."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

from orderdp_theory.claims.finding import Finding, Number, tally
from orderdp_theory.claims.registry import claim
from orderdp_theory.claims.tables import Row, Table, printed_tables, read_table, where
from orderdp_theory.design import Design
from orderdp_theory.deviation import total_variation

TABLE_1, TABLE_2, TABLE_3, TABLE_4 = map(read_table, (1, 2, 3, 4))
TABLE_5, TABLE_6, TABLE_7, TABLE_8 = map(read_table, (5, 6, 7, 8))
TABLE_9, TABLE_11 = map(read_table, (9, 11))
FULL = "Whole Dataset"
LAST_DIGIT = Fraction(1, 10)


class Setting(NamedTuple):
    """A column of a results table."""

    dataset: str
    model: str
    prune_percent: int


def setting(row: Row) -> Setting:
    """The column a row belongs to."""
    return Setting(row["dataset"], row["model"], int(row["prune_percent"]))


def number(row: Row, column: str) -> Fraction:
    """A printed decimal, exactly."""
    return Fraction(row[column])


def accuracies(table: Table, method: str) -> dict[Setting, Fraction]:
    """Accuracy of a method by column."""
    return {setting(row): number(row, "accuracy") for row in where(table, method=method)}


def full_accuracy(table: Table, at: Setting) -> Fraction:
    """Accuracy of training on the whole data set in a column's setting."""
    (row,) = where(table, method=FULL, dataset=at.dataset, model=at.model)
    return number(row, "accuracy")


def pruned(table: Table) -> set[Setting]:
    """The columns of a table where something is pruned."""
    return {setting(row) for row in table if row["method"] != FULL}


def gaps(table: Table) -> Finding:
    """Every printed gap beside 'whole dataset' minus accuracy."""
    rows = [row for row in table if row["method"] != FULL]
    wrong: list[tuple[str, Fraction, Fraction]] = []
    for row in rows:
        found = full_accuracy(table, setting(row)) - number(row, "accuracy")
        if found != number(row, "gap"):
            at = setting(row)
            name = f"{row['method']} {at.dataset} {at.model} {at.prune_percent} %"
            wrong.append((name, number(row, "gap"), found))
    evidence: dict[str, Number] = {
        "gaps": len(rows),
        "wrong gaps": len(wrong),
        # Three numbers rounded to 0.1 each: a difference below 0.15 need not be an error.
        "of these, explained by rounding at best": sum(
            abs(printed - found) < LAST_DIGIT * 3 / 2 for _, printed, found in wrong
        ),
    }
    for name, printed, found in wrong:
        evidence |= {f"{name}: printed": printed, f"{name}: accuracies give": found}
    listing = "; ".join(
        f"{name}: {float(printed)} for {float(found)}" for name, printed, found in wrong
    )
    return Finding(
        claimed="gap = whole dataset − accuracy",
        found=f"{len(wrong)} of {len(rows)} gaps differ" + (f": {listing}" if wrong else ""),
        holds=not wrong,
        # What the column means is evident; the rows that are right say so.
        holds_as_meant=len(wrong) < len(rows) / 2,
        method="arithmetic on printed numbers",
        numbers=evidence,
        correction="; ".join(f"{name}: {float(found)}" for name, _, found in wrong) or None,
    )


@claim
def sec1_selection_per_epoch(updates: int | None = None, batch: int = 128) -> Finding:
    """Candidates are drawn and ranked at each epoch (§1) and at each iteration (Algorithm 1).

    Algorithm 1 and Fig. 2 draw before every parameter update and take one step on the kept set;
    once per epoch means many minibatch steps on one kept set, ranked before the first of them.

    Source: §1 vs Algorithm 1 and Fig. 2.
    """
    kept = Design.from_ratios(50_000).q
    per_epoch = -(-kept // batch)
    per_selection = 1 if updates is None else updates
    return Finding(
        claimed=f"{per_epoch} updates per selection (CIFAR, batch {batch})",
        found=f"Algorithm 1 makes {per_selection} update(s) per selection",
        holds=per_epoch == per_selection,
        rival="Algorithm 1 and Fig. 2",
        method="arithmetic on printed numbers",
        numbers={
            "updates per selection, once per epoch": per_epoch,
            "updates per selection, Algorithm 1": per_selection,
        },
        correction="The released code selects once per epoch; Theorems 1 and 3 are about one "
        "update per selection.",
    )


@claim
def sec42_defaults(
    explore: Fraction = Fraction(1, 2),
    tables: Sequence[Table] = (TABLE_1, TABLE_2, TABLE_4, TABLE_8),
) -> Finding:
    """s/|D| = 0.5 and q/s = 0.6 are used where no other values are given.

    Keeping q of s candidates keeps at most s/n; Tables 1, 2, 4 and 8 give no other values.

    Source: §4.2 vs Tables 1, 2, 4, 8.
    """
    ratios = sorted({at.prune_percent for table in tables for at in pruned(table)})
    result = tally((ratio, 1 - Fraction(ratio, 100) <= explore) for ratio in ratios)
    return Finding(
        claimed=f"s/n = {float(explore)} behind every printed ratio",
        found=f"of the ratios {', '.join(map(str, ratios))} % it excludes "
        f"{', '.join(map(str, result.failures)) or 'none'} %",
        holds=result.holds,
        rival="Tables 1, 2, 4 and 8",
        method="arithmetic on printed numbers",
        numbers={
            **result.numbers("printed prune ratios"),
            "smallest prune ratio with this s/n": 1 - explore,
            "prune ratio of the two defaults": 1 - explore * Fraction(6, 10),
        },
        correction="The two defaults prune 70 %; ratios below 50 % need s/n above 0.5, which the "
        "paper does not state (the release's example has 0.8).",
    )


@claim
def tab1_gaps(table: Table = TABLE_1) -> Finding:
    """Every printed gap of Table 1 equals 'whole dataset' minus accuracy.

    Source: Table 1.
    """
    return gaps(table)


@claim
def tab2_gaps(table: Table = TABLE_2) -> Finding:
    """Every printed gap of Table 2 equals 'whole dataset' minus accuracy.

    Source: Table 2.
    """
    return gaps(table)


@claim
def tab4_gaps(table: Table = TABLE_4) -> Finding:
    """Every printed gap of Table 4 equals 'whole dataset' minus accuracy.

    Source: Table 4.
    """
    return gaps(table)


@claim
def tab5_gaps(table: Table = TABLE_5) -> Finding:
    """Every printed gap of Table 5 equals the original minus OrderDP's accuracy.

    Source: Table 5.
    """
    result = tally(
        (row["model"], number(row, "original") - number(row, "accuracy") == number(row, "gap"))
        for row in table
    )
    return Finding(
        claimed="gap = original − OrderDP",
        found=f"{result.agreeing} of {result.cases} gaps agree",
        holds=result.holds,
        method="arithmetic on printed numbers",
        numbers=result.numbers("gaps"),
    )


@claim
def sec51_static_methods(
    listed: Sequence[str] = (
        "Static Random",
        "CD",
        "Herding",
        "K-means",
        "Least Confidence",
        "Entropy",
        "Forgetting",
        "GraNd",
        "EL2N",
        "DeepFool",
        "Craig",
        "Glister",
        "Influence",
        "DP",
    ),
    table: Table = TABLE_1,
) -> Finding:
    """The static methods that §5.1 lists are those of Table 1.

    Variants such as EL2N-2 and EL2N-20 count as one.

    Source: §5.1 vs Table 1.
    """  # fmt: skip
    shown = {row["method"] for row in table} - {FULL, "OrderDP"}
    families = {name.rsplit("-", 1)[0] if name[-1].isdigit() else name for name in shown}
    only_text, only_table = set(listed) - families, families - set(listed)
    return Finding(
        claimed="the same methods",
        found=f"only in the text: {', '.join(sorted(only_text)) or 'none'}; only in the table: "
        f"{', '.join(sorted(only_table)) or 'none'}",
        holds=not only_text and not only_table,
        rival="Table 1",
        method="arithmetic on printed numbers",
        numbers={
            "methods in the text": len(listed),
            "rows of Table 1": len(shown),
            "methods only in the text": len(only_text),
            "methods only in Table 1": len(only_table),
        },
        correction=f"Table 1 has {', '.join(sorted(only_table))} where the text has "
        f"{', '.join(sorted(only_text))}.",
    )


@claim
def sec51_dynamic_random(static: Table = TABLE_1, dynamic: Table = TABLE_2) -> Finding:
    """Dynamic random pruning outperforms static random pruning.

    Source: §5.1, Tables 1 and 2.
    """
    kept, drawn = accuracies(static, "Static Random"), accuracies(dynamic, "Dynamic Random")
    result = tally((at, drawn[at] > accuracy) for at, accuracy in kept.items())
    margin = min(drawn[at] - accuracy for at, accuracy in kept.items())
    return Finding(
        claimed="higher in every shared column",
        found=f"higher in {result.agreeing} of {result.cases} columns, by at least {float(margin)}",
        holds=result.holds,
        method="arithmetic on printed numbers",
        numbers={"columns": result.cases, "smallest margin": margin},
    )


def rivals(tables: Iterable[Table]) -> dict[tuple[str, Setting], Fraction]:
    """Accuracy of every method but OrderDP and full training, by method and column."""
    return {
        (row["method"], setting(row)): number(row, "accuracy")
        for table in tables
        for row in table
        if row["method"] not in (FULL, "OrderDP")
    }


@claim
def sec51_surpasses_all(static: Table = TABLE_1, dynamic: Table = TABLE_2) -> Finding:
    """OrderDP surpasses the other baselines in accuracy at all prune ratios.

    Source: §5.1, first trend.
    """
    ours = accuracies(dynamic, "OrderDP")
    others = rivals((static, dynamic))
    result = tally((key, ours[key[1]] > accuracy) for key, accuracy in others.items())
    exceeded = sum(accuracy > ours[key[1]] for key, accuracy in others.items())
    ties = ", ".join(f"{m} {a.dataset} {a.model} {a.prune_percent} %" for m, a in result.failures)
    return Finding(
        claimed="strictly higher in every cell",
        found=f"higher in {result.agreeing} of {result.cases} cells, lower in "
        f"{exceeded}; ties: {ties or 'none'}",
        holds=result.holds,
        method="arithmetic on printed numbers",
        numbers={
            **result.numbers("cells"),
            "cells where another method is higher": exceeded,
        },
        correction="It is at least as high as every baseline in every cell, and strictly higher "
        "beyond 30 %.",
    )


@claim
def sec51_only_orderdp_lossless(static: Table = TABLE_1, dynamic: Table = TABLE_2) -> Finding:
    """At 30 % pruning only OrderDP matches full-data accuracy.

    Source: §5.1.
    """
    matching = [
        (method, at)
        for (method, at), accuracy in rivals((static, dynamic)).items()
        if at.prune_percent == 30 and accuracy >= full_accuracy(dynamic, at)
    ]
    ours = all(
        accuracy >= full_accuracy(dynamic, at)
        for at, accuracy in accuracies(dynamic, "OrderDP").items()
        if at.prune_percent == 30
    )
    names = ", ".join(f"{method} ({at.dataset}, {at.model})" for method, at in matching)
    return Finding(
        claimed="no other method reaches full-data accuracy",
        found=f"also: {names}" if matching else "no other method does",
        holds=ours and not matching,
        method="arithmetic on printed numbers",
        numbers={"other cells at 30 % that reach full-data accuracy": len(matching)},
        correction=f"Reached by {names} too; elsewhere only by OrderDP.",
    )


@claim
def sec51_smallest_drop(static: Table = TABLE_1, dynamic: Table = TABLE_2) -> Finding:
    """At 50 % and 70 % OrderDP has the smallest drop among all methods of Tables 1 and 2.

    Source: §5.1.
    """
    ours = accuracies(dynamic, "OrderDP")
    others = {k: a for k, a in rivals((static, dynamic)).items() if k[1].prune_percent > 30}
    result = tally((key, ours[key[1]] > accuracy) for key, accuracy in others.items())
    margin = min(ours[key[1]] - accuracy for key, accuracy in others.items())
    return Finding(
        claimed="smallest drop in every column",
        found=f"smaller than in {result.agreeing} of {result.cases} cells, by "
        f"at least {float(margin)} points",
        holds=result.holds,
        method="arithmetic on printed numbers",
        numbers={
            **result.numbers("cells"),
            "smallest margin": margin,
        },
    )


def against_infobatch(tables: Iterable[Table]) -> dict[Setting, Fraction]:
    """OrderDP's accuracy minus InfoBatch's, by column."""
    found = {}
    for table in tables:
        theirs = accuracies(table, "InfoBatch")
        found |= {at: a - theirs[at] for at, a in accuracies(table, "OrderDP").items()}
    return found


@claim
def sec51_higher_everywhere(dynamic: Table = TABLE_2, imagenet: Table = TABLE_4) -> Finding:
    """OrderDP reaches higher accuracy than InfoBatch at every pruning ratio.

    Source: §5.1, Fig. 3, Tables 2 and 4.
    """
    margins = against_infobatch((dynamic, imagenet))
    result = tally((at, margin > 0) for at, margin in margins.items())
    names = ", ".join(f"{at.dataset} {at.model} {at.prune_percent} %" for at in result.failures)
    return Finding(
        claimed="strictly higher in every column",
        found=f"equal in {len(result.failures)} of {result.cases} columns: {names}"
        if result.failures
        else f"higher in all {result.cases} columns",
        holds=result.holds,
        method="arithmetic on printed numbers",
        numbers={
            **result.numbers("columns"),
            "smallest margin": min(margins.values()),
        },
        correction=f"It is never lower, and equal in: {names}.",
    )


@claim
def sec51_margin_grows(table: Table = TABLE_2) -> Finding:
    """OrderDP's lead over InfoBatch grows as pruning becomes more aggressive.

    Source: §5.1, fourth trend.
    """
    margins = against_infobatch((table,))
    columns = sorted({(at.dataset, at.model) for at in margins})
    series = {c: [margins[Setting(*c, percent)] for percent in (30, 50, 70)] for c in columns}
    result = tally((c, all(a < b for a, b in itertools.pairwise(m))) for c, m in series.items())
    return Finding(
        claimed="margin rises from 30 to 50 to 70 %",
        found="; ".join(
            f"{d} {m}: " + ", ".join(str(float(x)) for x in series[d, m]) for d, m in columns
        ),
        holds=result.holds,
        method="arithmetic on printed numbers",
        numbers={
            f"margin {at.dataset} {at.model} {at.prune_percent} %": m for at, m in margins.items()
        },
    )


@claim
def tab3_node_hours(table: Table = TABLE_3) -> Finding:
    """Total node hours are twice the hours, in every column.

    Source: Table 3.
    """
    result = tally(
        (row["method"], number(row, "node_hours") == 2 * number(row, "hours")) for row in table
    )
    return Finding(
        claimed="node hours = 2 · hours",
        found=f"{result.agreeing} of {result.cases} columns agree",
        holds=result.holds,
        method="arithmetic on printed numbers",
        numbers=result.numbers("columns"),
    )


@claim
def sec52_fastest(table: Table = TABLE_3) -> Finding:
    """OrderDP completes training faster and uses fewer GPU-hours than all competing methods.

    Source: §5.2.
    """
    hours = {row["method"]: number(row, "hours") for row in table if row["method"] != FULL}
    ours = hours.pop("OrderDP")
    result = tally((method, ours < theirs) for method, theirs in hours.items())
    faster = ", ".join(f"{m} {float(hours[m])} h" for m in result.failures)
    return Finding(
        claimed="fewest hours",
        found=f"{float(ours)} h; not slower than that: {faster}"
        if result.failures
        else f"{float(ours)} h, the fewest",
        holds=result.holds,
        method="arithmetic on printed numbers",
        numbers={"hours of OrderDP": ours} | {f"hours of {m}": h for m, h in hours.items()},
        correction="Of the methods in Table 3 it is faster than "
        + ", ".join(m for m in hours if ours < hours[m])
        + " only.",
    )


@claim
def sec52_best_accuracy(table: Table = TABLE_3) -> Finding:
    """OrderDP matches or exceeds all baselines in accuracy on ImageNet-1K at 40 % pruning.

    Source: §5.2.
    """
    found = {row["method"]: number(row, "accuracy") for row in table if row["method"] != FULL}
    ours = found.pop("OrderDP")
    return Finding(
        claimed="highest accuracy",
        found=f"{float(ours)} against at most {float(max(found.values()))}",
        holds=all(ours >= theirs for theirs in found.values()),
        method="arithmetic on printed numbers",
        numbers={"accuracy of OrderDP": ours, "best of the others": max(found.values())},
    )


@claim
def tab3_tab4_full_accuracy(table_3: Table = TABLE_3, table_4: Table = TABLE_4) -> Finding:
    """Tables 3 and 4 print the same accuracy and uncertainty for full training on ImageNet-1K.

    Source: Table 3 vs Table 4.
    """
    (a,), (b,) = where(table_3, method=FULL), where(table_4, method=FULL)
    same = all(number(a, c) == number(b, c) for c in ("accuracy", "accuracy_std"))
    return Finding(
        claimed="one value",
        found=f"{a['accuracy']} ± {a['accuracy_std']} in Table 3, "
        f"{b['accuracy']} ± {b['accuracy_std']} in Table 4",
        holds=same,
        rival="Table 4",
        method="arithmetic on printed numbers",
        numbers={
            "uncertainty in Table 3": number(a, "accuracy_std"),
            "uncertainty in Table 4": number(b, "accuracy_std"),
        },
    )


@claim
def abstract_over_40(table: Table = TABLE_3, claimed: Fraction = Fraction(40, 100)) -> Finding:
    """Training cost is reduced by over 40 % (ImageNet wall clock at 40 % pruning).

    Source: Abstract, Table 3.
    """
    (ours,), (full,) = where(table, method="OrderDP"), where(table, method=FULL)
    saved = 1 - number(ours, "hours") / number(full, "hours")
    best = 1 - (number(ours, "hours") - LAST_DIGIT / 2) / (number(full, "hours") + LAST_DIGIT / 2)
    return Finding(
        claimed="more than 40 %",
        found=f"1 − {ours['hours']}/{full['hours']} = {float(100 * saved):.1f} % (at most "
        f"{float(100 * best):.1f} % given rounding)",
        holds=saved > claimed,
        method="arithmetic on printed numbers",
        numbers={"saving": saved, "largest saving compatible with rounding": best},
        correction=f"{float(100 * saved):.1f} % on ImageNet-1K with ResNet-50 at 40 % pruning.",
    )


@claim
def sec6_40_to_45(table: Table = TABLE_6, wall_clock: Table = TABLE_3) -> Finding:
    """Runtime and overall cost are reduced by 40–45 %.

    Source: §6 vs Tables 3 and 6.
    """
    savings = {
        f"{row['dataset']} {row['model']}": number(row, "saved_percent")
        for row in where(table, method="OrderDP")
    }
    (ours,), (full,) = where(wall_clock, method="OrderDP"), where(wall_clock, method=FULL)
    savings["Table 3 wall clock"] = 100 * (1 - number(ours, "hours") / number(full, "hours"))
    result = tally((name, 40 <= value <= 45) for name, value in savings.items())
    return Finding(
        claimed="40 to 45 %",
        found=f"{float(min(savings.values())):.1f} to {float(max(savings.values())):.1f} %; "
        f"outside the range in {len(result.failures)} of {result.cases} cases",
        holds=result.holds,
        method="arithmetic on printed numbers",
        numbers={f"saving in %, {name}": value for name, value in savings.items()},
        correction=f"{float(min(savings.values())):.1f} to {float(max(savings.values())):.1f} %, "
        "by data set and model.",
    )


@claim
def tab6_4_to_6_points(
    table: Table = TABLE_6, low: Fraction = Fraction(4), high: Fraction = Fraction(6)
) -> Finding:
    """OrderDP extends InfoBatch's saving by 4 to 6 points in every column.

    Source: §5.4, Table 6.
    """
    theirs = {
        (row["dataset"], row["model"]): number(row, "saved_percent")
        for row in where(table, method="InfoBatch")
    }
    extra = {
        (row["dataset"], row["model"]): number(row, "saved_percent")
        - theirs[row["dataset"], row["model"]]
        for row in where(table, method="OrderDP")
    }
    result = tally((column, low <= value <= high) for column, value in extra.items())
    return Finding(
        claimed="4 to 6 points",
        found=f"{float(min(extra.values()))} to {float(max(extra.values()))} points",
        holds=result.holds,
        method="arithmetic on printed numbers",
        numbers={f"points, {d} {m}": value for (d, m), value in extra.items()},
    )


@claim
def tab6_lossless(table: Table = TABLE_6, fluctuation: Fraction = LAST_DIGIT) -> Finding:
    """Both methods are lossless at the savings of Table 6, within the paper's 0.1 points.

    Source: §5.4, Table 6, footnote 1.
    """
    full = {
        (row["dataset"], row["model"]): number(row, "accuracy") for row in where(table, method=FULL)
    }
    drops = {
        (row["method"], row["dataset"], row["model"]): full[row["dataset"], row["model"]]
        - number(row, "accuracy")
        for row in table
        if row["method"] != FULL
    }
    return Finding(
        claimed="drop ≤ 0.1",
        found=f"largest drop {float(max(drops.values()))}",
        holds=max(drops.values()) <= fluctuation,
        method="arithmetic on printed numbers",
        numbers={"cells": len(drops), "largest drop": max(drops.values())},
    )


def savings(table: Table, method: str) -> dict[str, Fraction]:
    """Saved cost in percent by optimizer."""
    return {row["optimizer"]: number(row, "saved_percent") for row in where(table, method=method)}


@claim
def tab7_optimizers(
    table: Table = TABLE_7,
    claimed: Mapping[str, Fraction] | None = None,
    about: Fraction = LAST_DIGIT,
) -> Finding:
    """OrderDP saves about 42.5 % under every optimizer, InfoBatch 37.1 %.

    "About" is read as one unit of the last printed digit.

    Source: §5.4, Table 7.
    """
    stated = claimed or {"OrderDP": Fraction("42.5"), "InfoBatch": Fraction("37.1")}
    found = {method: savings(table, method) for method in stated}
    off = {
        (method, optimizer): abs(value - stated[method])
        for method, series in found.items()
        for optimizer, value in series.items()
    }
    return Finding(
        claimed=", ".join(f"{m} {float(v)} %" for m, v in stated.items()),
        found="; ".join(
            f"{m} {float(min(s.values()))} to {float(max(s.values()))} %" for m, s in found.items()
        ),
        holds=max(off.values()) <= about,
        method="arithmetic on printed numbers",
        numbers={f"{m}, {o}": found[m][o] for m, o in off}
        | {"largest distance from the stated saving": max(off.values())},
    )


@claim
def sec54_infobatch_constant(
    table: Table = TABLE_7, claimed: Fraction = Fraction("37.1")
) -> Finding:
    """InfoBatch saves 37.1 % of training cost across all optimizers, to the printed digit.

    Source: §5.4, Table 7.
    """
    found = savings(table, "InfoBatch")
    other = {o: v for o, v in found.items() if v != claimed}
    return Finding(
        claimed=f"{float(claimed)} % under each",
        found=", ".join(f"{float(v)} % with {o}" for o, v in other.items()) or "all agree",
        holds=not other,
        method="arithmetic on printed numbers",
        numbers={f"saving with {o}": v for o, v in found.items()},
        correction=f"{float(min(found.values()))} to {float(max(found.values()))} %",
    )


def cells(table: Table, column: str) -> dict[tuple[str, str, str], Fraction]:
    """Values of Tables 8 and 11 by method, prune ratio and progress."""
    return {(r["method"], r["prune_percent"], r["progress"]): number(r, column) for r in table}


def orderdp_lead(table: Table, column: str) -> dict[tuple[str, str], Fraction]:
    """OrderDP minus InfoBatch by prune ratio and progress."""
    found = cells(table, column)
    return {
        (percent, progress): value - found["InfoBatch", percent, progress]
        for (method, percent, progress), value in found.items()
        if method == "OrderDP"
    }


@claim
def tab8_consistently_higher(table: Table = TABLE_8) -> Finding:
    """OrderDP's Jaccard similarity is higher than InfoBatch's throughout.

    Source: D.3, Table 8.
    """
    lead = orderdp_lead(table, "jaccard")
    found = cells(table, "jaccard")
    result = tally((cell, value > 0) for cell, value in lead.items())
    lower = "; ".join(
        f"{percent} % pruned, {progress} % of training: "
        f"{float(found['OrderDP', percent, progress])} < "
        f"{float(found['InfoBatch', percent, progress])}"
        for percent, progress in result.failures
    )
    return Finding(
        claimed="higher in all cells",
        found=lower or f"higher in all {result.cases} cells",
        holds=result.holds,
        method="arithmetic on printed numbers",
        numbers={
            **result.numbers("cells"),
            "smallest lead": min(lead.values()),
        },
        correction=f"Higher in {result.agreeing} of {result.cases} cells; "
        "lower in the first fifth of training at 70 %.",
    )


@claim
def tab8_jaccard_attainable(
    table: Table = TABLE_8,
    explore: Fraction = Fraction(1, 2),
    chance: float = 1e-12,
    n: int = 50_000,
) -> Finding:
    """The Jaccard similarities of Table 8 are attainable with the default s/n = 0.5.

    Given the last kept set A, the next one shares with it at most the candidates that fall into
    A: hypergeometric with mean (s/n) q, whatever the ranking. So the similarity K/(2q − K) is
    about (s/n)/(2 − s/n) at best; Hoeffding's inequality bounds the chance of more. And q ≤ s
    excludes keeping more than s/n.

    Source: D.3, Table 8, §4.2.
    """
    s = int(explore * n)
    limit = explore / (2 - explore)
    evidence: dict[str, Number] = {"s/n": explore, "largest expected similarity, about": limit}
    cases = []
    for row in where(table, method="OrderDP"):
        q = n - n * int(row["prune_percent"]) // 100
        similarity = number(row, "jaccard")
        shared = 2 * similarity / (1 + similarity)  # K/q with this similarity
        if q > s:
            bound = 0.0
        elif shared <= explore:
            bound = 1.0
        else:
            bound = math.exp(-2 * q * float(shared - explore) ** 2)
        cell = (row["prune_percent"], row["progress"])
        cases.append((cell, bound > chance))
        evidence[f"chance of {float(similarity)} or more, {cell[0]} % pruned, {cell[1]} %"] = bound
    result = tally(cases)
    values = sorted(number(row, "jaccard") for row in where(table, method="OrderDP"))
    needed = [2 * value / (1 + value) for value in values]
    evidence |= {
        "smallest printed similarity": min(values),
        "largest printed similarity": max(values),
        "s/n needed for the largest, about": needed[-1],
    }
    return Finding(
        claimed=f"{float(min(values))} to {float(max(values))} occur at s/n = {float(explore)}",
        found=f"at most about {float(limit):.3f} is possible (and 40 % pruning not at all with "
        f"s = n/2): {len(result.failures)} of {result.cases} cells out of reach"
        if result.failures
        else f"up to about {float(limit):.3f} is possible",
        holds=result.holds,
        method="certified enclosure",
        numbers=evidence,
        correction="A similarity J between independently drawn epochs needs s/n of at least about "
        f"2J/(1 + J): {float(needed[0]):.2f} for the smallest value of Table 8, "
        f"{float(needed[-1]):.2f} for the largest.",
    )


@claim
def tab9_model(text_model: str = "ResNet-18", table: Table = TABLE_9) -> Finding:
    """Table 9 is measured with the model that the text of D.6 names.

    Source: D.6, Table 9.
    """
    (model,) = {row["model"] for row in table}
    (final,) = where(table, method=FULL, quantity="accuracy", progress="final")
    known = {
        row["model"]: number(row, "accuracy")
        for row in where(TABLE_2, method=FULL, dataset="CIFAR-100")
    }
    return Finding(
        claimed=text_model,
        found=f"the caption names {model}; its full-data accuracy {final['mean']} is ResNet-50's "
        f"{float(known['ResNet-50'])}, not ResNet-18's {float(known['ResNet-18'])}",
        holds=text_model == model,
        rival="the caption of Table 9",
        method="arithmetic on printed numbers",
        numbers={
            "full-data accuracy in Table 9": number(final, "mean"),
            "full-data accuracy of ResNet-18 in Table 2": known["ResNet-18"],
            "full-data accuracy of ResNet-50 in Table 2": known["ResNet-50"],
        },
        correction=f"Table 9 is {model}, by its caption and its full-data accuracy.",
    )


@claim
def d6_prune_ratio(
    first: Fraction = Fraction("0.70"), second: Fraction = Fraction("0.61")
) -> Finding:
    """The stability study prunes 70 % in reality, and Table 9's results are at about 61 %.

    Source: D.6, first and last paragraph.
    """
    return Finding(
        claimed="one real prune ratio",
        found=f"{float(first)} in the first paragraph, about {float(second)} in the last",
        holds=first == second,
        rival="the last paragraph of D.6",
        method="arithmetic on printed numbers",
        numbers={"first paragraph": first, "last paragraph": second},
    )


@claim
def tab9_steadier(table: Table = TABLE_9) -> Finding:
    """OrderDP's accuracy and gradient norm vary less between runs than InfoBatch's throughout.

    Source: D.6, Table 9.
    """
    theirs = {
        (r["quantity"], r["progress"]): number(r, "std") for r in where(table, method="InfoBatch")
    }
    ours = {
        (r["quantity"], r["progress"]): number(r, "std") for r in where(table, method="OrderDP")
    }
    result = tally((cell, value < theirs[cell]) for cell, value in ours.items())
    return Finding(
        claimed="smaller standard deviation in every cell",
        found=f"smaller in {result.agreeing} of {result.cases} cells",
        holds=result.holds,
        method="arithmetic on printed numbers",
        numbers=result.numbers("cells"),
    )


@claim
def tab11_cosine_higher(table: Table = TABLE_11) -> Finding:
    """OrderDP's cosine similarity is higher than InfoBatch's in every cell.

    Source: E.2, Table 11.
    """
    lead = orderdp_lead(table, "cosine")
    result = tally((cell, value > 0) for cell, value in lead.items())
    return Finding(
        claimed="higher in all cells",
        found=f"higher in {result.agreeing} of {result.cases} cells, by "
        f"{float(min(lead.values()))} to {float(max(lead.values()))}",
        holds=result.holds,
        method="arithmetic on printed numbers",
        numbers={
            **result.numbers("cells"),
            "smallest lead": min(lead.values()),
            "largest lead": max(lead.values()),
        },
    )


@claim
def e2_high_ratios(table: Table = TABLE_11) -> Finding:
    """The lead in cosine similarity is larger at the high prune ratio.

    Source: E.2, last sentence.
    """
    lead = orderdp_lead(table, "cosine")
    result = tally(
        (progress, lead["70", progress] >= value)
        for (percent, progress), value in lead.items()
        if percent == "40"
    )
    mean = {
        p: sum((v for (percent, _), v in lead.items() if percent == p), Fraction(0)) / result.cases
        for p in ("40", "70")
    }
    return Finding(
        claimed="larger at 70 % than at 40 %",
        found=f"mean lead {float(mean['70']):.3f} at 70 %, {float(mean['40']):.3f} at 40 %",
        holds=result.holds and mean["70"] > mean["40"],
        method="arithmetic on printed numbers",
        numbers={f"mean lead at {p} %": value for p, value in mean.items()},
    )


@claim
def fig4_decomposition(
    splits: Literal["every", "those drawn"] = "every", dynamic: Table = TABLE_2
) -> Finding:
    """At a fixed q/n, accuracy is identical for every split into s/n and q/s.

    Figure 4 prints no numbers. But q/s = 1 is a split, and it is uniform random pruning (γ_j =
    q/n for every rank), whose accuracies Table 2 has beside OrderDP's at the same ratios.

    Source: §5.3, Fig. 4.
    """
    shares = (30, 50, 80, 100)  # s at n = 100, q = 30
    deviation = {s: total_variation(Design(100, s, 30)) for s in shares}
    ours, uniform = accuracies(dynamic, "OrderDP"), accuracies(dynamic, "Dynamic Random")
    difference = {at: ours[at] - uniform[at] for at in ours}
    widest = max(difference, key=lambda at: difference[at])
    return Finding(
        claimed="identical accuracy",
        found=f"the split q/s = 1 is uniform random pruning, in Table 2 up to "
        f"{float(difference[widest])} points lower ({widest.dataset}, {widest.model}, "
        f"{widest.prune_percent} %)",
        holds=all(value == 0 for value in difference.values()),
        rival="Table 2, Dynamic Random",
        missing=("the accuracies drawn in Fig. 4",) if splits != "every" else (),
        method="arithmetic on printed numbers",
        numbers={
            f"OrderDP − uniform, {at.dataset} {at.model} {at.prune_percent} %": value
            for at, value in difference.items()
        }
        | {
            f"total variation from uniform at q/n = 0.3, s/n = {s / 100}": v
            for s, v in deviation.items()
        },
        correction="Splits with q/s < 1 may be close to each other; the split q/s = 1 is random "
        "pruning. The surrogate itself depends on the split: from L (s = q) to CVaR (s = n).",
    )


@claim
def sec53_over_95(table: Table = TABLE_2) -> Finding:
    """At about 70 % pruning OrderDP has over 95 % on CIFAR-10 and over 76 % on CIFAR-100.

    A printed accuracy stands for an interval of 0.1 points.

    Source: §5.3, Table 2.
    """
    levels = {"CIFAR-10": 95, "CIFAR-100": 76}
    found = {
        at: accuracy - levels[at.dataset]
        for at, accuracy in accuracies(table, "OrderDP").items()
        if at.prune_percent == 70
    }
    straddling = [at for at, over in found.items() if -LAST_DIGIT / 2 < over < LAST_DIGIT / 2]
    return Finding(
        claimed="over 95 % and over 76 %",
        found="; ".join(
            f"{at.dataset} {at.model} {float(levels[at.dataset] + over)}"
            for at, over in found.items()
        ),
        holds=all(over > 0 for over in found.values()),
        missing=tuple(f"unrounded accuracy of {at.model} on {at.dataset}" for at in straddling)
        if all(over > -LAST_DIGIT / 2 for over in found.values())
        else (),
        method="arithmetic on printed numbers",
        numbers={f"points over the level, {at.dataset} {at.model}": o for at, o in found.items()},
        correction="Read off Table 2: "
        + ", ".join(
            f"{float(levels[at.dataset] + over)} % ({at.dataset}, {at.model})"
            for at, over in found.items()
        ),
    )


def columns_missing(tables: Mapping[int, Table], needed: Sequence[str]) -> tuple[str, ...]:
    """The needed columns, unless one table has them all in three rows or more."""
    for table in tables.values():
        complete = [row for row in table if all(row.get(name) for name in needed)]
        if len(complete) >= 3:
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


@claim
def fig1_pearson(tables: Mapping[int, Table] | None = None, claimed: float = -0.93) -> Finding:
    """Test accuracy and gradient norm correlate with R = −0.93 under full-data training.

    Source: §1, Fig. 1.
    """
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
    return Finding(
        claimed=str(claimed),
        found=f"no printed table has {', '.join(needed)}; Fig. 1 (d) prints no numbers"
        if missing
        else f"R = {found:.2f} over {len(pairs)} epochs",
        holds=not missing and round(found, 2) == claimed,
        missing=missing,
        method="arithmetic on printed numbers",
        numbers={"tables searched": len(searched), "epochs with both quantities": len(pairs)},
    )


@claim
def d5_time_to_accuracy(tables: Mapping[int, Table] | None = None) -> Finding:
    """OrderDP reaches accuracy faster than InfoBatch and random pruning on CIFAR-10.

    Source: D.5, Fig. 12 and 13.
    """
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
    return Finding(
        claimed="fewest seconds to every accuracy",
        found=f"no printed table has {', '.join(needed)}; the figures print no numbers"
        if missing
        else f"compared at {len(levels)} accuracies",
        holds=not missing
        and all(reached("OrderDP", a) <= reached(other, a) for a in levels for other in others),
        missing=missing,
        method="arithmetic on printed numbers",
        numbers={"tables searched": len(searched), "points of the curves": len(rows)},
    )
