"""Presets are what the paper prints and what the release does, and nothing is guessed."""

import dataclasses
import inspect
import re

import pytest
import torch

from orderdp_theory.claims import all_claims
from orderdp_theory.common.errors import InputError
from orderdp_train import RECIPES, Recipe
from orderdp_train.training.presets import PRESETS, RELEASE, default_recipe, in_words, recipe_of
from tests.claims.test_quotes import beside_the_paper, occurs, texts

assert texts  # a fixture
SAID = {(p, words) for preset in PRESETS.values() for p, words in preset.said.items()}


@beside_the_paper
@pytest.mark.parametrize(("place", "words"), sorted(SAID), ids=str)
def test_what_the_paper_says_is_word_for_word(place, words, texts):
    if place.startswith(("Section", "Appendix", "Table")):
        assert occurs(words.replace("OrderDP", "[…]OrderDP[…]"), texts["paper"])
    else:
        assert place == RELEASE or "et al." in place


def printed(name: str) -> set[float]:
    """The numbers in a preset's words."""
    words = " ".join(PRESETS[name].said.values()).replace("5×10^{-4}", "5e-4")
    return {float(n) for n in re.findall(r"(?<![\w-])\d+(?:\.\d+)?(?:e-\d+)?(?![\w-]*\d)", words)}


@pytest.mark.parametrize("name", [name for name in PRESETS if name.endswith("-paper")])
def test_the_numbers_of_the_paper_are_in_its_words(name):
    recipe = RECIPES[name]
    own = ("epochs", "batch_size", "max_lr", "momentum", "weight_decay")
    assert {float(getattr(recipe, setting)) for setting in own} <= printed(name)
    assert recipe.peak_momentum is None


@pytest.mark.parametrize("network", ["cifar-resnet18", "imagenet-resnet18", "imagenet-resnet50"])
def test_the_release_departs_as_it_does(network):
    paper, release = RECIPES[f"{network}-paper"], RECIPES[f"{network}-release"]
    differ = {f.name for f in dataclasses.fields(Recipe)} - {
        f.name
        for f in dataclasses.fields(Recipe)
        if getattr(paper, f.name) == getattr(release, f.name)
    }
    expected = {"momentum", "peak_momentum"}
    expected |= {"weight_decay"} if network.startswith("imagenet") else set()
    expected |= {"batch_size"} if network == "imagenet-resnet18" else set()
    assert differ == expected
    assert expected - {"peak_momentum"} <= set(dataclasses.asdict(release))
    assert {getattr(release, s) for s in expected} <= printed(f"{network}-release")


def test_the_ledger_knows_the_same_release():
    """What the claims about the release take as printed is what the presets train with."""
    eighteen, fifty = (RECIPES[f"imagenet-resnet{k}-release"] for k in (18, 50))
    said = {
        parameter.name: parameter.default
        for name in ("release-momentum", "release-weight-decay", "release-batch-size")
        for parameter in inspect.signature(all_claims()[name].check).parameters.values()
    }
    for recipe in (eighteen, fifty):
        assert (recipe.momentum, recipe.peak_momentum) == (float(said["ends"]), float(said["peak"]))
        assert recipe.weight_decay == float(said["decay"])
    assert eighteen.batch_size == said["batch"]


def test_every_preset_is_the_usual_one_of_a_pair_or_named_as_another():
    for name, preset in PRESETS.items():
        pairs = [(data, model) for data in preset.data for model in preset.models]
        assert any(default_recipe(*pair) == preset.recipe for pair in pairs) == preset.usual
        assert in_words(preset.recipe, *pairs[-1]) == name
        assert recipe_of(name) == preset.recipe


@pytest.mark.parametrize(
    ("data", "model"),
    [("imagenet", "swin_s3_tiny_224"), ("cifar10", "cnn"), ("digits", "vit_tiny_patch16_224")],
)
def test_an_unknown_pair_gets_no_silent_default(data, model):
    with pytest.raises(InputError, match=f"no recipe is known for the model '{model}'") as raised:
        default_recipe(data, model)
    assert all(name in str(raised.value) for name in RECIPES)


def test_a_gpu_makes_full_precision_faster_and_changes_nothing_else():
    for data, model in (("cifar10", "resnet18"), ("imagenet", "resnet50")):
        here, there = default_recipe(data, model), default_recipe(data, model, "cuda")
        faster = dataclasses.replace(here, precision="bf16", channels_last=True)
        assert there == faster
        assert in_words(there, data, model).endswith("precision bf16, channels_last True")
    assert default_recipe("digits", "cnn", "cuda") == RECIPES["smoke"]


@pytest.mark.parametrize("name", [name for name in PRESETS if name.endswith("-release")])
def test_momentum_is_cycled_as_by_pytorch(name):
    """PyTorch moves rate and momentum at whole steps; `total_steps` ends at the last of them."""
    recipe, total = RECIPES[name], 500
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.max_lr, total_steps=total)
    for step in range(total):
        [group] = optimizer.param_groups
        # Its turning points are at pct_start · total − 1 and total − 1.
        turn = 0.3 * total - 1
        if step <= turn:
            progress = 0.3 * step / turn
        else:
            progress = 0.3 + 0.7 * (step - turn) / (total - 1 - turn)
        assert recipe.momentum_at(progress) == pytest.approx(group["momentum"], abs=1e-12)
        assert recipe.learning_rate(progress) == pytest.approx(group["lr"], rel=1e-9)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("warm_up", 1.0, "warm_up must be below 1, got 1.0"),
        ("peak_momentum", 1.5, "peak_momentum must be below 1"),
        ("peak_momentum", -0.5, "peak_momentum must be a non-negative number"),
        ("schedule", "linear", "unknown schedule 'linear': choose one of onecycle, cosine"),
        ("batch_size", 0, "batch_size must be at least 1"),
    ],
)
def test_a_setting_that_no_training_could_use_is_named(field, value, said):
    with pytest.raises(InputError, match=said):
        Recipe(**{field: value})


def test_a_cosine_warms_up_by_a_line_and_stays_in_its_bounds():
    recipe = Recipe(schedule="cosine", max_lr=1.0, warm_up=0.1)
    assert recipe.learning_rate(0.05) == pytest.approx((1e-3 + 1) / 2)
    assert recipe.learning_rate(0.1) == 1.0
    assert recipe.learning_rate(0.55) == pytest.approx((1 + 1e-2) / 2)
    assert recipe.learning_rate(1.0) == pytest.approx(1e-2)
    alone = dataclasses.replace(recipe, warm_up=0.0)
    assert alone.learning_rate(0.0) == 1.0
