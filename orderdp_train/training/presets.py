"""Training recipes by name: as the paper prints them, as the authors' code has them, our own.

Where the paper is silent its presets take what the code does (label smoothing, the shape of
OneCycle). `Preset.said` has the words that a preset's numbers are taken from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from orderdp_theory.common.errors import InputError
from orderdp_train.data import DATA_SETS
from orderdp_train.training.recipe import Recipe

RELEASE = "Code of the release"
_ALL_MODELS = {
    "Section 4.2": "All models are trained with the OneCycle scheduler, which employs cosine "
    "annealing, using SGD with a momentum of 0.9 and a weight decay of 5×10^{-4} ."
}
_IMAGENET = {
    **_ALL_MODELS,
    "Appendix D.1": "The LARS optimizer and a maximum learning rate of 6.4 / 1.98 are used for "
    "batch size 1024 on ImageNet-1K experiments with ResNet-50/18.",
    "Table 3": "Results are reported with ResNet-50 under 40% prune ratio for 90 epochs",
}
_EPOCHS = {"Table 8": "InfoBatch and OrderDP are trained for 200 epochs"}
_CYCLED = {
    RELEASE: "OneCycleLR at PyTorch's defaults, which cycle the momentum: 0.95 → 0.85 → 0.95"
}


@dataclass(frozen=True)
class Preset:
    """A recipe, the data sets and models that it is for, and where its numbers are from.

    `said` gives words by place. `usual`: what data and model get where no recipe is named.
    """

    recipe: Recipe
    data: tuple[str, ...]
    models: tuple[str, ...]
    said: Mapping[str, str] = field(default_factory=dict)
    usual: bool = True


SMALL = ("digits", "mnist5k")
CIFAR, IMAGENET = ("cifar10", "cifar100"), ("imagenet",)
CNNS = ("cnn", "resnet18", "resnet50")


def _released(paper: Preset, said: Mapping[str, str] = _CYCLED, **changes: float) -> Preset:
    """What the authors' code does, where that is not what the paper says."""
    recipe = replace(paper.recipe, momentum=0.95, peak_momentum=0.85, **changes)
    return replace(paper, recipe=recipe, said=said, usual=False)


_cifar_18 = Preset(
    Recipe(max_lr=0.2),
    CIFAR,
    ("resnet18",),
    {
        **_ALL_MODELS,
        "Appendix D.1": "The CIFAR-10/100 experiment with ResNet-18 can be reproduced with SGD "
        "using a maximum learning rate of 0.2 for the OneCycle scheduler under a batch size of 128",
        **_EPOCHS,
    },
)
_cifar_50 = Preset(
    Recipe(max_lr=0.03),
    CIFAR,
    ("resnet50",),
    {
        **_ALL_MODELS,
        "Appendix D.1": "For experiments with ResNet-50, SGD is used with a maximum learning rate "
        "of 0.03 and batch size of 128",
        **_EPOCHS,
    },
)
_imagenet = Recipe(epochs=90, batch_size=1024, optimizer="lars")
_imagenet_18 = Preset(replace(_imagenet, max_lr=1.98), IMAGENET, ("resnet18",), _IMAGENET)
_imagenet_50 = Preset(replace(_imagenet, max_lr=6.4), IMAGENET, ("resnet50",), _IMAGENET)
_timm_50 = Preset(
    Recipe(
        epochs=100,
        batch_size=2048,
        optimizer="lamb",
        schedule="cosine",
        max_lr=8e-3,
        warm_up=0.05,
        weight_decay=0.02,
        decay_all=False,
        clip=1.0,
        ema=0.9999,
        randaugment="rand-m6-mstd0.5-inc1",
        erasing=0.25,
        mixup=0.1,
        cutmix=1.0,
        precision="bf16",
        channels_last=True,
    ),
    IMAGENET,
    ("resnet50",),
    {
        "Section 5.4": "We adopt the Timm (Wightman et al., 2021) ImageNet training stack, which "
        "combines mixed-precision training with strong augmentation and regularization methods "
        "such as MixUp, and CutMix",
        "Wightman et al. 2021": "Procedure A3 for optimizer, schedule, decay, RandAugment and the "
        "two mixings; averaging of the weights, erasing and cross-entropy are ours, at 224 pixels",
    },
    usual=False,
)
# How transformers for images are trained, and how strongly their images are changed.
_transformer = Recipe(
    optimizer="adamw", schedule="cosine", weight_decay=0.05, decay_all=False, precision="bf16"
)
_strong = {"randaugment": "rand-m9-mstd0.5-inc1", "erasing": 0.25, "mixup": 0.8, "cutmix": 1.0}
_mild = {"randaugment": "rand-m3-mstd0.5-inc1", "erasing": 0.1, "mixup": 0.1, "cutmix": 0.1}
_not_at_all = {"randaugment": "", "erasing": 0.0, "mixup": 0.0, "cutmix": 0.0}
_swin = Preset(
    replace(
        _transformer,
        epochs=300,
        batch_size=1024,
        max_lr=1e-3,
        warm_up=20 / 300,
        clip=5.0,
        drop_path=0.2,
        **_strong,
    ),
    IMAGENET,
    ("swin_tiny_patch4_window7_224",),
    {
        "Table 5": "Swin-Tiny is trained from scratch with OrderDP .",
        "Liu et al. 2021": "Regular ImageNet-1K training, all numbers",
    },
)

# He et al. (2022), Tables 8 and 9, and their code: rates are for 256 samples a batch there, and 40
# of the epochs of a pre-training warm up. Of the numbers the paper on OrderDP gives the epochs.
_mae = replace(
    _transformer,
    epochs=300,
    batch_size=4096,
    max_lr=1.5e-4 * 16,
    warm_up=40 / 300,
    second_beta=0.95,
    label_smoothing=0.0,
    crop=0.2,
)
_vit = replace(
    _transformer,
    epochs=100,
    batch_size=1024,
    max_lr=5e-4 * 4,
    warm_up=0.05,
    layer_decay=0.65,
    drop_path=0.1,
    **_strong,
)
_MAE = {"Table 5": "for 300 epochs and fine-tuned for 100 epochs."}
_small_mae = replace(
    _mae, epochs=20, batch_size=64, max_lr=2e-3, warm_up=0.1, crop=0.08, precision="fp32"
)
_small_vit = replace(
    _vit,
    epochs=20,
    batch_size=64,
    max_lr=2e-3,
    warm_up=0.1,
    drop_path=0.0,
    precision="fp32",
    **_not_at_all,
)

PRESETS = {
    "smoke": Preset(
        Recipe(epochs=20, batch_size=64, max_lr=0.1),
        (*SMALL, "synthetic", "elpv"),
        CNNS,
    ),
    "smoke-timm": Preset(
        replace(
            _timm_50.recipe,
            epochs=30,
            batch_size=64,
            ema=0.99,
            precision="fp32",
            channels_last=False,
            **_mild,
        ),
        SMALL,
        ("cnn",),
        usual=False,
    ),
    "smoke-swin": Preset(
        replace(
            _swin.recipe,
            epochs=20,
            batch_size=64,
            max_lr=2e-3,
            drop_path=0.1,
            precision="fp32",
            **_mild,
        ),
        SMALL,
        ("swin-smoke",),
    ),
    "elpv-resnet18": Preset(
        Recipe(epochs=20, batch_size=64, max_lr=0.05), ("elpv",), ("resnet18",)
    ),
    "prose": Preset(
        Recipe(
            epochs=20,
            batch_size=64,
            optimizer="adamw",
            max_lr=3e-3,
            weight_decay=0.01,
            label_smoothing=0.0,
        ),
        ("prose",),
        ("gpt-tiny",),
    ),
    "cifar-resnet18-paper": _cifar_18,
    "cifar-resnet18-release": _released(_cifar_18),
    "cifar-resnet50-paper": _cifar_50,
    "cifar-resnet50-release": _released(_cifar_50),
    "imagenet-resnet18-paper": _imagenet_18,
    "imagenet-resnet18-release": _released(
        _imagenet_18,
        {RELEASE: f"{_CYCLED[RELEASE]}; weight decay 1e-5, batch size 512"},
        weight_decay=1e-5,
        batch_size=512,
    ),
    "imagenet-resnet50-paper": _imagenet_50,
    "imagenet-resnet50-release": _released(
        _imagenet_50, {RELEASE: f"{_CYCLED[RELEASE]}; weight decay 1e-5"}, weight_decay=1e-5
    ),
    "smoke-mae": Preset(_small_mae, SMALL, ("mae-tiny",)),
    "smoke-vit": Preset(_small_vit, SMALL, ("vit-tiny",)),
    "imagenet-mae": Preset(_mae, IMAGENET, ("mae-base",), _MAE),
    "imagenet-vit": Preset(_vit, IMAGENET, ("vit-base",), _MAE),
    "imagenet-resnet50-timm": _timm_50,
    "imagenet-swin-tiny": _swin,
}
RECIPES = {name: preset.recipe for name, preset in PRESETS.items()}


def recipe_of(name: str) -> Recipe:
    """The preset of that name; `ValueError` if there is none."""
    if name not in RECIPES:
        raise InputError(f"unknown recipe {name!r}: choose one of {', '.join(RECIPES)}")
    return RECIPES[name]


def default_recipe(data: str, model: str, device: str = "cpu") -> Recipe:
    """The usual preset of a data set and a model; `ValueError` for a pair that has none.

    On a "cuda" `device` those of CIFAR and ImageNet that are in fp32 are in bf16 and channels-last.
    """
    if data not in DATA_SETS:
        raise InputError(f"unknown data set {data!r}: choose one of {', '.join(DATA_SETS)}")
    # The most special one first.
    usual = sorted((p for p in _for(data, model) if p.usual), key=lambda p: len(p.data))
    if not usual:
        raise InputError(
            f"no recipe is known for the model {model!r} on {data}: name one with --recipe, "
            f"{', '.join(RECIPES)}"
        )
    recipe = usual[0].recipe
    if device == "cuda" and data in CIFAR + IMAGENET and recipe.precision == "fp32":
        return replace(recipe, precision="bf16", channels_last=True)
    return recipe


def in_words(recipe: Recipe, data: str, model: str) -> str:
    """The nearest preset, and what a recipe has other than it: `smoke, epochs 10`.

    Presets of the data set and the model come first.
    """
    own = _for(data, model)
    names = [name for name, preset in PRESETS.items() if preset in own] or RECIPES
    found = {name: _departures(RECIPES[name], recipe) for name in names}
    name = min(found, key=lambda name: len(found[name]))
    return ", ".join([name, *found[name]])


def _for(data: str, model: str) -> list[Preset]:
    return [p for p in PRESETS.values() if data in p.data and model in p.models]


def _departures(preset: Recipe, recipe: Recipe) -> list[str]:
    values = ((f.name, getattr(preset, f.name), getattr(recipe, f.name)) for f in fields(Recipe))
    return [
        f"no {name}" if value == "" else f"{name} {value}"
        for name, usual, value in values
        if value != usual
    ]
