"""Test accuracy of every rule at one budget on small images, paired by seed, and what it costs.

`python -m benchmarks.accuracy --keep 0.1 --label-noise 0.2 --epochs 20 --seeds 5 --csv FILE`
prints a table in Markdown: per method the accuracy after the last epoch (mean and standard
deviation over seeds), its difference to uniform dynamic pruning (mean and standard error of the
differences, which share data, noise, initial weights and seed), the samples used an epoch, and the
samples scored an epoch: forward passes that only the ranking needs. `--data mnist5k` takes other
images, `--rules orderdp orderdp-rescored` fewer rules (`random`, the baseline, is always there).
"""

import argparse
import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch

from benchmarks.common import deviation
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
from orderdp_train.training.loop import Epoch

BASELINE = "random subset"
BY_NAME = (
    *("full", "random", "rs2", "survey", "orderdp", "orderdp-rescored", "orderdp-fresh"),
    *("orderdp-unbiased", "epsilon-greedy", "ucb", "infobatch", "selective-backprop"),
)
Make = Callable[[TrainTestData, "CountingScorer", Recipe, int], SelectionRule]


class CountingScorer:
    """Present losses of samples, and how many were asked for."""

    def __init__(self, model: torch.nn.Module, data: TrainTestData, recipe: Recipe) -> None:
        self.losses, self.asked = fresh_scorer(model, data, recipe), 0

    def __call__(self, indices: torch.Tensor) -> torch.Tensor:
        self.asked += len(indices)
        return self.losses(indices)


def by_name(name: str, keep: float) -> tuple[str, Make]:
    config = RuleConfig(name)
    if "keep" in config.options:
        config = config.with_options(keep=keep)

    def make(
        data: TrainTestData, scorer: CountingScorer, recipe: Recipe, seed: int
    ) -> SelectionRule:
        return config.build(data.num_train, scorer=scorer, epochs=recipe.epochs)

    return config.rule.label, make


def own_generator(seed: int) -> torch.Generator:
    """Not the stream of `seed` itself, which picks the samples whose labels are noise."""
    return torch.Generator().manual_seed(1_000_000 + seed)


def static_random(keep: float) -> Make:
    def make(
        data: TrainTestData, scorer: CountingScorer, recipe: Recipe, seed: int
    ) -> SelectionRule:
        order = torch.randperm(data.num_train, generator=own_generator(seed))
        return FixedSubset(data.num_train, order[: round(keep * data.num_train)])

    return make


def judges(
    data: TrainTestData, recipe: Recipe, seed: int
) -> Iterator[tuple[torch.Tensor, torch.nn.Module]]:
    """Each half of the samples, and a model trained on the other half."""
    n = data.num_train
    order = torch.randperm(n, generator=own_generator(seed))
    halves = order[: n // 2], order[n // 2 :]
    for own, other in (halves, halves[::-1]):
        with torch.random.fork_rng():
            judge = model_for("cnn", data)
            for _ in train(judge, data, FixedSubset(n, other), recipe, evaluated=False):
                pass
        yield own, judge


def rho_loss(keep: float, judging: Recipe | None = None, steps: int = 1) -> Make:
    """Holdout losses of either half are those of a model trained on the other half; s = n/2.

    Its recipe is that of the training, or `judging`. What an epoch keeps is selected in `steps`.
    """

    def make(
        data: TrainTestData, scorer: CountingScorer, recipe: Recipe, seed: int
    ) -> SelectionRule:
        n = data.num_train
        holdout = torch.zeros(n)
        for own, judge in judges(data, judging or recipe, seed):
            holdout[own] = losses_of(judge, data, own, recipe)
        q = round(keep * n)
        return RHOLoss(Design(n, max(n // 2, q) // steps, q // steps), holdout, scorer=scorer)

    return make


def training(
    make: Make, data: TrainTestData, recipe: Recipe, seed: int, steps: int | None = None
) -> tuple[list[Epoch], CountingScorer]:
    """The epochs of a training with the rule, and what it has scored.

    It selects once an epoch, or at each of so many `steps`.
    """
    torch.manual_seed(seed)
    model = model_for("cnn", data)
    scorer = CountingScorer(model, data, recipe)
    rule = make(data, scorer, recipe, seed)
    epochs = train(model, data, rule, recipe, seed=seed, steps_per_epoch=steps)
    return list(epochs), scorer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=float, default=0.1)
    parser.add_argument("--label-noise", type=float, default=0.0)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", choices=("digits", "mnist5k"), default="digits")
    parser.add_argument("--rules", nargs="+", choices=BY_NAME)
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe = replace(RECIPES["smoke"], epochs=given.epochs)
    names = BY_NAME if given.rules is None else dict.fromkeys(("random", *given.rules))
    methods = dict(by_name(name, given.keep) for name in names)
    if given.rules is None:
        methods |= {
            "RHO-loss": rho_loss(given.keep),
            "fixed random subset": static_random(given.keep),
        }
    found: dict[str, list[float]] = {label: [] for label in methods}
    kept: dict[str, list[float]] = {label: [] for label in methods}
    scored: dict[str, list[float]] = {label: [] for label in methods}
    for seed in range(given.seeds):
        data = load_data(given.data, label_noise=given.label_noise, seed=seed, device="cpu")
        for label, make in methods.items():
            epochs, scorer = training(make, data, recipe, seed)
            found[label].append(100 * epochs[-1].test_accuracy)
            kept[label].append(fmean(epoch.kept for epoch in epochs))
            scored[label].append(scorer.asked / recipe.epochs)
    print("| method | accuracy (%) | minus random subset | used an epoch | scored an epoch |")
    print("|---|---|---|---|---|")
    for label, values in found.items():
        differences = [a - b for a, b in zip(values, found[BASELINE], strict=True)]
        error = deviation(differences) / math.sqrt(len(values))
        print(
            f"| {label} | {fmean(values):.1f} ± {deviation(values):.1f} "
            f"| {fmean(differences):+.1f} ± {error:.1f} | {fmean(kept[label]):.0f} "
            f"| {fmean(scored[label]):.0f} |"
        )
    if given.csv:
        with given.csv.open("w", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            columns = ("method", "keep", "label_noise", "epochs", "seed")
            rows.writerow([*columns, "accuracy", "kept", "scored"])
            for label, values in found.items():
                for seed, value in enumerate(values):
                    setting = (given.keep, given.label_noise, given.epochs, seed)
                    counts = (f"{kept[label][seed]:.1f}", f"{scored[label][seed]:.1f}")
                    rows.writerow([label, *setting, f"{value:.4f}", *counts])


if __name__ == "__main__":
    main()
