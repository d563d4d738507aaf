"""Decay by parameter and layer, clipping, moving averages, RandAugment and erasing are as said."""

import copy
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from orderdp_theory.common.errors import InputError
from orderdp_train import RECIPES, Recipe, RuleConfig, train
from orderdp_train.auditing.population import population_of_images
from orderdp_train.data import DataSet, Policy, load_data
from orderdp_train.data.augment import seed_of
from orderdp_train.data.policy import GREY, MOST, OWN, lent
from orderdp_train.models import model_for
from orderdp_train.training.loop import evaluate
from orderdp_train.training.optim import build_optimizer, follow
from tests.data.formats import write_image_folders
from tests.training.few import few_digits

N = 40
STRONG = "rand-m9-mstd0.5-inc1"


@pytest.fixture(scope="module")
def data() -> DataSet:
    return few_digits(N, tests=20)


def swin(data, drop_path: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return model_for("swin-smoke", data, drop_path)


def cnn(data) -> nn.Module:
    torch.manual_seed(0)
    return model_for("cnn", data)


def trained(model, data, recipe, **options):
    rule = RuleConfig("orderdp", {"keep": 0.5}).build(data.num_train)
    return list(train(model, data, rule, recipe, **options))


# Optimizer


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lars", "lamb"])
def test_norms_biases_and_position_tables_do_not_decay(data, optimizer):
    model = swin(data)
    recipe = Recipe(optimizer=optimizer, weight_decay=0.3, decay_all=False)
    decay = {
        id(p): group["weight_decay"]
        for group in build_optimizer(model, recipe).param_groups
        for p in group["params"]
    }
    found = {name: decay.pop(id(p)) for name, p in model.named_parameters()}
    assert not decay
    for name, value in found.items():
        exempt = name.endswith(".bias") or "norm" in name or "bias_table" in name
        assert value == (0.0 if exempt else 0.3), name
    assert set(found.values()) == {0.0, 0.3}
    everything = build_optimizer(model, replace(recipe, decay_all=True)).param_groups
    assert [group["weight_decay"] for group in everything] == [0.3]


def test_a_layers_rate_is_a_share_of_the_one_above(data):
    model = swin(data)
    recipe = Recipe(layer_decay=0.5, max_lr=1.0, momentum=0.9, peak_momentum=0.8)
    optimizer = build_optimizer(model, recipe)
    follow(optimizer, recipe, 0.3)  # the peak
    rate = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert {g["momentum"] for g in optimizer.param_groups} == {0.8}
    found = {name: rate[id(p)] for name, p in model.named_parameters()}
    blocks = [f"layers.{i}.blocks.{j}.mlp.fc1.weight" for i in (0, 1) for j in (0, 1)]
    order = ["patch_embed.proj.weight", *blocks, "head.fc.weight"]
    rates = [found[name] for name in order]
    assert rates[-1] == 1.0
    assert rates == sorted(rates)
    assert all(np.log2(r) == int(np.log2(r)) for r in rates)
    assert len(set(found.values())) == len(set(rates)) + (min(found.values()) not in rates)


@pytest.mark.parametrize("clip", [0.0, 1e-3, 1e3])
def test_a_step_is_no_longer_than_the_clipped_gradient(data, clip):
    """Plain SGD at one step: its length is the rate times the gradient's, cut at `clip`."""
    model = cnn(data)
    before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    recipe = Recipe(epochs=1, batch_size=N, momentum=0.0, weight_decay=0.0, max_lr=0.5, clip=clip)
    [epoch] = trained(model, data, recipe)
    step = nn.utils.parameters_to_vector(model.parameters()).detach() - before
    norm = epoch.grad_norm_mean  # of the gradient itself, whatever is done with it
    assert 1e-2 < norm < 100
    expected = recipe.learning_rate(0.0) * (min(norm, clip) if clip else norm)
    assert float(step.norm()) == pytest.approx(expected, rel=1e-3)


# Moving averages


def test_the_average_is_that_of_the_weights_after_each_step(data):
    model, recipe = cnn(data), Recipe(epochs=3, batch_size=5, max_lr=0.1, ema=0.6)
    seen: list[Tensor] = []

    def weights() -> Tensor:
        return nn.utils.parameters_to_vector(model.parameters()).detach().clone().double()

    epochs = trained(model, data, recipe, on_step=lambda _: seen.append(weights()))
    after = [*seen[1:], weights()]
    average = torch.zeros_like(after[0])
    for k, value in enumerate(after):
        decay = min(0.6, 1 - (1 + k) ** (-2 / 3))
        average = decay * average + (1 - decay) * value
    state = epochs[-1].state
    found = nn.utils.parameters_to_vector(state.evaluated.parameters()).double()
    assert torch.allclose(found, average, rtol=0, atol=1e-6)
    assert not torch.allclose(found, after[-1], rtol=0, atol=1e-4)
    assert epochs[-1].test_accuracy == evaluate(state.evaluated, data, recipe)


EVERYTHING = Recipe(
    epochs=4,
    batch_size=8,
    optimizer="adamw",
    schedule="cosine",
    max_lr=2e-3,
    warm_up=0.1,
    weight_decay=0.05,
    decay_all=False,
    layer_decay=0.8,
    clip=1.0,
    ema=0.9,
    drop_path=0.3,
    randaugment=STRONG,
    erasing=0.5,
    mixup=0.8,
    cutmix=1.0,
)


def test_a_training_with_every_part_continues_bit_for_bit(data):
    whole = trained(swin(data, 0.3), data, EVERYTHING)
    rule = RuleConfig("orderdp", {"keep": 0.5}).build(N)
    first = train(swin(data, 0.3), data, rule, EVERYTHING)
    next(first)
    state = copy.deepcopy(next(first).state.state_dict())
    rest = trained(swin(data, 0.3), data, EVERYTHING, resume=state)
    assert [e.number for e in rest] == [3, 4]
    one, other = whole[-1].state.state_dict(), rest[-1].state.state_dict()
    assert one["steps"] == other["steps"] == 4 * 3
    for part in ("model", "ema"):
        assert all(torch.equal(v, other[part][k]) for k, v in one[part].items())
    assert whole[-1].loss == rest[-1].loss
    assert torch.equal(one["random"][0]["pixels"], other["random"][0]["pixels"])


def test_a_state_of_before_moving_averages_is_continued(data):
    recipe = Recipe(epochs=2, batch_size=8)
    rule = RuleConfig("orderdp", {"keep": 0.5}).build(N)
    state = copy.deepcopy(next(train(cnn(data), data, rule, recipe)).state.state_dict())
    del state["ema"], state["steps"]
    assert [e.number for e in trained(cnn(data), data, recipe, resume=state)] == [2]
    with pytest.raises(InputError, match="not the state of a training"):
        trained(cnn(data), data, replace(recipe, ema=0.9), resume=state)


# Images


def test_an_image_is_augmented_by_timm_from_its_seed_alone(data):
    from timm.data.auto_augment import rand_augment_transform
    from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    hparams = {"translate_const": 14, "img_mean": (GREY,) * 3, "magnitude_max": MOST}
    transform = rand_augment_transform(STRONG, hparams)
    for seed, image in enumerate(images):
        with lent(seed ^ OWN):
            expected = pil_to_tensor(transform(to_pil_image(image)))
        assert torch.equal(Policy(STRONG)(image, seed), expected)
    policy = Policy(STRONG, 0.5)
    together = policy.batch(images, range(4))
    assert all(torch.equal(together[i], policy(images[i], i)) for i in (3, 1))
    assert not torch.equal(policy(images[0], 5), policy(images[0], 6))


def test_a_policy_leaves_the_global_generators_alone(data):
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    Policy(STRONG, 1.0).batch(data.train_images[:5], range(5))
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])


def test_the_strongest_magnitude_is_one_that_pillow_takes(data):
    """Magnitude 10 of an increasing posterization would be 0 bits, one draw in 44 at m9-mstd0.5."""
    policy = Policy("rand-m9-mstd100-n10-p1-inc1")
    policy.batch(data.train_images, range(N))


def test_erasing_fills_a_rectangle_as_often_as_it_says(data):
    """Of 2,000 images 3/4 are erased; off by 5 deviations of the binomial with chance 6e-7."""
    count, chance = 2000, 0.75
    flat = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    erased = Policy(erasing=chance).batch(flat.expand(count, 1, 16, 16), range(count))
    changed = (erased != flat)[:, 0]
    share = float(changed.flatten(1).any(1).double().mean())
    assert abs(share - chance) < 5 * (chance * (1 - chance) / count) ** 0.5
    areas = []
    for where in changed[changed.flatten(1).any(1)][:200]:
        rows, columns = where.any(1).nonzero(), where.any(0).nonzero()
        box = int((rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1))
        areas.append(box / 256)
        # Noise hits the old value once in 160 pixels or so.
        assert int(where.sum()) >= 0.8 * box - 2
    assert max(areas) < 0.45  # 1/3, and sides rounded
    assert 0.1 < float(np.mean(areas)) < 0.25


def test_training_and_views_see_the_same_augmentation(data):
    recipe = Recipe(randaugment=STRONG, erasing=0.5)
    policy = Policy(STRONG, 0.5)
    rows = torch.tensor([7, 3, 30])
    view = population_of_images(data, recipe).view(2)
    images, _ = view.batch(rows)
    cropped = data.augmentation.view(data.train_images[rows], rows, N, 2)
    expected = policy.batch(cropped, [seed_of(2, int(i)) for i in rows])
    assert torch.equal(images, data.normalise(expected))
    assert torch.equal(view.batch(rows[1:])[0], images[1:])
    plain = population_of_images(data, recipe).batch(rows)[0]
    assert torch.equal(plain, data.normalise(data.train_images[rows]))
    # In training by draws of the training's own generator.
    generator = torch.Generator().manual_seed(1)
    _, seen, _ = next(data.with_policy(policy).batches([rows], "train", generator))
    generator.manual_seed(1)
    cropped = data.augmentation(data.train_images[rows], generator)
    seeds = torch.randint(2**62, (3,), generator=generator)
    assert torch.equal(seen, data.normalise(policy.batch(cropped, seeds.tolist())))


def test_images_on_disk_are_augmented_by_the_workers(tmp_path):
    write_image_folders(tmp_path)
    policy = Policy(STRONG, 0.5)

    def seen(workers: int, **how) -> Tensor:
        data = load_data("imagenet", root=tmp_path, num_workers=workers)
        data = replace(data, image_size=24).with_policy(policy if how.pop("on", True) else Policy())
        parts = torch.arange(4).split(2)
        return torch.cat([images for _, images, _ in data.batches(parts, "train", **how)])

    for how in ({"view": 3}, {"generator": torch.Generator().manual_seed(0)}):
        if "generator" in how:
            one, two = (seen(w, generator=torch.Generator().manual_seed(0)) for w in (0, 1))
        else:
            one, two = (seen(w, **how) for w in (0, 1))
        assert torch.equal(one, two)
    assert not torch.equal(seen(0, view=3), seen(0, view=3, on=False))
    assert torch.equal(seen(0), seen(0, on=False))  # plain images


# What is refused


def test_what_cannot_be_had_is_said_in_a_line(data):
    with pytest.raises(InputError, match=r"timm knows no RandAugment 'rand-x9' .* write it like"):
        trained(cnn(data), data, Recipe(randaugment="rand-x9"))
    with pytest.raises(InputError, match="leave them off for text"):
        load_data("prose").with_policy(Policy(erasing=0.5))
    with pytest.raises(InputError, match="cnn takes no drop_path"):
        model_for("cnn", data, 0.1)
    with pytest.raises(InputError, match="layer_decay must be a non-negative number of at most 1"):
        Recipe(layer_decay=2.0)
    with pytest.raises(InputError, match="randaugment must be a word"):
        Recipe(randaugment=3)  # pyright: ignore[reportArgumentType]


def test_paths_are_dropped_if_and_only_if_asked(data):
    images = data.normalise(data.train_images)

    def noise(drop_path: float) -> float:
        model = swin(data, drop_path).train()
        return float((model(images) - model(images)).detach().abs().max())

    assert noise(0.0) == 0.0
    assert noise(0.5) > 1e-3


def test_recipes_of_table_5_have_all_parts():
    timm, other = RECIPES["imagenet-resnet50-timm"], RECIPES["imagenet-swin-tiny"]
    for recipe in (timm, other, RECIPES["smoke-timm"], RECIPES["smoke-swin"]):
        parts = ("mixup", "cutmix", "randaugment", "erasing", "clip", "warm_up")
        assert all(getattr(recipe, part) for part in parts)
        assert (recipe.schedule, recipe.decay_all) == ("cosine", False)
        assert recipe.optimizer in ("adamw", "lamb")
    assert timm.ema > 0
    assert timm.precision == other.precision == "bf16"
