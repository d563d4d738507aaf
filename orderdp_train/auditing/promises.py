"""What a run may promise: the theorems' assumptions that it met, with constants measured on it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from orderdp_theory import Design, Guarantee, MeasuredRun, promises
from orderdp_train.auditing.covariance import per_sample_gradients
from orderdp_train.auditing.point import Point
from orderdp_train.auditing.population import Population, population_of_images
from orderdp_train.auditing.walk import audit_mode
from orderdp_train.models import model_for
from orderdp_train.rules import FullData, OrderDP, RandomSubset, SelectionRule
from orderdp_train.runs import RunConfig


def design_of_rule(rule: SelectionRule) -> Design | None:
    """The random-then-top design that a rule is, if it is one; s = q for uniform subsets."""
    if isinstance(rule, OrderDP):
        return rule.design
    if isinstance(rule, FullData | RandomSubset) and rule.budget is not None:
        return Design(rule.n, rule.budget, rule.budget)
    return None


def promises_of(point: Point, config: RunConfig) -> tuple[Guarantee, ...]:
    """Every theorem about the run that `point` ends, by the constants measured on it.

    Losses and the largest per-sample gradient norm are those at the first and at this point: what
    follows from them is an estimate of the guarantee. Empty for a rule that is not random-then-top.
    """
    design = design_of_rule(point.rule)
    if design is None:
        return ()
    torch.manual_seed(config.seed)
    first = model_for(config.model, point.data)
    population = population_of_images(point.data, point.recipe)
    losses, largest = {}, 0.0
    for name, model in (("first", first), ("last", point.model)):
        with audit_mode(model):
            losses[name] = population.all_losses(model).numpy()
            largest = max(largest, _largest_gradient(model, population))
    recipe, ranked = point.recipe, design.q < design.s
    fresh = not ranked or (isinstance(point.rule, OrderDP) and point.rule.scorer is not None)
    steps = -(-design.q // recipe.batch_size) if point.steps_per_epoch is None else 1
    selections = point.epoch * (point.steps_per_epoch or 1)
    total = recipe.epochs * (point.steps_per_epoch or 1)
    return promises(
        MeasuredRun(
            design=design,
            step_sizes=[recipe.learning_rate(t / total) for t in range(selections)],
            losses=losses["last"],
            loss_range=float(np.max([losses["first"].max(), losses["last"].max()])),
            lipschitz=largest,
            minibatches=steps,
            initial_losses=losses["first"],
            max_age=0 if fresh else None,
            shortfalls=0.0 if fresh else None,
            convex=_is_linear(point.model),
            # The rate changes within an epoch, which the theorems on minibatches do not cover.
            plain=(recipe.optimizer, recipe.momentum, recipe.weight_decay) == ("sgd", 0.0, 0.0)
            and not (recipe.mixup or recipe.cutmix)
            and steps == 1,
        )
    )


def _is_linear(model: nn.Module) -> bool:
    """Whether cross-entropy is convex in the parameters: one linear layer holds all of them."""
    holders = [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]
    return len(holders) == 1 and type(holders[0]) is nn.Linear


def _largest_gradient(model: nn.Module, population: Population) -> float:
    largest = 0.0
    for _, gradients in per_sample_gradients(model, population, torch.arange(population.n)):
        squares = torch.stack([g.flatten(1).double().square().sum(1) for g in gradients])
        largest = max(largest, float(squares.sum(0).max()))
    return largest**0.5
