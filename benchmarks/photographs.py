"""A ResNet-18 on photographs with labels that experts disagree on: each rule over its own training.

`python -m benchmarks.photographs RUNS --seeds 3 --csv FILE --png FILE` trains every rule on elpv at
30 % kept (pip install 'orderdp[elpv]'), audits three points of each training on augmented images,
and prints a table in Markdown: accuracy (mean and standard deviation over seeds), its difference to
a random subset (mean and standard error of the differences, paired by seed), and, as means over
points and seeds, the relative bias of the expected gradient, its angle to the full gradient and the
length of each cause. The figure has both over training. It continues where RUNS has it.
"""

import argparse
import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure

from benchmarks.common import deviation
from orderdp_theory.common.style import WIDE, new_figure, panel_letters, render, styled
from orderdp_train.rules import RULES as RULES_BY_NAME

KEEP = "0.3"
RULES = (
    *("random", "survey", "orderdp", "orderdp-fresh", "orderdp-unbiased"),
    *("infobatch", "epsilon-greedy", "ucb", "full"),
)
# By the recipe of these photographs, but for speed in half precision and channels-last.
TRAINING = (
    *("--data", "elpv", "--model", "resnet18"),
    *("--precision", "bf16", "--channels-last"),
)
POINTS = 3
AUDIT = ("--views", "1", "--replays", "2", "--no-moments", "--no-monte-carlo")
CAUSES = ("ranking", "score noise", "survivorship", "staleness", "normalisation")
COLUMNS = ("rule", "seed", "epoch", "accuracy", "kept", "bias", "angle", *CAUSES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--png", type=Path)
    given = parser.parse_args()
    rows = [
        row
        for seed in range(given.seeds)
        for rule in RULES
        for row in points(rule, seed, given.runs / f"{rule}-{seed}")
    ]
    if given.csv:
        with given.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    if given.png:
        given.png.write_bytes(render(figure(rows), "png"))
    head = ("rule", "accuracy (%)", "minus random", "kept (%)", "bias", "angle", *CAUSES)
    print("|", " | ".join(head), "|")
    print("|---" * len(head) + "|")
    final = {(row["rule"], row["seed"]): row["accuracy"] for row in rows}
    for rule in RULES:
        own = [row for row in rows if row["rule"] == rule]
        values = [final[rule, seed] for seed in range(given.seeds)]
        ahead = [final[rule, seed] - final["random", seed] for seed in range(given.seeds)]
        numbers = [fmean(row[name] for row in own) for name in ("bias", "angle", *CAUSES)]
        print(
            f"| {rule} | {fmean(values):.1f} ± {deviation(values):.1f} "
            f"| {fmean(ahead):+.1f} ± {deviation(ahead) / math.sqrt(len(ahead)):.1f} "
            f"| {fmean(row['kept'] for row in own):.0f} | "
            + " | ".join(f"{number:.2f}" for number in numbers)
            + " |"
        )


@styled
def figure(rows: list[dict[str, Any]]) -> Figure:
    """Over training, means over seeds and each seed: the angle to the full gradient, accuracy."""
    drawn = new_figure(WIDE, 2.9)
    angle, accuracy = drawn.subplots(1, 2)
    panel_letters(angle, accuracy)
    for rule in RULES:
        known = RULES_BY_NAME[rule]
        look = {"color": known.colour, "marker": known.marker}
        own = [row for row in rows if row["rule"] == rule]
        epochs = sorted({row["epoch"] for row in own})
        for ax, name in ((angle, "angle"), (accuracy, "accuracy")):
            means = [fmean(row[name] for row in own if row["epoch"] == e) for e in epochs]
            ax.plot(epochs, means, label=known.label, **look)
            seeds = [(row["epoch"], row[name]) for row in own]
            ax.plot(*zip(*seeds, strict=True), ".", color=known.colour, alpha=0.5, markersize=3)
    ticks = sorted({row["epoch"] for row in rows})
    angle.set(xlabel="epoch", ylabel="angle to the full gradient (degrees)", xticks=ticks)
    accuracy.set(xlabel="epoch", ylabel="test accuracy (%)", xticks=ticks)
    handles, labels = angle.get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside right upper")
    return drawn


def points(rule: str, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Train and audit one rule, and read the points that were audited."""
    found = folder / "audit" / "audit.json"
    if not found.exists():
        known = ["--resume"] if (folder / "config.json").exists() else new_run(rule, seed)
        command("run", "--out", folder, "--checkpoints", POINTS, *known)
        command("audit", "--run", folder, "--out", found.parent, *AUDIT)
    document = json.loads(found.read_text(encoding="utf-8"))
    rows = []
    for point in document["points"]:
        [audited] = point["audit"]["rules"]
        rows.append(
            {
                "rule": rule,
                "seed": seed,
                "epoch": point["epoch"],
                "accuracy": 100 * point["test_accuracy"],
                "kept": 100 * audited["kept_fraction"],
                "bias": audited["bias"],
                "angle": math.degrees(math.acos(min(audited["cosine"], 1.0))),
                **{cause: audited["parts"].get(cause, 0.0) for cause in CAUSES},
            }
        )
    return rows


def new_run(rule: str, seed: int) -> list[str]:
    budget = [] if rule in ("full", "infobatch") else ["--keep", KEEP]
    return ["--rule", rule, "--seed", str(seed), *budget, *TRAINING]


def command(*words: object) -> None:
    ours = [sys.executable, "-m", "orderdp_train", *map(str, words), "--quiet"]
    print(*ours[2:], file=sys.stderr, flush=True)
    subprocess.run(ours, check=True)


if __name__ == "__main__":
    main()
