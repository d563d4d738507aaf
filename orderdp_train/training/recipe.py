"""How to train: everything that is neither data, model nor selection rule."""

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_origin

from orderdp_theory.arguments import integer, number
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_room

OptimizerName = Literal["sgd", "adamw", "lars", "lamb"]
Precision = Literal["fp32", "bf16", "fp16"]
Schedule = Literal["onecycle", "cosine"]

EPOCH = 2000  # bytes of memory of an epoch's metrics, as they are kept and while they are stored
LARGEST = 1e30  # of a setting: its products with parameters are still numbers in single precision


def _most_one(default: float) -> Any:
    """A number in [0, 1]."""
    return field(default=default, metadata={"most": 1})


def _share(default: float | None) -> Any:
    """A number in [0, 1)."""
    return field(default=default, metadata={"below": 1})


@dataclass(frozen=True)
class Recipe:
    """A training recipe; presets by name are in `RECIPES`.

    The rate rises to `max_lr` over the fraction `warm_up` of training and falls to its end: both by
    cosines under "onecycle" (PyTorch's defaults), by a line and a cosine under "cosine".
    `momentum`, the first beta of adamw and lamb, may be another one when the rate is at its peak,
    `peak_momentum`, and then goes there and back by cosines. `mixup` and `cutmix` are the alphas of
    the two mixings, 0 for off; with both on each batch uses one of them. `randaugment`,
    `erasing` and `crop` are those of `data.Policy`, `drop_path` is the stochastic depth of timm's
    models.

    Unless `decay_all`, weights decay but norms, biases and what a model of timm excludes. A layer's
    rate is `layer_decay` times that of the one above it. Gradients longer than `clip` are scaled
    to that length (0: none is). With `ema` test accuracies are those of the weights' moving average
    of that decay, which rises to it by timm's warm-up.

    Raises `ValueError` for values that no training could use, and for more epochs than memory has
    room for their metrics. A field's type says how it is
    checked: a new one is listed nowhere else.

    Example:
        >>> recipe = Recipe(epochs=10, max_lr=0.1)
        >>> recipe.learning_rate(0.3), recipe.optimizer
        (0.1, 'sgd')
        >>> Recipe(epochs=0)
        Traceback (most recent call last):
            ...
        orderdp_theory.common.errors.InputError: epochs must be at least 1, got 0
    """

    epochs: int = 200
    batch_size: int = 128
    optimizer: OptimizerName = "sgd"
    schedule: Schedule = "onecycle"
    max_lr: float = 0.2
    warm_up: float = _share(0.3)
    momentum: float = _share(0.9)
    peak_momentum: float | None = _share(None)
    second_beta: float = _share(0.999)
    weight_decay: float = 5e-4
    decay_all: bool = True
    layer_decay: float = _most_one(1.0)
    clip: float = 0.0
    label_smoothing: float = _share(0.1)
    ema: float = _share(0.0)
    drop_path: float = _share(0.0)
    randaugment: str = ""
    erasing: float = _most_one(0.0)
    crop: float = _most_one(0.08)
    mixup: float = 0.0
    cutmix: float = 0.0
    precision: Precision = "fp32"
    compile: bool = False
    channels_last: bool = False

    def __post_init__(self) -> None:
        for setting in fields(self):
            name, value = setting.name, getattr(self, setting.name)
            if known := get_args(setting.type) if get_origin(setting.type) is Literal else ():
                if value not in known:
                    raise InputError(f"unknown {name} {value!r}: choose one of {', '.join(known)}")
            elif setting.type is int:
                object.__setattr__(self, name, integer(name, value))
                if value < 1:
                    raise InputError(f"{name} must be at least 1, got {value}")
            elif setting.type is str:
                if not isinstance(value, str):
                    raise InputError(f"{name} must be a word, got {value!r}")
            elif setting.type is not bool and value is not None:
                most = setting.metadata.get("most", LARGEST)
                if not 0 <= number(name, value) <= most:
                    raise InputError(
                        f"{name} must be a non-negative number of at most {most:g}, got {value}"
                    )
                if value >= setting.metadata.get("below", math.inf):
                    raise InputError(f"{name} must be below 1, got {value}")
        require_room("epochs", self.epochs, EPOCH)

    def learning_rate(self, progress: float) -> float:
        """The rate at a fraction `progress` of training.

        OneCycle's starts at max_lr/25 and ends at a 1e-4th of that, the cosine's at max_lr/1000 and
        max_lr/100. A function of progress rather than of a step count, so that every rule sees the
        whole cycle however many samples it keeps.
        """
        start, end = (1 / 25, 1 / 25 / 1e4) if self.schedule == "onecycle" else (1e-3, 1e-2)
        if self.schedule == "cosine" and progress < self.warm_up:
            return self.max_lr * (start + (1 - start) * progress / self.warm_up)
        return self._cycled(progress, start * self.max_lr, self.max_lr, end * self.max_lr)

    def momentum_at(self, progress: float) -> float:
        """The momentum at a fraction `progress` of training."""
        if self.peak_momentum is None:
            return self.momentum
        return self._cycled(progress, self.momentum, self.peak_momentum, self.momentum)

    def _cycled(self, progress: float, start: float, peak: float, end: float) -> float:
        if progress < self.warm_up:
            low, high, phase = peak, start, progress / self.warm_up
        else:
            low, high, phase = end, peak, (progress - self.warm_up) / (1 - self.warm_up)
        return low + (high - low) * (1 + math.cos(math.pi * phase)) / 2


def precision_of(name: str) -> Precision:
    """The precision of that name; `ValueError` if there is none."""
    for known in get_args(Precision):
        if known == name:
            return known
    known = ", ".join(get_args(Precision))
    raise InputError(f"unknown precision {name!r}: choose one of {known}")
