"""Why RHO-loss and InfoBatch fail on the digits at 10 % kept, without label noise.

`python -m benchmarks.failures --seeds 5` prints a table in Markdown of test accuracies in %, one a
seed: RHO-loss at 20 epochs with judges of 20 and of 60, the judges' own, two a seed, and RHO-loss
selected at every step, three an epoch; InfoBatch at 60 epochs, as it is, with all weights 1, and at
a third of the peak rate. The table that shows the failures is `benchmarks.accuracy`'s. `--checks`
takes some of them.
"""

import argparse
from dataclasses import replace

import torch

from benchmarks.accuracy import CountingScorer, judges, rho_loss, training
from orderdp_train import RECIPES, InfoBatch, Recipe, load_data
from orderdp_train.data import TrainTestData
from orderdp_train.models import model_for
from orderdp_train.rules import Selection
from orderdp_train.training.loop import evaluate

KEEP, STEPS = 0.1, 3
SHORT, LONG = (replace(RECIPES["smoke"], epochs=epochs) for epochs in (20, 60))


class Unweighted(InfoBatch):
    """Its selection, every weight 1."""

    def select(self, generator: torch.Generator) -> Selection:
        indices, weights = super().select(generator)
        return indices, torch.ones_like(weights)


def infobatch(data: TrainTestData, scorer: CountingScorer, recipe: Recipe, seed: int) -> InfoBatch:
    return InfoBatch(data.num_train, 1 - KEEP)


def unweighted(data: TrainTestData, scorer: CountingScorer, recipe: Recipe, seed: int) -> InfoBatch:
    return Unweighted(data.num_train, 1 - KEEP)


TRAININGS = {
    "RHO-loss, judges of 20 epochs": (rho_loss(KEEP), SHORT, None),
    "RHO-loss, judges of 60 epochs": (rho_loss(KEEP, LONG), SHORT, None),
    "RHO-loss, at every step": (rho_loss(KEEP, steps=STEPS), SHORT, STEPS),
    "InfoBatch": (infobatch, LONG, None),
    "InfoBatch, all weights 1": (unweighted, LONG, None),
    "InfoBatch, a third of the rate": (infobatch, replace(LONG, max_lr=LONG.max_lr / 3), None),
}
JUDGES = {"judges of 20 epochs": SHORT, "judges of 60 epochs": LONG}


def accuracies(check: str, data: TrainTestData, seed: int) -> list[float]:
    """Of the judges, or of the training, of this seed, in %."""
    if check in JUDGES:
        torch.manual_seed(seed)
        model_for("cnn", data)  # the student's weights are drawn before its judges'
        recipe = JUDGES[check]
        return [100 * evaluate(judge, data, recipe) for _, judge in judges(data, recipe, seed)]
    make, recipe, steps = TRAININGS[check]
    epochs, _ = training(make, data, recipe, seed, steps)
    return [100 * epochs[-1].test_accuracy]


def main() -> None:
    known = (*JUDGES, *TRAININGS)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--checks", nargs="+", choices=known, default=known, metavar="CHECK")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = load_data("digits", device="cpu")
    print("| check | accuracy (%), by seed |")
    print("|---|---|")
    for check in given.checks:
        found = [a for seed in range(given.seeds) for a in accuracies(check, data, seed)]
        print(f"| {check} | {', '.join(f'{accuracy:.1f}' for accuracy in found)} |", flush=True)


if __name__ == "__main__":
    main()
