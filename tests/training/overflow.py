"""A training in fp16 that overflows for most of an epoch, on a GPU or a pretended one."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from orderdp_train import Recipe, RuleConfig, train
from orderdp_train.data import DataSet
from orderdp_train.training.recipe import OptimizerName


def an_epoch_that_overflows(
    model: nn.Module,
    data: DataSet,
    optimizer: OptimizerName,
    on_step: Callable[[int, int], object] = lambda step, steps: None,
) -> None:
    """The second of two epochs, at an infinite scale, changes no weight before its last step.

    `on_step` is told the step, from 1, and how many an epoch has.
    """
    recipe = Recipe(epochs=2, batch_size=50, max_lr=0.05, precision="fp16", optimizer=optimizer)
    rule = RuleConfig("orderdp").build(data.num_train, device=next(model.parameters()).device)
    assert rule.budget
    steps, made, seen = -(-rule.budget // recipe.batch_size), 0, []

    def count(_: Tensor) -> None:
        nonlocal made
        made += 1
        step = (made - 1) % steps + 1
        if made > steps and step in (1, steps):
            seen.append([parameter.detach().clone() for parameter in model.parameters()])
            scaler.update(math.inf if step == 1 else 2.0**10)
        on_step(step, steps)

    epochs = train(model, data, rule, recipe, on_step=count)
    scaler = next(epochs).state.scaler
    assert next(epochs).loss < 5
    assert made == 2 * steps
    before, later = seen
    after = [parameter.detach() for parameter in model.parameters()]
    assert all(map(torch.equal, before, later))
    assert not any(map(torch.equal, before, after))
    assert all(weight.isfinite().all() for weight in after)
