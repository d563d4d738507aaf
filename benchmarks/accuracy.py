"""Test accuracy of every rule at one budget on the digits, paired by seed.

`python -m benchmarks.accuracy --keep 0.1 --label-noise 0.2 --epochs 20 --seeds 5 --csv FILE`
prints a table in Markdown: per method the accuracy after the last epoch (mean and standard
deviation over seeds), its difference to uniform dynamic pruning (mean and standard error of the
differences, which share data, noise, initial weights and seed), and the samples used an epoch.
"""

import argparse
import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import torch

from orderdp_theory import Design
from orderdp_train import (
    RECIPES,
    FixedSubset,
    Recipe,
    RHOLoss,
    RuleConfig,
    SelectionRule,
    fresh_scorer,
    load_data,
    losses_of,
    train,
)
from orderdp_train.data import TrainTestData
from orderdp_train.models import model_for

BASELINE = "random subset"
BY_NAME = (
    *("full", "random", "rs2", "survey", "orderdp", "orderdp-rescored", "orderdp-fresh"),
    *("orderdp-unbiased", "epsilon-greedy", "ucb", "infobatch", "selective-backprop"),
)
Make = Callable[[TrainTestData, torch.nn.Module, Recipe, int], SelectionRule]


def by_name(name: str, keep: float) -> tuple[str, Make]:
    config = RuleConfig(name)
    if "keep" in config.options:
        config = config.with_options(keep=keep)

    def make(
        data: TrainTestData, model: torch.nn.Module, recipe: Recipe, seed: int
    ) -> SelectionRule:
        scorer = fresh_scorer(model, data, recipe)
        return config.build(data.num_train, scorer=scorer, epochs=recipe.epochs)

    return config.rule.label, make


def own_generator(seed: int) -> torch.Generator:
    """Not the stream of `seed` itself, which picks the samples whose labels are noise."""
    return torch.Generator().manual_seed(1_000_000 + seed)


def static_random(keep: float) -> Make:
    def make(
        data: TrainTestData, model: torch.nn.Module, recipe: Recipe, seed: int
    ) -> SelectionRule:
        order = torch.randperm(data.num_train, generator=own_generator(seed))
        return FixedSubset(data.num_train, order[: round(keep * data.num_train)])

    return make


def rho_loss(keep: float) -> Make:
    """Holdout losses of either half are those of a model trained on the other half; s = n/2."""

    def make(
        data: TrainTestData, model: torch.nn.Module, recipe: Recipe, seed: int
    ) -> SelectionRule:
        n = data.num_train
        order = torch.randperm(n, generator=own_generator(seed))
        halves = order[: n // 2], order[n // 2 :]
        holdout = torch.zeros(n)
        for own, other in (halves, halves[::-1]):
            with torch.random.fork_rng():
                judge = model_for("cnn", data)
                for _ in train(judge, data, FixedSubset(n, other), recipe, evaluated=False):
                    pass
            holdout[own] = losses_of(judge, data, own, recipe)
        q = round(keep * n)
        return RHOLoss(
            Design(n, max(n // 2, q), q), holdout, scorer=fresh_scorer(model, data, recipe)
        )

    return make


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=float, default=0.1)
    parser.add_argument("--label-noise", type=float, default=0.0)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe = replace(RECIPES["smoke"], epochs=given.epochs)
    methods = dict(by_name(name, given.keep) for name in BY_NAME)
    methods |= {"RHO-loss": rho_loss(given.keep), "fixed random subset": static_random(given.keep)}
    found: dict[str, list[float]] = {label: [] for label in methods}
    kept: dict[str, list[float]] = {label: [] for label in methods}
    for seed in range(given.seeds):
        data = load_data("digits", label_noise=given.label_noise, seed=seed, device="cpu")
        for label, make in methods.items():
            torch.manual_seed(seed)
            model = model_for("cnn", data)
            epochs = list(train(model, data, make(data, model, recipe, seed), recipe, seed=seed))
            found[label].append(100 * epochs[-1].test_accuracy)
            kept[label].append(fmean(epoch.kept for epoch in epochs))
    print("| method | accuracy (%) | minus random subset | samples an epoch |\n|---|---|---|---|")
    for label, values in found.items():
        differences = [a - b for a, b in zip(values, found[BASELINE], strict=True)]
        error = deviation(differences) / math.sqrt(len(values))
        print(
            f"| {label} | {fmean(values):.1f} ± {deviation(values):.1f} "
            f"| {fmean(differences):+.1f} ± {error:.1f} | {fmean(kept[label]):.0f} |"
        )
    if given.csv:
        with given.csv.open("w", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["method", "keep", "label_noise", "epochs", "seed", "accuracy", "kept"])
            for label, values in found.items():
                for seed, value in enumerate(values):
                    setting = (given.keep, given.label_noise, given.epochs, seed)
                    rows.writerow([label, *setting, f"{value:.4f}", f"{kept[label][seed]:.1f}"])


def deviation(values: list[float]) -> float:
    return stdev(values) if len(values) > 1 else math.nan


if __name__ == "__main__":
    main()
