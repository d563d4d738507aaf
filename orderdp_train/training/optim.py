"""Optimizers by name."""

from typing import Any

import torch
from torch import nn

from orderdp_train.training.recipe import Recipe


def follow(optimizer: torch.optim.Optimizer, recipe: Recipe, progress: float) -> None:
    """Set rate and momentum as `recipe` has them at a fraction `progress` of training."""
    rate, momentum = recipe.learning_rate(progress), recipe.momentum_at(progress)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        else:
            group["momentum"] = momentum


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over all parameters; `follow` sets the rate at every step.

    On a GPU the fused ones skip a step that overflows by themselves; with lars and lamb
    `GradScaler` has the host wait for each fp16 step.
    """
    rate, decay, momentum = recipe.learning_rate(0.0), recipe.weight_decay, recipe.momentum
    parameters = _groups(model, recipe)
    fused = True if next(model.parameters()).device.type == "cuda" else None
    betas = (momentum, recipe.second_beta)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=momentum, weight_decay=decay, fused=fused)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(parameters, rate, betas=betas, weight_decay=decay, fused=fused)
    # Imported here, because it takes a second that most trainings can save.
    from timm.optim import create_optimizer_v2  # pyright: ignore[reportPrivateImportUsage]

    if recipe.optimizer == "lars":
        return create_optimizer_v2(
            parameters, "lars", lr=rate, weight_decay=decay, momentum=momentum
        )
    return create_optimizer_v2(parameters, "lamb", lr=rate, weight_decay=decay, betas=betas)


def _groups(model: nn.Module, recipe: Recipe) -> list[Any]:
    """Parameters, or groups of them where not all have the same decay and rate; timm's."""
    if recipe.decay_all and recipe.layer_decay == 1:
        return list(model.parameters())
    from timm.optim import (
        param_groups_layer_decay,  # pyright: ignore[reportPrivateImportUsage]
        param_groups_weight_decay,  # pyright: ignore[reportPrivateImportUsage]
    )

    excluded = () if recipe.decay_all else getattr(model, "no_weight_decay", tuple)()
    which: dict[str, Any] = {"no_weight_decay_list": excluded}
    which["weight_decay_exclude_1d"] = not recipe.decay_all
    if recipe.layer_decay == 1:
        return param_groups_weight_decay(model, recipe.weight_decay, **which)
    which["layer_decay"] = recipe.layer_decay
    return param_groups_layer_decay(model, recipe.weight_decay, **which)
