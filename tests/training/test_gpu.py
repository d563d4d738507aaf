"""A GPU against the CPU; all skip where there is none."""

from dataclasses import replace

import pytest
import torch

from orderdp_train import Recipe, RuleConfig, audit, train
from orderdp_train.auditing.population import population_of_images
from orderdp_train.data import DataSet, load_data
from orderdp_train.models import build_model
from orderdp_train.runs.checkpoint import load_checkpoint, save_checkpoint
from tests.training.overflow import an_epoch_that_overflows

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
RECIPE = Recipe(epochs=2, batch_size=50, max_lr=0.05)
NAMES = (
    "full",
    "random",
    "orderdp",
    "orderdp-unbiased",
    "survey",
    "infobatch",
    "epsilon-greedy",
    "ucb",
    "rs2",
)


@pytest.fixture
def data() -> DataSet:
    digits = load_data("digits")
    assert isinstance(digits, DataSet)
    return digits


def cnn(device: str = "cpu"):
    torch.manual_seed(0)
    return build_model("cnn", in_channels=1, num_classes=10, image_size=8).to(device)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_selects_the_same_on_both(name):
    losses = torch.randn(1500, generator=torch.Generator().manual_seed(1)).abs()
    drawn = []
    for device in ("cpu", "cuda"):
        rule = RuleConfig(name).build(1500, device=device)
        rule.update(torch.arange(1500, device=device), losses.to(device))
        drawn.append([part.cpu() for part in rule.select(torch.Generator().manual_seed(2))])
    (here, weights), (there, others) = drawn
    assert torch.equal(here, there)
    torch.testing.assert_close(weights, others)


@pytest.mark.parametrize("name", ["full", "random", "orderdp"])
def test_a_training_is_the_same_up_to_rounding(data, name):
    losses = []
    for device in ("cpu", "cuda"):
        rule = RuleConfig(name).build(data.num_train, device=device)
        recipe = replace(RECIPE, epochs=1)
        losses.append([e.loss for e in train(cnn(device), data.to(device), rule, recipe)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_an_audit_is_the_same_to_1e_5(data):
    found = []
    for device in ("cpu", "cuda"):
        rule = RuleConfig("orderdp").build(data.num_train, device=device)
        losses = torch.rand(data.num_train, generator=torch.Generator().manual_seed(3))
        rule.update(torch.arange(data.num_train, device=device), losses.to(device))
        population = population_of_images(data.to(device), RECIPE)
        found.append(audit(cnn(device), population, [rule], moments=False).rules[0])
    for name in ("cosine", "scale", "bias"):
        mine, theirs = (getattr(one, name) for one in found)
        assert theirs == pytest.approx(mine, rel=1e-5)


def test_fp16_survives_an_overflow(data):
    rule = RuleConfig("orderdp").build(data.num_train, device="cuda")
    epochs = train(cnn("cuda"), data.to("cuda"), rule, replace(RECIPE, precision="fp16"))
    first = next(epochs)
    first.state.scaler.update(2.0**40)  # the next gradients are infinite
    second = next(epochs)
    assert first.state.scaler.get_scale() < 2.0**40
    assert second.loss < 5
    assert not rule.state_dict()["scores"].isnan().any()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lars", "lamb"])
def test_steps_that_overflow_are_skipped_without_waiting(data, optimizer):
    """Between the second step of an epoch and its last the driver refuses to make the host wait."""

    def refuse(step: int, steps: int) -> None:
        if step in (2, steps):
            torch.cuda.set_sync_debug_mode("error" if step == 2 else "default")

    try:
        an_epoch_that_overflows(cnn("cuda"), data.to("cuda"), optimizer, refuse)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(("first", "then"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_training_is_continued_on_the_other(data, tmp_path, first, then):
    def started(device, **more):
        rule = RuleConfig("orderdp").build(data.num_train, device=device)
        return train(cnn(device), data.to(device), rule, RECIPE, **more)

    epoch = next(started(first))
    save_checkpoint(tmp_path / "state.pt", {"state": epoch.state.state_dict()})
    state = load_checkpoint(tmp_path / "state.pt")["state"]
    (other,) = started(then, resume=state)
    (same,) = started(first, resume=state)
    assert other.loss == pytest.approx(same.loss, rel=1e-3)
