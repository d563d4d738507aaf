"""The loop follows the rule's estimator, is a function of its arguments, and can be continued."""

import copy
import math
import shutil
from dataclasses import fields, replace
from functools import partial

import pytest
import torch
import torch._inductor.config
import torch.nn.functional as F
from torch import nn
from torch._dynamo.utils import counters

from orderdp_theory import Design
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import memory
from orderdp_train import (
    FullData,
    InfoBatch,
    NonFiniteLossError,
    OrderDP,
    Recipe,
    UnbiasedOrderDP,
    build_rule,
    fresh_scorer,
    losses_of,
    train,
)
from orderdp_train.data import Augmentation, DataSet, load_data
from orderdp_train.models import build_model
from orderdp_train.training.mixing import mix, sample_losses
from orderdp_train.training.recipe import EPOCH
from tests.training.few import few_digits

QUICK = Recipe(epochs=4, batch_size=16, max_lr=0.1)
N = 90


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data() -> DataSet:
    return few_digits(N, tests=50, label_noise=0.2)


def cnn(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_model("cnn", in_channels=1, num_classes=10, image_size=8)


class WithDropout(nn.Module):
    """A model that draws from torch's global generator while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.body = cnn()

    def forward(self, images):
        return self.body(F.dropout(images, 0.2, self.training))


def parameters(model: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def numbers(epoch) -> dict:
    """What an epoch reports, apart from times."""
    values = {field.name: getattr(epoch, field.name) for field in fields(epoch)}
    return {name: v for name, v in values.items() if name != "state" and "seconds" not in name}


def test_the_learning_rate_is_torchs_one_cycle():
    recipe, total = Recipe(max_lr=0.3), 2000
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total, cycle_momentum=False)
    for step in range(total):
        # PyTorch's phases end at the steps 0.3 total - 1 and total - 1, ours at their fractions.
        at_most = 0.3 * math.pi / 2 / (0.3 * total) * 2
        ours = recipe.learning_rate(step / (total - 1))
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=at_most)
        optimizer.step()
        if step < total - 1:
            schedule.step()
    assert recipe.learning_rate(0.0) == pytest.approx(0.3 / 25)
    assert recipe.learning_rate(0.3) == pytest.approx(0.3)
    assert recipe.learning_rate(1.0) == pytest.approx(0.3 / 25 / 1e4)


def test_one_step_on_a_whole_selection_is_the_rules_estimator(data):
    """theta - lr (1/m) sum w_i grad L_i, with the sum written out sample by sample."""
    data = replace(data, augmentation=Augmentation())
    rule = InfoBatch(N, 0.5)
    rule.update(torch.arange(N), torch.linspace(0, 1, N))
    recipe = replace(QUICK, epochs=1, batch_size=N, momentum=0.0, weight_decay=0.0)
    model = cnn()
    before = parameters(model)
    drawn = []
    select = rule.select

    def spy(generator):
        drawn.append(select(generator))
        return drawn[-1]

    rule.select = spy
    gradient = torch.zeros_like(before)
    (epoch,) = train(model, data, rule, recipe)
    ((indices, weights),) = drawn
    reference = cnn()
    for i, weight in zip(indices, weights, strict=True):
        image = data.normalise(data.train_images[i : i + 1])
        loss = F.cross_entropy(reference(image), data.train_labels[i : i + 1], label_smoothing=0.1)
        grads = torch.autograd.grad(loss, list(reference.parameters()))
        gradient += weight / len(indices) * torch.cat([g.flatten() for g in grads])
    step = recipe.learning_rate(0.0) * gradient
    torch.testing.assert_close(before - parameters(model), step, rtol=1e-3, atol=1e-6)
    assert epoch.grad_norm_mean == pytest.approx(float(gradient.norm()), rel=1e-4)
    assert set(weights.tolist()) == {1.0, 2.0}
    torch.testing.assert_close(rule.scores[indices], losses_of(cnn(), data, indices, recipe))


RULES = {
    "orderdp": lambda model, data: OrderDP(Design(N, 60, 40)),
    "orderdp-fresh": lambda model, data: build_rule(
        "orderdp-fresh", N, 0.4, scorer=fresh_scorer(model, data, QUICK)
    ),
    "orderdp-unbiased": lambda model, data: UnbiasedOrderDP(Design(N, 60, 30), 10),
    "infobatch": lambda model, data: InfoBatch(N, 0.5, anneal_from=3),
    "ucb": lambda model, data: build_rule("ucb", N, 0.4),
}


@pytest.mark.parametrize("name", RULES)
def test_a_continued_training_equals_an_uninterrupted_one_bit_for_bit(data, name):
    recipe = replace(QUICK, mixup=0.3, cutmix=1.0) if name == "ucb" else QUICK

    def start(**more):
        model = WithDropout()
        rule = RULES[name](model, data)
        return model, rule, train(model, data, rule, recipe, seed=7, **more)

    model, rule, whole = start()
    epochs = [numbers(epoch) for epoch in whole]
    _, _, first = start()
    head = [next(first), next(first)]
    state = head[-1].state.state_dict()
    torch.rand(100)  # the global generator moves on, as in another process
    continued, continued_rule, tail = start(resume=state)
    assert epochs == [numbers(e) for e in head] + [numbers(e) for e in tail]
    assert torch.equal(parameters(model), parameters(continued))
    if name != "orderdp-fresh":
        assert torch.equal(rule.scores, continued_rule.scores)


@pytest.mark.parametrize("stream", ["draws", "pixels", "global"])
def test_a_lost_generator_would_show(data, stream):
    def start(**more):
        return train(WithDropout(), data, build_rule("random", N, 0.4), QUICK, seed=7, **more)

    whole = start()
    state = copy.deepcopy(next(whole).state.state_dict())
    state["random"][0][stream] = torch.Generator().get_state()
    rest = [epoch.loss for epoch in whole]
    assert rest != [epoch.loss for epoch in start(resume=state)]


def test_another_seed_is_another_training(data):
    losses = [[e.loss for e in train(cnn(), data, FullData(N), QUICK, seed=s)] for s in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_training_learns():
    digits = load_data("digits")
    recipe = Recipe(epochs=5, batch_size=32, max_lr=0.1)
    *_, last = train(cnn(), digits, OrderDP(Design.from_ratios(digits.num_train)), recipe)
    assert last.test_accuracy > 0.8  # a tenth by guessing


def test_what_an_epoch_reports_is_what_was_selected(data):
    rule = OrderDP(Design(N, 60, 40))
    drawn = []
    select = rule.select

    def spy(generator):
        drawn.append(select(generator))
        return drawn[-1]

    rule.select = spy
    previous, usage = set(), torch.zeros(N, dtype=torch.int32)
    for epoch in train(cnn(), data, rule, QUICK):
        kept = set(drawn[-1][0].tolist())
        usage[list(kept)] += 1
        assert epoch.kept == len(kept) == 40
        assert torch.equal(epoch.state.usage, usage)
        if previous:
            assert epoch.jaccard == len(kept & previous) / len(kept | previous)
        else:
            assert epoch.jaccard is None
        assert epoch.loss == pytest.approx(float(rule.scores[list(kept)].mean()), rel=1e-5)
        previous = kept


def test_selection_per_iteration_follows_algorithm_1(data):
    """Every step selects by scores that hold the losses of the step before."""
    rule = OrderDP(Design(N, 20, 8))
    events = []
    select, update = rule.select, rule.update

    def spy_on_select(generator):
        events.append(select(generator))
        return events[-1]

    def spy_on_update(indices, losses):
        events.append(("update", indices))
        update(indices, losses)

    rule.select, rule.update = spy_on_select, spy_on_update
    recipe = replace(QUICK, epochs=2)
    epochs = list(train(cnn(), data, rule, recipe, steps_per_epoch=5))
    assert len(events) == 2 * 2 * 5
    for chosen, (word, told) in zip(events[::2], events[1::2], strict=True):
        assert word == "update"
        assert sorted(told.tolist()) == sorted(chosen[0].tolist())
    assert [epoch.kept for epoch in epochs] == [40, 40]


def test_fresh_selection_keeps_the_largest_present_losses_of_the_candidates(data):
    model = cnn()
    rule = OrderDP(Design(N, N, 10), scorer=fresh_scorer(model, data, QUICK))
    for _ in train(model, data, rule, QUICK):
        present = losses_of(model, data, torch.arange(N), QUICK)
        kept = rule.select(torch.Generator().manual_seed(0))[0]
        assert set(kept.tolist()) == set(present.topk(10).indices.tolist())
        assert model.training


def test_losses_do_not_depend_on_the_batch_even_with_batchnorm(data):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))
    together = losses_of(model, data, torch.arange(20), QUICK)
    alone = [losses_of(model, data, torch.tensor([i]), QUICK) for i in range(20)]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.5, 0.0), (0.0, 1.0), (0.4, 0.4)])
def test_credits_of_mixed_images_add_up_to_their_losses(mixup, cutmix):
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(6, 1, 8, 8, generator=generator)
    labels = torch.tensor([0, 1, 2, 2, 3, 1])
    before = torch.get_rng_state()
    mixed, share = mix(images, Recipe(mixup=mixup, cutmix=cutmix), generator)
    assert torch.equal(torch.get_rng_state(), before)
    assert 0 < share < 1
    shares = share * torch.eye(6) + (1 - share) * torch.eye(6).roll(1, 0)
    torch.testing.assert_close(mixed.mean((1, 2, 3)).sum(), images.mean((1, 2, 3)).sum())
    logits = torch.randn(6, 4, generator=generator)
    targets = shares @ F.one_hot(labels, 4).float()
    usual = F.cross_entropy(logits, targets, label_smoothing=0.1, reduction="none")
    credits = sample_losses(logits, labels, 0.1, share)
    torch.testing.assert_close(credits.sum(), usual.sum())
    each = F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none")
    following = F.cross_entropy(logits.roll(-1, 0), labels, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(credits, share * each + (1 - share) * following)
    assert torch.equal(sample_losses(logits, labels, 0.1), each)


class Poisoned(nn.Module):
    """Gives NaN for images of one constant pixel value."""

    def __init__(self) -> None:
        super().__init__()
        self.body = cnn()

    def forward(self, images):
        constant = (images == images[:, :1, :1, :1]).flatten(1).all(1)
        return self.body(images) + torch.where(constant, torch.nan, 0.0)[:, None]


def test_a_nan_loss_stops_before_it_does_harm(data):
    images = data.train_images.clone()
    images[33] = 200
    model = Poisoned()
    seen = [parameters(model)]
    hook = model.register_forward_pre_hook(lambda *_: seen.append(parameters(model)))
    recipe = replace(QUICK, batch_size=N // 6)
    with pytest.raises(NonFiniteLossError, match=r"epoch 1, step [1-6], for samples \[33\]"):
        list(train(model, replace(data, train_images=images), FullData(N), recipe))
    hook.remove()
    assert torch.equal(parameters(model), seen[-1])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lars", "lamb"])
def test_every_optimizer_lowers_the_loss(data, optimizer):
    rate = {"sgd": 0.1, "adamw": 0.01, "lars": 5.0, "lamb": 0.02}[optimizer]
    recipe = replace(QUICK, epochs=6, optimizer=optimizer, max_lr=rate)
    losses = [epoch.loss for epoch in train(cnn(), data, FullData(N), recipe)]
    assert losses[-1] < losses[0] - 0.02


@pytest.mark.parametrize("change", ["bf16", "channels_last", "compile"])
def test_faster_arithmetic_is_the_same_training_up_to_rounding(data, change, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    changes = {"precision": "bf16"} if change == "bf16" else {change: True}
    recipe = replace(QUICK, epochs=1)
    (plain,) = train(cnn(), data, FullData(N), recipe)
    (fast,) = train(cnn(), data, FullData(N), replace(recipe, **changes))
    assert fast.loss == pytest.approx(plain.loss, rel=2e-2)
    if change == "bf16":
        assert fast.loss != plain.loss


def test_fp16_without_a_gpu_is_refused(data):
    with pytest.raises(ValueError, match="use bf16"):
        next(train(cnn(), data, FullData(N), replace(QUICK, precision="fp16")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        (
            {"epochs": 10**12},
            r"epochs must be at most [\d,]+ here, got 1,000,000,000,000: more does",
        ),
        ({"optimizer": "adam"}, "unknown optimizer 'adam'"),
        ({"precision": "fp8"}, "unknown precision"),
        ({"max_lr": math.nan}, "max_lr must be finite"),
        ({"label_smoothing": 1.0}, "below 1"),
    ],
)
def test_impossible_recipes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(QUICK, **change)


def test_the_most_epochs_are_those_whose_metrics_fit():
    most = memory() // 2 // EPOCH
    assert replace(QUICK, epochs=most).epochs == most
    with pytest.raises(InputError, match=f"at most {most:,} here"):
        replace(QUICK, epochs=most + 1)


def test_a_state_of_another_training_is_refused(data):
    epoch = next(train(cnn(), data, OrderDP(Design(N, 60, 40)), QUICK))
    state = epoch.state.state_dict()
    torch.manual_seed(0)
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(ValueError, match="another model"):
        next(train(other, data, OrderDP(Design(N, 60, 40)), QUICK, resume=state))
    with pytest.raises(ValueError, match="not one of UCB"):
        next(train(cnn(), data, build_rule("ucb", N, 0.4), QUICK, resume=state))


class WithEverything(WithDropout):
    """Also batch normalisation, which fresh scores read; only its count of batches moves."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1, momentum=0.0)

    def forward(self, images):
        return super().forward(self.norm(images))


@pytest.mark.parametrize("mixing", [{}, {"mixup": 0.3, "cutmix": 1.0}, {"precision": "bf16"}])
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("steps", [None, 2])
def test_a_frozen_training_tells_the_rule_what_learning_rate_0_does(data, name, mixing, steps):
    """To the bit, and the model keeps its buffers too."""
    recipe = replace(QUICK, max_lr=0.0, epochs=3, **mixing)
    stored = []
    for frozen in (False, True):
        model = WithEverything()
        before = copy.deepcopy(model.state_dict())
        rule = RULES[name](model, data)
        options = {"seed": 7, "steps_per_epoch": steps, "evaluated": False, "frozen": frozen}
        for epoch in train(model, data, rule, recipe, **options):
            assert (epoch.grad_norm_mean == 0) == frozen
        stored.append(rule.state_dict() | {"usage": epoch.state.usage})
        same = all(torch.equal(value, before[k]) for k, value in model.state_dict().items())
        assert same == frozen
    free, frozen = stored
    assert free.keys() == frozen.keys()
    assert all(torch.equal(free[key], frozen[key]) for key in free)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_a_compiled_training_is_the_same_training_up_to_rounding(data):
    """By inductor, which compiles once although batches are of 23 and 22 samples."""
    recipe = replace(QUICK, epochs=2, batch_size=23)
    data = replace(data, augmentation=Augmentation())
    losses = []
    torch.compiler.reset()
    counters["stats"].clear()
    with torch._inductor.config.patch(compile_threads=1):  # leaves no processes behind
        for how in (recipe, replace(recipe, compile=True)):
            torch.manual_seed(0)
            model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
            losses.append([epoch.loss for epoch in train(model, data, FullData(N), how)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert counters["stats"]["unique_graphs"] == 1
