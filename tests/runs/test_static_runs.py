"""Static methods by name: trained, continued, audited and drawn like any rule."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from orderdp_theory.common.command import run as run_command
from orderdp_train import (
    FullData,
    Recipe,
    RuleConfig,
    RunConfig,
    load_data,
    losses_of,
    run,
    train,
)
from orderdp_train.cli.app import app
from orderdp_train.models import head_of, model_for
from orderdp_train.runs import RunFolder
from orderdp_train.runs.recording import Presentations, Proxies
from orderdp_train.scores import Schedule, herding

RECIPE = Recipe(epochs=3, batch_size=256, max_lr=0.1)
CONFIG = RunConfig(recipe=RECIPE, rule=RuleConfig("herding", {"keep": 0.2}))
SCHEDULE = Schedule(3, proxies=1, el2n=(2, 3), grand=(3,))


def test_proxies_have_the_seeds_of_the_recordings_that_exist(monkeypatch, tmp_path):
    seeds: list[int] = []

    def untrained(*_: object, seed: int, **__: object) -> Iterator[None]:
        seeds.append(seed)
        return iter(())

    monkeypatch.setattr("orderdp_train.runs.recording.train", untrained)
    with torch.random.fork_rng():
        for number in range(2):
            proxies(tmp_path, seed=3)._trained(0.0, False, number)
    assert seeds == [253513626, 3355981923]


def call(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run_command(app, list(map(str, words)))
    return int(stop.value.code or 0)


def recorded(folder: Path, seed: int = 0):
    return proxies(folder, seed).recording


def proxies(folder: Path, seed: int = 0) -> Proxies:
    return Proxies(
        load_data("digits"), "cnn", RECIPE, seed=seed, label_noise=0.0, folder=folder,
        show_progress=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("recordings")


def test_a_run_trains_on_the_subset_of_its_own_proxies(tmp_path, shared):
    for _ in run(CONFIG, tmp_path, device="cpu", recordings=shared, show_progress=False):
        pass
    recording = recorded(shared)(SCHEDULE)
    expected = herding(recording.last_layer.features, 300)
    used = RunFolder(tmp_path).history().usage
    assert set(used.nonzero()[0].tolist()) == set(expected.tolist())
    assert set(used[expected]) == {3}
    stored = RunFolder(tmp_path).load()
    assert stored is not None
    assert torch.equal(stored["state"]["rule"]["indices"], expected)


def test_a_recording_is_no_part_of_the_training(tmp_path, shared):
    """Cold or warm, the same run; continued without the recording too, bit for bit."""
    results = []
    for name, recordings in (("cold", tmp_path / "own"), ("warm", tmp_path / "own")):
        rows = list(run(CONFIG, tmp_path / name, device="cpu", recordings=recordings))
        results.append([(row["loss"], row["test_accuracy"]) for row in rows])
    broken = run(CONFIG, tmp_path / "broken", device="cpu", recordings=tmp_path / "own")
    next(broken)
    broken.close()
    rest = run(CONFIG, tmp_path / "broken", resume=True, device="cpu", recordings=tmp_path / "none")
    results.append([(row["loss"], row["test_accuracy"]) for row in rest])
    assert results[0] == results[1]
    assert len(results[2]) in (2, 3)
    assert results[2][-2:] == results[0][-2:]
    assert not (tmp_path / "none").exists()


def test_proxies_differ_by_seed_and_are_trained_once(tmp_path, shared, monkeypatch):
    first = recorded(shared)(SCHEDULE)
    again = recorded(shared)(SCHEDULE)
    other = recorded(tmp_path, seed=1)(SCHEDULE)
    assert torch.equal(first.last_layer.logits, again.last_layer.logits)
    assert not torch.equal(first.last_layer.logits, other.last_layer.logits)
    monkeypatch.setattr("orderdp_train.runs.recording.train", None)
    recorded(shared)(SCHEDULE)
    with pytest.raises(TypeError):  # a second proxy is to be trained
        recorded(shared)(Schedule(3, proxies=2, el2n=(2, 3), grand=(3,)))


def test_correctness_is_that_of_the_presentation():
    """Against the loop's own forward passes, taken by a second hook."""
    data = load_data("digits")
    torch.manual_seed(0)
    model = model_for("cnn", data)
    seen = Presentations(model, data.train_labels)
    logits, order = [], []
    model.register_forward_hook(lambda m, _, out: logits.append(out.detach().argmax(1)))

    def step(indices):
        order.append(indices)
        seen.announce(indices)

    for _ in train(model, data, FullData(1500), RECIPE, evaluated=False, on_step=step):
        where = torch.cat(order)
        assert len(where.unique()) == 1500
        right = torch.cat(logits) == data.train_labels[where]
        assert torch.equal(seen.correct[where], right)
        assert 0 < int(right.sum()) < 1500
        logits.clear()
        order.clear()


def test_validation_is_held_out_of_every_class(tmp_path):
    data = load_data("digits")
    schedule = Schedule(3, proxies=1, el2n=(), grand=())
    recording = recorded(tmp_path)(schedule, 0.1)
    assert recording.validation is not None
    held = recording.validation.targets.bincount()
    assert torch.equal(held, (0.1 * data.train_labels.bincount()).round().long())
    never = ~recording.correct.any(0)  # presented in no epoch
    # Held-out samples are never presented; of the others three epochs leave some unlearned.
    assert int(never.sum()) >= int(held.sum())
    features = recording.last_layer.features
    rows = (recording.validation.features[:, None] - features).abs().amax(2).argmin(1)
    assert never[rows].all()
    # A second pass in other batches rounds differently.
    torch.testing.assert_close(recording.validation.features, features[rows], rtol=1e-4, atol=1e-5)


def test_holdout_losses_are_those_of_the_half_that_a_sample_is_not_in(tmp_path, monkeypatch):
    data, trained = load_data("digits"), []

    def watched(model, data, rule, recipe, **options):
        trained.append((model, rule.indices))
        return train(model, data, rule, recipe, **options)

    monkeypatch.setattr("orderdp_train.runs.recording.train", watched)
    beside = proxies(tmp_path)
    found = beside.holdout_losses()
    assert torch.equal(found, beside.holdout_losses())  # from the folder
    (a, halves_a), (b, halves_b) = trained
    both = torch.cat([halves_a, halves_b])
    assert torch.equal(both.sort().values, torch.arange(1500))
    counts = [data.train_labels[half].bincount() for half in (halves_a, halves_b)]
    assert int((counts[0] - counts[1]).abs().max()) <= 1
    for model, unseen, own in ((a, halves_b, halves_a), (b, halves_a, halves_b)):
        # A pass in other batches rounds differently.
        expected = losses_of(model, data, torch.arange(1500), RECIPE)
        torch.testing.assert_close(found[unseen], expected[unseen], rtol=1e-4, atol=1e-5)
        assert (found[own] - expected[own]).abs().median() > 1e-3  # nor those of its own half


@pytest.mark.parametrize("selection", ["epoch", "iteration"])
def test_rho_loss_is_trained_continued_and_audited_by_name(tmp_path, shared, selection, capsys):
    config = replace(CONFIG, rule=RuleConfig("rho-loss", {"keep": 0.2}), selection=selection)
    options = {"device": "cpu", "recordings": shared, "show_progress": False}
    whole = list(run(config, tmp_path / "whole", **options))
    broken = run(config, tmp_path / "broken", **options)
    next(broken)
    broken.close()
    options["recordings"] = tmp_path / "none"  # not asked for once there is a state
    rest = list(run(config, tmp_path / "broken", resume=True, **options))
    assert [row["loss"] for row in whole[-len(rest) :]] == [row["loss"] for row in rest]
    assert not (tmp_path / "none").exists()
    stored = RunFolder(tmp_path / "whole").load()
    assert stored is not None
    holdout = stored["state"]["rule"]["holdout_losses"]
    assert torch.equal(holdout, proxies(shared).holdout_losses())
    assert call("audit", f"--run={tmp_path}/whole", "--draws=50", f"--out={tmp_path}/audit") == 0
    assert "RHO-loss" in capsys.readouterr().out


def test_the_recorded_layer_is_the_models_last_one():
    data = load_data("digits")
    model = model_for("cnn", data)
    head = head_of(model, 10)
    x = torch.randn(3, 128)
    assert torch.equal(head(x), F.linear(x, model.head.weight, model.head.bias))
    with pytest.raises(ValueError, match="does not end in a linear layer with 11 outputs"):
        head_of(model, 11)


def test_by_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    training = ("--rule=craig", "--keep=0.2", "--epochs=2", "--device=cpu", "--out=run")
    assert call("run", *training) == 0
    assert capsys.readouterr().err == ""  # no bar where there is no terminal
    assert json.loads(Path("run/config.json").read_text())["rule"]["balance"] == "classes"
    assert call("audit", "--run=run", "--draws=50", "--out=run/audit") == 0
    found = json.loads(Path("run/audit/audit.json").read_text())["points"][-1]["audit"]["rules"][0]
    assert found["method"] == "CRAIG"
    assert found["variance"] == pytest.approx(0, abs=1e-9)
    assert found["unreachable"] == 1200
    assert call("figures", "run", "--out=figures") == 0
    assert len(list(Path("figures").iterdir())) > 3

    quiet = ("--rule=craig", "--epochs=1", "--device=cpu", "--out=quiet", "--recordings=other")
    capsys.readouterr()
    assert call("run", *quiet, "--quiet") == 0
    assert capsys.readouterr() == ("", "")  # of proxies that are trained for it, too

    other = ("--rule=static-random", "--seed=1", "--epochs=1", "--device=cpu", "--out=random")
    assert call("run", *other) == 0
    assert call("audit", "--run=random", "--draws=50", "--no-moments", "--out=random/audit") == 0

    trained = ("--rules=margin,static-random", "--epochs=2", "--draws=50", "--out=audit")
    assert call("audit", *trained, "--label-noise=0") == 0
    assert "margin" in capsys.readouterr().out
    # The proxy of margin is that of CRAIG: one configuration.
    assert len(list(Path("recordings").iterdir())) == 1

    for words, message in (
        (("--rule=herding", "--epoch=3"), "herding takes no --epoch; options: --balance, --keep"),
        (("--rule=herding", "--balance=some"), "--balance must be none or classes, got some"),
        (
            ("--rule=herding", "--data=prose", "--model=gpt-tiny"),
            "static methods and RHO-loss need",
        ),
    ):
        assert call("run", *words, "--out=bad") == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert message in error
