"""What a rule would have stored by now if nothing had ever moved, from replays at one model.

The training loop itself runs the rule from its beginning, the model frozen where it is audited.
What the scores of a real run differ by from those of a replay is then due to old parameters alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from orderdp_train.data import TrainTestData
from orderdp_train.rules import InfoBatch, RuleConfig, SelectionRule
from orderdp_train.training.loop import fresh_scorer, train
from orderdp_train.training.processes import world_size
from orderdp_train.training.recipe import Recipe

Begin = Callable[[nn.Module], SelectionRule]
"""Makes a training's rule as it is before the first epoch, for a training of the given model."""


@dataclass(frozen=True)
class Replays:
    """Expected weights of a rule, float64 `(m, n)` each, by scores from a frozen model.

    `noisy`: by the losses of one pass over everything as training sees it, a redraw each.
    `replayed`: by what the rule has stored after its own passes. Rows add up to 1. `passes` counts
    the forward passes over the data that all of it took.
    """

    noisy: Tensor
    replayed: Tensor
    passes: float


def beginning(config: RuleConfig, data: TrainTestData, recipe: Recipe) -> Begin:
    """How a training with the configured rule begins: the rule, told first scores if it wants."""

    def begin(model: nn.Module) -> SelectionRule:
        scorer = fresh_scorer(model, data, recipe)
        n, epochs = data.num_train, recipe.epochs
        rule = config.build(n, scorer=scorer, epochs=epochs, device=data.device)
        config.score_first(rule, scorer)
        return rule

    return begin


def replay(
    model: nn.Module,
    data: TrainTestData,
    recipe: Recipe,
    begin: Begin,
    epochs: int,
    count: int,
    *,
    steps_per_epoch: int | None = None,
    trained_by: int = 1,
    seed: Sequence[int],
) -> Replays:
    """Replay the first `epochs` of a training `count` times, and redraw a whole pass as often.

    Every replay has selections and augmentation of its own. Samples meet as many others in a batch
    as in the training by `trained_by` processes, which is what BatchNorm sees. Nothing given is
    changed, torch's global generator included. All processes must call it.
    """
    model = copy.deepcopy(model)
    batch = max(recipe.batch_size * world_size() // trained_by, world_size())
    recipe = replace(recipe, batch_size=batch)
    seeds = np.random.SeedSequence(seed).generate_state(2 * count, np.uint32).tolist()
    kept = 0

    def run(rule: SelectionRule, epochs: int, steps: int | None, seed: int) -> None:
        nonlocal kept
        options = {"seed": seed, "steps_per_epoch": steps, "evaluated": False, "frozen": True}
        with torch.random.fork_rng():
            training = train(model, data, rule, recipe, **options)
            kept += sum(epoch.kept for epoch in islice(training, epochs))
        rule.set_epoch(epochs)

    noisy, replayed = [], []
    for a, b in zip(seeds[:count], seeds[count:], strict=True):
        everything, rule = InfoBatch(data.num_train, 0.0, device=data.device), begin(model)
        run(everything, 1, None, a)
        run(rule, epochs, steps_per_epoch, b)
        noisy.append(unit(rule.expected_weights(everything.scores)))
        replayed.append(unit(rule.at_present().expected_weights()))
    return Replays(torch.stack(noisy), torch.stack(replayed), kept / data.num_train)


def unit(weights: Tensor) -> Tensor:
    """The weights float64 `(n,)` on the CPU, scaled to add up to 1."""
    weights = weights.detach().to("cpu", torch.float64)
    return weights / weights.sum()
