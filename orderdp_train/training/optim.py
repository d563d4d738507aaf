"""Optimizers by name."""

from typing import Any

import torch
from torch import Tensor, nn

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

    In fp16 all of them skip a step that overflows by themselves, so that the host waits for none;
    lamb counts it in its bias correction.
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

    own: dict[str, Any] = {"momentum": momentum} if recipe.optimizer == "lars" else {"betas": betas}
    made = create_optimizer_v2(parameters, recipe.optimizer, lr=rate, weight_decay=decay, **own)
    return skipping_by_itself(made) if recipe.precision == "fp16" else made


def skipping_by_itself(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimizer, which now undoes a step itself where `GradScaler` found an overflow.

    The scaler would have the host wait for each step to learn whether to make it. Instead the
    parameters and their state are copied before a step, and put back on the device; that takes
    their memory once more. On the host nothing is undone, such as a count of steps.
    """
    before: dict[tuple[Tensor, str], Tensor] = {}

    def copy(*_: Any) -> None:
        if hasattr(optimizer, "found_inf"):  # which the scaler gives before a step, and takes back
            before.update({key: now.clone() for key, now in _tensors(optimizer).items()})

    def undo(*_: Any) -> None:
        found = getattr(optimizer, "found_inf", None)
        if found is not None:
            for key, now in _tensors(optimizer).items():
                old = before.get(key)  # none, if the step has made it
                now.copy_(
                    torch.where(found > 0, torch.zeros_like(now) if old is None else old, now)
                )
            before.clear()

    optimizer.register_step_pre_hook(copy)
    optimizer.register_step_post_hook(undo)
    vars(optimizer)["_step_supports_amp_scaling"] = True
    return optimizer


def _tensors(optimizer: torch.optim.Optimizer) -> dict[tuple[Tensor, str], Tensor]:
    """What a step changes, by parameter and name of its state."""
    found = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            found[parameter, ""] = parameter.detach()
            for name, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    found[parameter, name] = value
    return found


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
