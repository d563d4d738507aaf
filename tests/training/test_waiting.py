"""The host waits for a GPU as often in an epoch of many steps as in one of few, and sees what is
not finite all the same."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from orderdp_theory import Design
from orderdp_train import (
    RULES,
    FixedSubset,
    NonFiniteLossError,
    Recipe,
    RHOLoss,
    RuleConfig,
    fresh_scorer,
    train,
)
from orderdp_train.data import Augmentation, DataSet, load_data
from orderdp_train.models import build_model, model_for
from orderdp_train.scores import StaticRule
from orderdp_train.training.finite import LAG
from orderdp_train.training.optim import build_optimizer, skipping_by_itself
from orderdp_train.training.sampler import RuleSampler
from tests.data.formats import write_image_folders
from tests.training.few import few_digits
from tests.training.overflow import an_epoch_that_overflows
from tests.training.pretend import GPU, PretendedGPU

N = 60
# Static methods are a fixed subset once they are recorded, and have no step of their own.
NAMES = [name for name, rule in RULES.items() if not issubclass(rule, StaticRule)]


@pytest.fixture(scope="module")
def data() -> DataSet:
    return few_digits(N, tests=20)


def cnn() -> nn.Module:
    torch.manual_seed(0)
    return build_model("cnn", in_channels=1, num_classes=10, image_size=8)


def waits(
    data, rule: str, *, network="cnn", batch: int = 10, steps: int | None = None, **recipe
) -> dict:
    """What the host waits for in the second of two epochs."""
    with PretendedGPU() as gpu:
        here, how = data.to(GPU), Recipe(epochs=2, batch_size=batch, **recipe)
        model = gpu.move(model_for(network, data))
        scorer = fresh_scorer(model, here, how)
        built = rule_of(rule, data.num_train, scorer)
        epochs = train(model, here, built, how, steps_per_epoch=steps)
        next(epochs)
        gpu.waits.clear()
        next(epochs)
        return dict(gpu.waits)


def rule_of(name: str, n: int, scorer, device=GPU):
    """Those that are made from something get it; RHO-loss is as published, with present losses."""
    if name == "rho-loss":
        return RHOLoss(Design(n, n // 2, n // 4), torch.rand(n), scorer=scorer, device=device)
    if name == "fixed-subset":
        return FixedSubset(n, torch.arange(0, n, 2), torch.rand(n // 2) + 0.1, device=device)
    return RuleConfig(name).build(n, scorer=scorer, epochs=2, device=device)


@pytest.mark.parametrize("name", NAMES)
def test_no_rule_makes_the_host_wait_at_a_step(data, name):
    assert waits(data, name, batch=30) == waits(data, name, batch=4)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_selects_the_same_on_a_gpu(name):
    losses = torch.randn(N, generator=torch.Generator().manual_seed(1)).abs()

    def drawn(device, losses):
        torch.manual_seed(3)
        rule = rule_of(name, N, lambda index: losses[index], device)
        rule.update(torch.arange(N, device=device), losses)
        indices, weights = rule.select(torch.Generator().manual_seed(2))
        return indices.cpu(), weights.cpu()

    here, weights = drawn("cpu", losses)
    with PretendedGPU():
        there, others = drawn(GPU, losses.to(GPU))
    assert torch.equal(here, there)
    torch.testing.assert_close(weights, others)


PER_STEP = [name for name in NAMES if RULES[name].per_step]


@pytest.mark.parametrize("name", PER_STEP)
def test_no_rule_makes_the_host_wait_when_it_selects_at_every_step(data, name):
    assert waits(data, name, steps=2) == waits(data, name, steps=9)


@pytest.mark.parametrize("name", PER_STEP)
def test_a_few_of_many_are_selected_without_waiting(name):
    """As few as a step takes, which many rules draw by themselves."""
    n = 20_000
    few = {"keep": 0.005, "explore": 0.01}
    options = {option: few[option] for option in RULES[name].options if option in few}
    with PretendedGPU() as gpu:
        losses = torch.rand(n).to(GPU)
        known = {"scorer": lambda i: losses[i], "holdout": lambda: losses / 2}
        rule = RuleConfig(name, options).build(n, **known, device=GPU)
        generator = torch.Generator().manual_seed(0)
        for _ in range(2):  # what is made once and kept is there the second time
            gpu.waits.clear()
            indices, _ = rule.select(generator)
            rule.update(indices, losses[indices])
        assert not gpu.waits
        assert len(indices) == 100


@pytest.mark.parametrize(
    "how",
    [
        *({"precision": "bf16"}, {"precision": "fp16"}, {"channels_last": True}),
        *({"mixup": 0.3}, {"cutmix": 1.0}, {"mixup": 0.3, "cutmix": 1.0}),
        *({"clip": 0.1}, {"decay_all": False, "layer_decay": 0.5}),
        *({"optimizer": "adamw"}, {"optimizer": "lars"}, {"optimizer": "lamb"}),
        *({"optimizer": name, "precision": "fp16"} for name in ("adamw", "lars", "lamb")),
    ],
    ids=str,
)
def test_no_way_to_train_makes_the_host_wait_at_a_step(data, how):
    assert waits(data, "orderdp", batch=30, **how) == waits(data, "orderdp", batch=4, **how)


@pytest.mark.parametrize("network", ["mae-tiny", "vit-tiny"])
def test_masked_autoencoders_make_the_host_wait_at_no_step(data, network):
    few, many = (waits(data, "orderdp", network=network, batch=b, max_lr=1e-3) for b in (30, 4))
    assert few == many


def test_images_on_disk_make_the_host_wait_once_a_selection(tmp_path):
    write_image_folders(tmp_path)
    streamed = load_data("imagenet", root=tmp_path, num_workers=0)
    streamed = replace(streamed, image_size=16)
    many, few = (waits(streamed, "orderdp", batch=b) for b in (1, 4))
    assert many == few


def test_a_moving_average_makes_the_host_wait_at_no_step(data, monkeypatch):
    """It has a generator on the model's device, which only a real GPU has."""
    from timm.utils import model_ema

    pretended = SimpleNamespace(**vars(torch))
    pretended.Generator = lambda device: torch.Generator()
    monkeypatch.setattr(model_ema, "torch", pretended)
    assert waits(data, "orderdp", batch=30, ema=0.9) == waits(data, "orderdp", batch=4, ema=0.9)


def test_images_that_the_host_augments_make_it_wait_once_a_selection(data):
    how = {"randaugment": "rand-m9-mstd0.5-inc1", "erasing": 0.5}
    assert waits(data, "orderdp", batch=30, **how) == waits(data, "orderdp", batch=4, **how)


def test_text_makes_the_host_wait_at_no_step():
    prose = load_data("prose")
    prose = replace(prose, train_bytes=prose.train_bytes[:N], test_bytes=prose.test_bytes[:8])
    found = []
    for batch in (30, 4):
        with PretendedGPU() as gpu:
            model = gpu.move(model_for("gpt-tiny", prose))
            rule = RuleConfig("orderdp").build(N, device=GPU)
            epochs = train(model, prose.to(GPU), rule, Recipe(epochs=1, batch_size=batch))
            next(epochs)
            found.append(gpu.waits)
    assert found[0] == found[1]


def test_a_pretended_gpu_trains_what_a_cpu_trains(data):
    """One shape a batch repeats a sample there, which costs its loss nothing; fused kernels round
    otherwise."""
    recipe = Recipe(epochs=2, batch_size=16, max_lr=0.1)
    data = replace(data, augmentation=Augmentation())

    def trained(model, data, device):
        rule = RuleConfig("orderdp").build(N, device=device)
        return [epoch.loss for epoch in train(model, data, rule, recipe)]

    with PretendedGPU() as gpu:
        pretended = trained(
            gpu.move(cnn()), replace(data, augmentation=Augmentation()).to(GPU), GPU
        )
    real = trained(cnn(), data, "cpu")
    assert pretended == pytest.approx(real, rel=1e-5)


def stepped(name: str, by_itself: bool) -> tuple[list, float]:
    """A few steps under a scaler, the first and the fourth of which overflow."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    recipe = Recipe(optimizer=name, max_lr=0.5)
    optimizer = build_optimizer(model, recipe)
    if by_itself:
        skipping_by_itself(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    generator, found = torch.Generator().manual_seed(1), []
    for k in range(6):
        loss = model(torch.randn(5, 3, generator=generator)).square().mean()
        optimizer.zero_grad()
        scaler.scale(loss * torch.inf if k in (0, 3) else loss).backward()
        before = nn.utils.parameters_to_vector(model.parameters()).detach()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        after = nn.utils.parameters_to_vector(model.parameters()).detach()
        assert torch.equal(before, after) == (k in (0, 3))
        found.append(after)
    return found, scaler.get_scale()


@pytest.mark.parametrize("name", ["lars", "lamb"])
def test_a_step_that_overflows_is_undone_without_waiting(name):
    """Just as where the scaler waits to hear of it; but for lamb's count of steps."""
    (mine, scale), (theirs, other) = stepped(name, True), stepped(name, False)
    assert scale == other == 1.0
    assert all(value.isfinite().all() for value in mine)
    if name == "lars":
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lars", "lamb"])
def test_steps_that_overflow_are_skipped_without_waiting(optimizer):
    """What a GPU is shown to do in test_gpu.py."""
    data, seen = few_digits(500, tests=20), []
    with PretendedGPU() as gpu:

        def count(step: int, steps: int) -> None:
            if step in (2, steps):
                seen.append((step, gpu.waits.total()))

        an_epoch_that_overflows(gpu.move(cnn()), data.to(GPU), optimizer, count)
    starts, ends = seen[::2], seen[1::2]
    assert [step for step, _ in seen] == [2, 3] * 2
    assert [waits for _, waits in starts] == [waits for _, waits in ends]


LEAKS = {
    "a number": lambda t: float(t.sum()),
    "nonzero": lambda t: t.nonzero(),
    "a mask": lambda t: t[t > 0],
    "masked_select": lambda t: t.masked_select(t > 0),
    "unique": lambda t: t.unique(),
    "a copy back": lambda t: t.cpu(),
    "a list": lambda t: list(t.cpu()),
    "a pageable copy": lambda t: torch.arange(3).to(t.device),
    "a pageable copy that claims not to block": lambda t: torch.arange(3).to(
        t.device, non_blocking=True
    ),
    "equality": lambda t: torch.equal(t, t),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_what_would_wait_is_seen(data, leak):
    with PretendedGPU() as gpu:
        tensor = torch.ones(3, device=GPU)
        assert not gpu.waits
        LEAKS[leak](tensor)
        assert gpu.waits


class Spoiled(nn.Module):
    """Spoils the loss or the gradient of one constant image."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.body, self.what = cnn(), what

    def forward(self, images):
        constant = (images == images[:, :1, :1, :1]).flatten(1).all(1)[:, None]
        logits = self.body(images)
        if self.what == "loss":
            return logits + torch.where(constant, torch.nan, 0.0)
        # sqrt has an infinite derivative at 0, where it is finite itself.
        return logits + torch.where(constant, (logits - logits.detach()).abs().sqrt(), 0.0)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_is_noticed_a_few_steps_later(data, what, device):
    images = data.train_images.clone()
    images[33] = 200
    data = replace(data, train_images=images, augmentation=Augmentation())
    steps: list[torch.Tensor] = []
    recipe = Recipe(epochs=1, batch_size=2)
    lag = LAG if device == "cuda" else 1
    rule = RuleConfig("orderdp", {"keep": 1.0, "explore": 1.0})
    with PretendedGPU() as gpu:
        model = Spoiled(what)
        if device == "cuda":
            gpu.move(model)
        built = rule.build(N, device=device)
        epochs = train(model, data.to(device), built, recipe, on_step=steps.append)
        with pytest.raises(NonFiniteLossError, match=f"the {what} is not finite") as raised:
            next(epochs)
        spoilt = next(k for k, batch in enumerate(steps, 1) if 33 in batch.cpu().tolist())
        assert f"step {spoilt}, " in str(raised.value)
        assert "33" in str(raised.value)
        assert len(steps) <= spoilt + lag
        assert not built.scores.isnan().any()


def test_a_weight_that_is_not_finite_ends_the_epoch(data):
    """The last step is too long: no loss and no gradient says so."""
    model = cnn()
    recipe = Recipe(epochs=1, batch_size=N, max_lr=1e30, weight_decay=1e30, momentum=0.0)
    data = replace(data, augmentation=Augmentation())
    with pytest.raises(NonFiniteLossError, match=r"the weight .* is not finite after epoch 1"):
        next(train(model, data, RuleConfig("full").build(N), recipe))


def test_a_message_names_a_few_samples():
    sampler = RuleSampler(RuleConfig("full").build(N), torch.Generator())
    index = torch.tensor(list(sampler))
    with pytest.raises(NonFiniteLossError, match=r"samples \[(\d+, ){4}\d+\] and 55 more: lower"):
        sampler.loss(index, torch.full((N,), torch.inf))


def test_somebody_elses_loop_is_told_on_a_gpu():
    """A few steps later, at the end of a long pass, and before a state is saved."""
    for steps, spoilt in ((30, 3), (30, 29), (6, 3)):
        with PretendedGPU():
            rule = RuleConfig("orderdp", {"keep": 1.0, "explore": 1.0}).build(N, device=GPU)
            sampler = RuleSampler(rule, torch.Generator())
            told = 0

            def one_pass(sampler=sampler, steps=steps, spoilt=spoilt):
                nonlocal told
                for told, index in enumerate(torch.tensor(list(sampler)).chunk(steps)):
                    losses = torch.ones(len(index), device=GPU)
                    sampler.loss(index, losses / 0 if told == spoilt else losses)
                sampler.state_dict()

            with pytest.raises(NonFiniteLossError, match=f"epoch 1, step {spoilt + 1}, "):
                one_pass()
            assert told <= spoilt + LAG
            assert not rule.scores.isnan().any()
