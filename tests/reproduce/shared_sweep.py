"""A small sweep with cosines, by the processes that torchrun started, or by one.

torchrun --nproc-per-node=2 tests/reproduce/shared_sweep.py FOLDER
"""

import sys
from pathlib import Path
from unittest import mock

import torch

from orderdp_theory.common.command import run
from orderdp_train.cli.app import app
from orderdp_train.reproduce import RESULTS, Cell, Number, Result
from orderdp_train.rules import RuleConfig
from orderdp_train.runs import RunConfig, measures
from orderdp_train.training.recipe import Recipe


def mini(epochs: int = 3) -> Result:
    """Two trainings, one of which measures cosines: Table 11 in small."""
    recipe = Recipe(epochs=epochs, batch_size=64, max_lr=0.1)
    options = {"keep": 0.3, "explore": 0.5}
    orderdp = RunConfig(rule=RuleConfig("orderdp", options), recipe=recipe)
    cell, full = (
        Cell(orderdp, gradients=True),
        Cell(RunConfig(rule=RuleConfig("full"), recipe=recipe)),
    )
    numbers = [
        Number("OrderDP", "accuracy", "test accuracy (%)", cell, measures.final_accuracy),
        Number("OrderDP", "cosine", "cosine", cell, measures.cosine_over_phase("expected", "100")),
        Number("full", "accuracy", "test accuracy (%)", full, measures.final_accuracy),
    ]
    return Result("mini", "Mini", lambda scale: numbers, seeds=1)


def main(folder: str, epochs: str = "3", *more: str) -> None:
    torch.set_num_threads(1)
    with mock.patch.dict(RESULTS, {"mini": mini(int(epochs))}):
        run(app, ["reproduce", "mini", "--device=cpu", "--jobs=1", f"--out={folder}", *more])


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    main(*sys.argv[1:])
