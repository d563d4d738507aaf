"""Optimizers by name."""

import torch
from timm.optim import create_optimizer_v2  # pyright: ignore[reportPrivateImportUsage]
from torch import nn

from orderdp_train.recipe import Recipe


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over all parameters; the loop sets the rate at every step."""
    rate, decay, momentum = recipe.learning_rate(0.0), recipe.weight_decay, recipe.momentum
    parameters = list(model.parameters())
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, rate, momentum=momentum, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(parameters, rate, betas=(momentum, 0.999), weight_decay=decay)
        case "lars":
            return create_optimizer_v2(
                parameters, "lars", lr=rate, weight_decay=decay, momentum=momentum
            )
        case "lamb":
            return create_optimizer_v2(
                parameters, "lamb", lr=rate, weight_decay=decay, betas=(momentum, 0.999)
            )
