"""How to train: everything that is neither data, model nor selection rule, and named presets."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from orderdp_theory.arguments import integer, number
from orderdp_theory.common.errors import InputError

OptimizerName = Literal["sgd", "adamw", "lars", "lamb"]
Precision = Literal["fp32", "bf16", "fp16"]

LARGEST = 1e30  # of a setting: its products with parameters are still numbers in single precision


@dataclass(frozen=True)
class Recipe:
    """A training recipe; the defaults are those of the CIFAR experiments (Appendix D.1).

    `mixup` and `cutmix` are the alphas of the two mixings, 0 for
    off; with both on each batch uses one of them. Raises `ValueError` for values that no training
    could use.
    """

    epochs: int = 200
    batch_size: int = 128
    optimizer: OptimizerName = "sgd"
    max_lr: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    mixup: float = 0.0
    cutmix: float = 0.0
    precision: Precision = "fp32"
    compile: bool = False
    channels_last: bool = False

    def __post_init__(self) -> None:
        for name, choices in (("optimizer", OptimizerName), ("precision", Precision)):
            if getattr(self, name) not in get_args(choices):
                known = ", ".join(get_args(choices))
                raise InputError(f"unknown {name} {getattr(self, name)!r}: choose one of {known}")
        for name in ("epochs", "batch_size"):
            object.__setattr__(self, name, integer(name, getattr(self, name)))
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("max_lr", "momentum", "weight_decay", "label_smoothing", "mixup", "cutmix"):
            value = number(name, getattr(self, name))
            if not 0 <= value <= LARGEST:
                raise InputError(
                    f"{name} must be a non-negative number of at most {LARGEST:g}, got {value}"
                )
        for name in ("momentum", "label_smoothing"):
            if getattr(self, name) >= 1:
                raise InputError(f"{name} must be below 1, got {getattr(self, name)}")

    def learning_rate(self, progress: float) -> float:
        """The OneCycle rate at a fraction `progress` of training: cosines up over 30 %, then down.

        It starts at max_lr/25 and ends at a 1e-4th of that. A function of progress rather than of a
        step count, so that every rule sees the whole cycle however many samples it keeps.
        """
        start, peak, end = self.max_lr / 25, self.max_lr, self.max_lr / 25 / 1e4
        if progress < WARM_UP:
            low, high, phase = peak, start, progress / WARM_UP
        else:
            low, high, phase = end, peak, (progress - WARM_UP) / (1 - WARM_UP)
        return low + (high - low) * (1 + math.cos(math.pi * phase)) / 2


WARM_UP = 0.3


def precision_of(name: str) -> Precision:
    """The precision of that name; `ValueError` if there is none."""
    for known in get_args(Precision):
        if known == name:
            return known
    known = ", ".join(get_args(Precision))
    raise InputError(f"unknown precision {name!r}: choose one of {known}")


RECIPES = {
    "smoke": Recipe(epochs=20, batch_size=64, max_lr=0.1),
    "prose": Recipe(
        epochs=20,
        batch_size=64,
        optimizer="adamw",
        max_lr=3e-3,
        weight_decay=0.01,
        label_smoothing=0.0,
    ),
    "cifar-resnet18": Recipe(max_lr=0.2),
    "cifar-resnet50": Recipe(max_lr=0.03),
    "imagenet-resnet18": Recipe(
        epochs=90, batch_size=1024, optimizer="lars", max_lr=1.98, weight_decay=1e-4
    ),
    "imagenet-resnet50": Recipe(
        epochs=90, batch_size=1024, optimizer="lars", max_lr=6.4, weight_decay=1e-4
    ),
}


def default_recipe(data: str, model: str) -> Recipe:
    """The preset for a data set and a model; that of a ResNet for models without one."""
    if data == "prose":
        return RECIPES["prose"]
    if data in ("cifar10", "cifar100"):
        return RECIPES["cifar-resnet50" if model == "resnet50" else "cifar-resnet18"]
    if data == "imagenet":
        return RECIPES["imagenet-resnet18" if model == "resnet18" else "imagenet-resnet50"]
    return RECIPES["smoke"]
