"""What stands for the paper's data sets, models and schedules at each scale."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from orderdp_train.rules import RuleConfig, rule_class
from orderdp_train.runs import RunConfig
from orderdp_train.training.presets import RECIPES, default_recipe

# In the paper's words, with the two static methods that only its text names; then those it has not.
STATIC = {
    "Static Random": "static-random",
    "CD": "contextual-diversity",
    "Herding": "herding",
    "K-Center": "k-center",
    "K-Means": "k-means-prototypes",
    "Least Confidence": "least-confidence",
    "Entropy": "entropy",
    "Margin": "margin",
    "Forgetting": "forgetting",
    "GraNd-4": "grand",
    "DeepFool": "deepfool",
    "Craig": "craig",
    "Glister": "glister",
    "Influence": "influence",
    "EL2N-2": "el2n",
    "EL2N-20": "el2n",
    "DP": "dataset-pruning",
}
SURVEY = "Survey sampling"
BEYOND = {
    SURVEY: "survey",
    "RS2": "rs2",
    "Selective backprop": "selective-backprop",
    "Fresh OrderDP": "orderdp-fresh",
    "Rescored OrderDP": "orderdp-rescored",
    "Unbiased rule": "orderdp-unbiased",
    "Ordered SGD": "ordered-sgd",
    "RHO-loss": "rho-loss",
}
METHODS = {
    "Whole Dataset": "full",
    **STATIC,
    "Dynamic Random": "random",
    "ε-greedy": "epsilon-greedy",
    "UCB": "ucb",
    "InfoBatch": "infobatch",
    "OrderDP": "orderdp",
    **BEYOND,
}
# What the name of a method says of its options.
NAMED: dict[str, dict[str, float]] = {
    "EL2N-2": {"epoch": 2.0},
    "EL2N-20": {"epoch": 20.0},
    "GraNd-4": {"epoch": 4.0},
}
PER_STEP = ("Ordered SGD", "RHO-loss")  # as published: every step selects a batch of its own
# The paper prints no rate for an optimizer other than SGD on CIFAR: these three are our choice.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {},
    "AdamW": {"optimizer": "adamw", "max_lr": 1e-3},
    "LARS": {"optimizer": "lars", "max_lr": 5.0},
    "LAMB": {"optimizer": "lamb", "max_lr": 1e-2},
}
# Epochs that make a smoke run of the small CNN a few seconds long on one core.
SMOKE_EPOCHS = {"digits": 20, "mnist5k": 10}


@dataclass(frozen=True)
class Scale:
    """`data`, of a data set or of one with a model, and `models` translate the paper's names.

    `recipes` are the presets of models that do not train by the usual one, `processor` is what
    costs are stated for.
    """

    name: str
    data: Mapping[str, str]
    models: Mapping[str, str]
    recipes: Mapping[str, str]
    processor: str

    def config(
        self,
        method: str,
        dataset: str,
        model: str,
        prune_percent: float,
        *,
        explore: float | None = None,
        optimizer: str = "SGD",
        max_lr: float | None = None,
    ) -> RunConfig:
        """One training of the paper, in the paper's words, at this scale; the seed is 0.

        For InfoBatch `prune_percent` is the nominal one, its probability to prune a sample below
        the mean. `explore` is s/n of OrderDP; `max_lr` is the peak rate where the paper's text
        departs from its own recipe, which the smoke scale has no use for.
        """
        data = self.data.get(f"{dataset} {model}", self.data[dataset])
        network = self.models[model]
        named = self.recipes.get(model)
        recipe = RECIPES[named] if named else default_recipe(data, network, "cuda")
        if self.name == "smoke":
            recipe = replace(recipe, **TABLE_5_SMOKE.get(model, {"epochs": SMOKE_EPOCHS[data]}))
        elif max_lr is not None:
            recipe = replace(recipe, max_lr=max_lr)
        keep = 1 - prune_percent / 100
        options: dict[str, float] = {} if METHODS[method] == "full" else {"keep": round(keep, 6)}
        options |= NAMED.get(method, {})
        if "explore" in rule_class(METHODS[method]).options:
            options["explore"] = round(explore or split(keep, dataset, model), 6)
        if method == "OrderDP":
            # The released code starts all scores at a constant.
            options["initial_score"] = 1.0 if dataset == "ImageNet-1K" else 3.0
        return RunConfig(
            data=data,
            model=network,
            rule=RuleConfig(METHODS[method], options),
            selection="iteration" if method in PER_STEP else "epoch",
            recipe=replace(recipe, **OPTIMIZERS[optimizer]),
        )


# Published (s/n, q/s): the paper's (Section 4.2, "by default when no other values are specified"),
# then the README's for CIFAR and the scripts' for ImageNet.
DEFAULT_SPLIT = (0.5, 0.6)
RELEASED_SPLITS = {
    ("CIFAR-100", "ResNet-50"): (0.8, 0.375),
    ("ImageNet-1K", "ResNet-50"): (0.75, 0.8),
    ("ImageNet-1K", "ResNet-18"): (0.8, 0.9),
}


def split(keep: float, dataset: str, model: str) -> float:
    """s/n at a kept fraction: as published for a budget within a point of it, else s/n = q/s.

    Where both have published one, the paper's. Figure 4 finds that it does not matter.
    """
    published = [DEFAULT_SPLIT, RELEASED_SPLITS.get((dataset, model), DEFAULT_SPLIT)]
    near = (explore for explore, part in published if abs(explore * part - keep) < 0.01)
    return next(near, math.sqrt(keep))


def splits(keep: float) -> list[float]:
    """Every s/n at which somebody published a split of just this budget."""
    published = (DEFAULT_SPLIT, *RELEASED_SPLITS.values())
    return [explore for explore, part in published if math.isclose(explore * part, keep)]


def fine_tuning(pretraining: RunConfig) -> RunConfig:
    """The training, on the whole data set, that follows that of a masked autoencoder."""
    model = pretraining.model.replace("mae-", "vit-")
    recipe = default_recipe(pretraining.data, model)
    return replace(pretraining, model=model, rule=RuleConfig("full"), recipe=recipe)


# Table 5's networks, which are slow on a CPU, stand on the smallest images, and are trained so.
_PLAIN = {"randaugment": "", "erasing": 0.0}  # image by image on the CPU, which takes long
TABLE_5_SMOKE: dict[str, dict[str, Any]] = {
    "ResNet-50 (timm)": _PLAIN,
    "Swin-T": _PLAIN,
    "ViT-B (MAE)": {},
}
SCALES = {
    "smoke": Scale(
        name="smoke",
        data={
            "CIFAR-10": "digits",
            "CIFAR-100": "mnist5k",
            "ImageNet-1K": "mnist5k",
            **{f"ImageNet-1K {model}": "digits" for model in TABLE_5_SMOKE},
        },
        models={
            "ResNet-18": "cnn",
            "ResNet-50": "cnn",
            "ResNet-50 (timm)": "cnn",
            "Swin-T": "swin-smoke",
            "ViT-B (MAE)": "mae-tiny",
        },
        recipes={"ResNet-50 (timm)": "smoke-timm"},
        processor="one CPU core",
    ),
    "paper": Scale(
        name="paper",
        data={"CIFAR-10": "cifar10", "CIFAR-100": "cifar100", "ImageNet-1K": "imagenet"},
        models={
            "ResNet-18": "resnet18",
            "ResNet-50": "resnet50",
            "ResNet-50 (timm)": "resnet50",
            "Swin-T": "swin_tiny_patch4_window7_224",
            "ViT-B (MAE)": "mae-base",
        },
        recipes={"ResNet-50 (timm)": "imagenet-resnet50-timm"},
        processor="one L40 GPU",
    ),
}
