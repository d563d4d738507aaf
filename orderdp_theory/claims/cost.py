"""Abstract, §5.2, §5.4, §6: what Tables 3 to 7 say about cost."""

from collections.abc import Sequence
from fractions import Fraction

from orderdp_theory.claims.accuracy import NEAR_LOSSLESS
from orderdp_theory.claims.reading import Reading, tally
from orderdp_theory.claims.registry import Quote, claim
from orderdp_theory.claims.tables import (
    FULL,
    Table,
    all_hold,
    exceeds,
    half_unit,
    number,
    numbers_in,
    read_table,
    where,
)

TABLE_3, TABLE_5, TABLE_6, TABLE_7 = map(read_table, (3, 5, 6, 7))
HARD = ("CIFAR-10", "CIFAR-100", "ImageNet-1K")  # by the accuracies of Table 6
SERVER = Quote("Table 3", "for 90 epochs on a 2-L40-GPU server.")
EXTENDS = Quote(
    "§5.4",
    "InfoBatch usually caps in the mid-30% range, while **OrderDP** extends this by 4–6 "
    "points, especially on harder datasets",
)
OPTIMIZERS = Quote(
    "§5.4",
    "InfoBatch saves 37.1% of training cost across all optimizers, while **OrderDP** "
    "raises savings to about 42.5%.",
)
TRANSFORMERS = Quote(
    "§5.4",
    "**OrderDP** also maintains lossless accuracy at […] 20%–30% pruning on Swin-Tiny "
    "(Liu et al., 2021) and ViT-Base (MAE) (He et al., 2021) (Table 5)",
)
OVER_40 = Quote(
    "Abstract",
    "we evaluate **OrderDP** against comprehensive baselines on CIFAR-10, CIFAR-100, and "
    "ImageNet-1K, demonstrating competitive accuracy, stable convergence, and exact "
    "control—all with a simpler design and faster runtime, while reducing training cost "
    "by over 40%.",
)
FROM_40_TO_45 = Quote(
    "§6",
    "Empirically, **OrderDP** consistently attains equal or better accuracy than "
    "state-of-the-art baselines, while reducing runtime and overall computational cost by "
    "40–45%.",
)


def saved(table: Table, method: str) -> dict[tuple[str, str], str]:
    """Printed savings of Table 6 by data set and model."""
    return {(r["dataset"], r["model"]): r["saved_percent"] for r in where(table, method=method)}


def wall_clock(table: Table) -> Fraction:
    """OrderDP's saving of hours in Table 3, in percent."""
    (ours,), (full,) = where(table, method="OrderDP"), where(table, method=FULL)
    return 100 * (1 - number(ours, "hours") / number(full, "hours"))


def leads(table: Table) -> dict[tuple[str, str], Fraction]:
    """OrderDP's saving minus InfoBatch's in points, by data set and model."""
    theirs = saved(table, "InfoBatch")
    return {at: Fraction(s) - Fraction(theirs[at]) for at, s in saved(table, "OrderDP").items()}


@claim(
    "arithmetic of tables",
    Quote("Table 3", "“Total (n*h)” is the total node hour."),
    SERVER,
)
def tab3_node_hours(
    table: Table = TABLE_3, nodes: int = int(numbers_in(SERVER.words)[1])
) -> list[Reading]:
    result = tally(
        (row["method"], number(row, "node_hours") == nodes * number(row, "hours")) for row in table
    )
    return [
        Reading(
            "Total node hours are twice the hours, in every column.",
            result.holds,
            f"{result.agreeing} of {result.cases} columns agree",
            "arithmetic on printed numbers",
            result.numbers("columns"),
        )
    ]


@claim(
    "experiments",
    Quote(
        "§5.2",
        "**OrderDP** completes training faster and uses fewer GPU-hours than all competing "
        "methods.",
    ),
    Quote(
        "§5.1",
        "**OrderDP** achieves the fastest training and lowest GPU-hours, improving upon "
        "InfoBatch without loss in accuracy.",
    ),
)
def sec52_fastest(table: Table = TABLE_3) -> list[Reading]:
    hours = {row["method"]: row["hours"] for row in table if row["method"] != FULL}
    ours = hours.pop("OrderDP")
    answers = {method: exceeds(theirs, ours) for method, theirs in hours.items()}
    slower = ", ".join(m for m, yes in answers.items() if yes)
    return [
        Reading(
            "Every other method of Table 3 takes more hours than OrderDP.",
            all_hold(answers.values()),
            f"{ours} h; "
            + ", ".join(f"{m} {hours[m]} h" for m, yes in answers.items() if yes is False),
            "arithmetic on printed numbers",
            {f"hours of {m}": Fraction(h) for m, h in (hours | {"OrderDP": ours}).items()},
            missing=tuple(f"unrounded hours of {m}" for m, yes in answers.items() if yes is None)
            if all_hold(answers.values()) is None
            else (),
            correction=f"Of the methods in Table 3 it is faster than {slower} only.",
        )
    ]


@claim("experiments", OVER_40)
def abstract_over_40(
    table: Table = TABLE_6, hours: Table = TABLE_3, level: str = "40"
) -> list[Reading]:
    ours = saved(table, "OrderDP")
    over = {at: exceeds(s, level) for at, s in ours.items()}
    most = [at for at, yes in over.items() if yes]
    time = wall_clock(hours)
    printed = ", ".join(f"{s} % ({d}, {m})" for (d, m), s in ours.items())
    return [
        Reading(
            "Training cost falls by over 40 % in settings that were evaluated.",
            bool(most),
            f"Table 6: over {level} % in {len(most)} of {len(ours)} columns: {printed}",
            "arithmetic on printed numbers",
            {f"saving in %, {d} {m}": Fraction(s) for (d, m), s in ours.items()},
            correction=f"The largest saving of Table 6 is {max(ours.values(), key=Fraction)} %.",
        ),
        Reading(
            "Training cost falls by over 40 % in every setting of Table 6.",
            all_hold(over.values()),
            printed,
            "arithmetic on printed numbers",
        ),
        Reading(
            "ImageNet wall clock falls by over 40 % at 40 % pruning.",
            time > Fraction(level),
            f"1 − 21.5/35.2 of Table 3 is {float(time):.1f} %",
            "arithmetic on printed numbers",
            {"saving of hours in %": time},
        ),
    ]


@claim("experiments", FROM_40_TO_45)
def sec6_40_to_45(table: Table = TABLE_6, hours: Table = TABLE_3) -> list[Reading]:
    low, high = numbers_in(FROM_40_TO_45.words)
    cost = {f"{d} {m}": Fraction(s) for (d, m), s in saved(table, "OrderDP").items()}
    time = wall_clock(hours)
    (ours,), (full,) = where(hours, method="OrderDP"), where(hours, method=FULL)
    half = half_unit(ours["hours"])
    best = 100 * (1 - (number(ours, "hours") - half) / (number(full, "hours") + half))
    outside = [name for name, value in cost.items() if not low <= value <= high]
    correction = (
        f"{float(min(*cost.values(), time)):.1f} to {float(max(*cost.values(), time)):.1f} %, by "
        "data set and model."
    )
    return [
        Reading(
            "The runtime that the paper prints, that of Table 3, falls by 40 to 45 %.",
            low <= best and time <= high,
            f"by {float(time):.1f} %, at most {float(best):.1f} % given rounding",
            "arithmetic on printed numbers",
            {"saving of hours in %": time, "at most": best},
            correction=correction,
        ),
        Reading(
            "The cost falls by 40 to 45 % in every column of Table 6.",
            not outside,
            "outside the range: "
            + (", ".join(f"{n} {float(cost[n]):g} %" for n in outside) or "none"),
            "arithmetic on printed numbers",
            {f"saving in %, {name}": value for name, value in cost.items()},
            correction=correction,
        ),
    ]


@claim("experiments", EXTENDS)
def tab6_4_to_6_points(table: Table = TABLE_6) -> list[Reading]:
    low, high = numbers_in(EXTENDS.words)[1:3]
    extra = leads(table)
    result = tally((column, low <= value <= high) for column, value in extra.items())
    return [
        Reading(
            "OrderDP extends InfoBatch's saving by 4 to 6 points in every column of Table 6.",
            result.holds,
            f"{float(min(extra.values()))} to {float(max(extra.values()))} points",
            "arithmetic on printed numbers",
            {f"points, {d} {m}": value for (d, m), value in extra.items()},
        )
    ]


@claim("experiments", EXTENDS)
def sec54_harder_datasets(table: Table = TABLE_6) -> list[Reading]:
    by_set = {d: [v for (dataset, _), v in leads(table).items() if dataset == d] for d in HARD}
    mean = {d: sum(v, Fraction(0)) / len(v) for d, v in by_set.items()}
    harder = [v for d in HARD[1:] for v in by_set[d]]
    easy, hard = mean[HARD[0]], sum(harder, Fraction(0)) / len(harder)
    found = "mean leads " + ", ".join(f"{float(mean[d]):.1f} on {d}" for d in HARD)
    return [
        Reading(
            "On average the lead is larger on CIFAR-100 and ImageNet-1K than on CIFAR-10.",
            hard > easy,
            f"{found}; {float(hard):.2f} on the two harder ones",
            "arithmetic on printed numbers",
            {f"mean lead, {d}": v for d, v in mean.items()} | {"mean lead, harder two": hard},
        ),
        Reading(
            "The harder the data set, the larger the mean lead.",
            mean[HARD[0]] < mean[HARD[1]] < mean[HARD[2]],
            found,
            "arithmetic on printed numbers",
        ),
    ]


@claim(
    "experiments",
    Quote("Table 6", "Cross-architecture robustness results of OrderDP."),
    Quote("§5.4", "showing its ability to prune more aggressively without accuracy loss."),
    NEAR_LOSSLESS,
)
def tab6_lossless(table: Table = TABLE_6) -> list[Reading]:
    full = {(r["dataset"], r["model"]): number(r, "accuracy") for r in where(table, method=FULL)}
    drops = {
        (row["method"], row["dataset"], row["model"]): full[row["dataset"], row["model"]]
        - number(row, "accuracy")
        for row in table
        if row["method"] != FULL
    }
    worst = max(drops.values())
    return [
        Reading(
            "Both methods lose at most 0.1 points at the savings of Table 6.",
            worst <= numbers_in(NEAR_LOSSLESS.words)[0],
            f"largest drop {float(worst)}",
            "arithmetic on printed numbers",
            {"cells": len(drops), "largest drop": worst},
        ),
        Reading(
            "OrderDP loses nothing to the printed digit.",
            all(drop <= 0 for (method, *_), drop in drops.items() if method == "OrderDP"),
            f"largest drop {float(max(d for (m, *_), d in drops.items() if m == 'OrderDP'))}",
            "arithmetic on printed numbers",
        ),
    ]


@claim("experiments", OPTIMIZERS)
def tab7_optimizers(table: Table = TABLE_7) -> list[Reading]:
    """One rule for both numbers: the mean over the optimizers to the printed digit."""
    stated = dict(zip(("InfoBatch", "OrderDP"), numbers_in(OPTIMIZERS.words), strict=True))
    found = {
        method: {r["optimizer"]: number(r, "saved_percent") for r in where(table, method=method)}
        for method in stated
    }
    unit = 2 * half_unit("37.1")
    mean = {m: sum(v.values(), Fraction(0)) / len(v) for m, v in found.items()}
    listing = "; ".join(
        f"{m} {', '.join(f'{float(v)} ({o})' for o, v in series.items())}"
        for m, series in found.items()
    )
    return [
        Reading(
            "Over the optimizers InfoBatch saves 37.1 % and OrderDP 42.5 % on average, to the "
            "printed digit.",
            all(abs(mean[m] - value) <= unit / 2 for m, value in stated.items()),
            ", ".join(f"{m} {float(v):.3f} %" for m, v in mean.items()),
            "arithmetic on printed numbers",
            {f"mean saving of {m} in %": v for m, v in mean.items()},
            correction="; ".join(f"{m} {float(v):.1f} %" for m, v in mean.items()),
        ),
        Reading(
            "Under every optimizer InfoBatch saves 37.1 % and OrderDP 42.5 %, within one unit of "
            "the printed digit.",
            all(abs(v - stated[m]) <= unit for m in stated for v in found[m].values()),
            listing,
            "arithmetic on printed numbers",
        ),
        Reading(
            "Under every optimizer InfoBatch saves 37.1 % and OrderDP 42.5 % to the printed digit.",
            all(v == stated[m] for m in stated for v in found[m].values()),
            listing,
            "arithmetic on printed numbers",
        ),
    ]


@claim("experiments", TRANSFORMERS, NEAR_LOSSLESS)
def sec54_20_to_30_percent(
    table: Table = TABLE_5, models: Sequence[str] = ("Swin-T", "ViT-B (MAE)")
) -> list[Reading]:
    low, high = numbers_in(TRANSFORMERS.words)[:2]
    rows = [row for row in table if row["model"] in models]
    lossless = all(number(row, "gap") <= numbers_in(NEAR_LOSSLESS.words)[0] for row in rows)
    ratios = {row["model"]: number(row, "prune_percent") for row in rows}
    ends = sorted(10 * round(ratio / 10) for ratio in ratios.values())
    printed = ", ".join(f"{m} {float(r)} %" for m, r in ratios.items())
    return [
        Reading(
            "Both transformers lose at most 0.1 points at prune ratios that are 20 % and 30 % in "
            "round numbers.",
            lossless and ends == [low, high],
            f"{printed}; largest drop {float(max(number(r, 'gap') for r in rows))}",
            "arithmetic on printed numbers",
            {f"prune ratio in %, {m}": r for m, r in ratios.items()},
            correction=printed,
        ),
        Reading(
            "Their prune ratios lie between 20 % and 30 %.",
            all(low <= ratio <= high for ratio in ratios.values()),
            printed,
            "arithmetic on printed numbers",
        ),
    ]
