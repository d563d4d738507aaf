"""Runs in folders: what they hold, and that no finished epoch is lost whatever happens."""

import importlib
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

import orderdp_train.runs.checkpoint
import orderdp_train.runs.folder
from orderdp_theory.common.command import run as command_line
from orderdp_train.cli.app import app
from orderdp_train.rules import RuleConfig
from orderdp_train.runs import RunConfig, RunFolder
from orderdp_train.runs import run as run_anywhere
from orderdp_train.runs.checkpoint import load_checkpoint, save_checkpoint
from orderdp_train.runs.driver import limit_threads
from orderdp_train.runs.folder import milestones
from orderdp_train.training.recipe import Recipe

run = partial(run_anywhere, device="cpu")  # where repetition is bit for bit

EPOCHS = 5
CONFIG = RunConfig(
    rule=RuleConfig("orderdp", {"keep": 0.1}),
    label_noise=0.1,
    recipe=Recipe(epochs=EPOCHS, batch_size=32),
)
VOLATILE = {"seconds_selection", "seconds_training", "seconds_evaluation", "time"}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that nothing happened to."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    list(run(CONFIG, folder))
    return folder


@pytest.fixture
def half(tmp_path) -> Path:
    """The same run, stopped after two epochs."""
    folder = tmp_path / "half"
    list(itertools.islice(run(CONFIG, folder), 2))
    return folder


def metrics(folder: Path) -> list[dict]:
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in row.items() if k not in VOLATILE} for row in rows]


def assert_same(a, b) -> None:
    """Equal bit for bit, through dictionaries and lists, times aside."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a.keys() - VOLATILE:
            assert_same(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def assert_same_run(a: Path, b: Path) -> None:
    kept = RunFolder(a).checkpoints()
    assert [path.name for path in kept] == [path.name for path in RunFolder(b).checkpoints()]
    for path in kept:
        assert_same(load_checkpoint(path), load_checkpoint(b / path.name))
    assert metrics(a) == metrics(b)
    assert np.array_equal(np.load(a / "usage.npy"), np.load(b / "usage.npy"))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def test_the_folder_holds_what_it_promises(whole):
    assert RunConfig.from_json((whole / "config.json").read_text(), whole) == CONFIG
    rows = metrics(whole)
    assert [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))
    assert np.load(whole / "usage.npy").sum() == sum(row["kept"] for row in rows) == EPOCHS * 150
    events = list(EventFileLoader(str(whole / "events.out.tfevents.run")).Load())[1:]
    for row, event in zip(rows, events, strict=True):
        shown = {value.tag: value.tensor.float_val[0] for value in event.summary.value}
        assert event.step == row["epoch"]
        assert VOLATILE - {"time"} < set(shown)
        assert shown["loss"] == pytest.approx(row["loss"])
    assert sorted(path.name for path in whole.iterdir()) == [
        ".lock",
        *(f"checkpoint-000{epoch}.pt" for epoch in range(1, EPOCHS)),
        "checkpoint.pt",
        "config.json",
        "events.out.tfevents.run",
        "metrics.jsonl",
        "usage.npy",
    ]


def test_checkpoints_kept_for_audits(whole, tmp_path):
    for path, epoch in zip(RunFolder(whole).checkpoints(), range(1, EPOCHS + 1), strict=True):
        stored = load_checkpoint(path)
        assert stored["state"]["epoch"] == len(stored["metrics"]) == epoch
    assert milestones(200) == [40, 80, 120, 160, 200]
    assert milestones(2) == [1, 2]
    list(run(CONFIG, tmp_path / "two", checkpoints=2))
    names = [path.name for path in RunFolder(tmp_path / "two").checkpoints()]
    assert names == ["checkpoint-0002.pt", "checkpoint.pt"]
    with pytest.raises(ValueError, match="at least its last checkpoint, got 0"):
        list(run(CONFIG, tmp_path / "none", checkpoints=0))
    assert not (tmp_path / "none").exists()
    with pytest.raises(ValueError, match="let the run finish its first epoch"):
        RunFolder(tmp_path).checkpoints()


def test_a_run_killed_by_the_system_ends_as_one_that_was_not(tmp_path):
    # Long enough that it cannot end between two looks at it.
    recipe = replace(CONFIG.recipe, epochs=10)
    rule = RuleConfig("orderdp", {"keep": 0.9, "explore": 0.95})
    config = replace(CONFIG, rule=rule, recipe=recipe)
    options = "--keep=0.9 --explore=0.95 --label-noise=0.1 --epochs=10 --batch-size=32 --max-lr=0.2"
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "orderdp_train", "run", f"--out={folder}", "--device=cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, *options.split()], env=environment)
    while not (folder / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    list(run(config, folder, resume=True))
    list(run(config, whole))
    assert_same_run(folder, whole)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("write", range(10))
def test_a_run_killed_between_any_two_writes_continues(whole, tmp_path, monkeypatch, write):
    folder = tmp_path / "killed"
    left = [write]
    with monkeypatch.context() as patch:
        for module in (orderdp_train.runs.folder, orderdp_train.runs.checkpoint):
            original = module.write_atomically

            def dying(path, content, original=original):
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
                original(path, content)

            patch.setattr(module, "write_atomically", dying)
        with pytest.raises(Killed):
            list(run(CONFIG, folder))
    if (folder / "config.json").exists():
        list(run(CONFIG, folder, resume=True))
    else:
        list(run(CONFIG, folder))
    assert_same_run(folder, whole)


def test_a_full_disk_loses_nothing(half, whole):
    before = content(half)
    rows = run(CONFIG, half, resume=True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        with pytest.raises(OSError, match=r"too large\): epoch 2 is safe in .*, continue"):
            next(rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    after = content(half)
    assert after["checkpoint.pt"] == before["checkpoint.pt"]
    assert after.keys() == before.keys()
    list(run(CONFIG, half, resume=True))
    assert_same_run(half, whole)


def test_a_nan_loss_leaves_the_last_good_checkpoint(half, monkeypatch):
    before = content(half)["checkpoint.pt"]
    rows = run(CONFIG, half, resume=True)
    loop = importlib.import_module("orderdp_train.training.loop")
    losses = loop.sample_losses
    monkeypatch.setattr(loop, "sample_losses", lambda *a: losses(*a) * torch.nan)
    with pytest.raises(ValueError, match=r"not finite at epoch 3, step 1, for samples \[\d+, "):
        next(rows)
    assert content(half)["checkpoint.pt"] == before


def damage(checkpoint: Path, how: str) -> None:
    raw = bytearray(checkpoint.read_bytes())
    if how == "cut":
        del raw[len(raw) // 2 :]
    elif how == "empty":
        raw.clear()
    elif how == "changed":
        raw[len(raw) // 3] ^= 1
    elif how == "another program's":
        torch.save({"model": {}}, checkpoint)
        return
    elif how == "another run's":
        other = load_checkpoint(checkpoint)
        other["config"]["seed"] = 1
        return save_checkpoint(checkpoint, {k: v for k, v in other.items() if k != "format"})
    checkpoint.write_bytes(raw)


@pytest.mark.parametrize("how", ["cut", "empty", "changed", "another program's", "another run's"])
def test_a_checkpoint_that_is_not_whole_and_ours_is_refused(half, how):
    damage(half / "checkpoint.pt", how)
    before = content(half)
    reason = "of another run" if how == "another run's" else "damaged, cut short or not"
    with pytest.raises(ValueError, match=reason):
        next(run(CONFIG, half, resume=True))
    assert content(half) == before


def test_a_run_is_continued_as_it_was_configured(half, capsys):
    other = replace(CONFIG, seed=3, recipe=replace(CONFIG.recipe, epochs=9))
    with pytest.raises(ValueError, match="its seed is 0 and not 3, its epochs is 5 and not 9"):
        next(run(other, half, resume=True))
    with pytest.raises(SystemExit, match="0"):
        command_line(app, ["run", f"--out={half}", "--resume", "--keep=0.1", "--device=cpu"])
    assert f"epoch {EPOCHS}/{EPOCHS}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"rule": RuleConfig("orderdp-fresh", {"keep": 0.1})}, 150),
        ({"rule": RuleConfig("orderdp", {"keep": 0.1, "initial_score": "first-pass"})}, 150),
        ({"rule": RuleConfig("orderdp", {"keep": 0.1, "initial_score": 3.0})}, 150),
        ({"rule": RuleConfig("infobatch", {"keep": 0.1, "anneal": 0.5})}, 1500),
        ({"selection": "iteration"}, 5 * 32),
    ],
    ids=["fresh", "first-pass", "constant", "annealed", "iteration"],
)
def test_variants_run(tmp_path, change, kept):
    config = replace(CONFIG, **change, recipe=replace(CONFIG.recipe, epochs=2))
    rows = list(run(config, tmp_path / "run"))
    assert rows[-1]["kept"] == kept


def test_the_small_cnn_alone_keeps_to_one_thread():
    before = torch.get_num_threads()
    try:
        for model, threads in (("resnet18", 2), ("all", 2), ("cnn", 1)):
            torch.set_num_threads(2)
            limit_threads(model)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rule=best"], "unknown rule 'best'"),
        (["--data=nothing"], "unknown data set 'nothing'"),
        (["--model=nothing"], "nothing"),
        (["--recipe=nothing"], "unknown recipe 'nothing'"),
        (["--device=tpu"], "unknown device 'tpu'"),
        (["--epochs=0"], "epochs must be at least 1"),
        (["--epochs=1000000000000"], "does not fit into half of the memory"),
        ([f"--batch-size={10**30}"], "--batch-size must not exceed 2^53"),
        ([f"--seed={2**64}"], "--seed must not exceed 2^53"),
        (["--workers=-3"], "the number of workers must be at least 0, got -3"),
        (["--workers=1000000000"], "the number of workers must be at most"),
        (["--keep=nan"], "--keep must be a number in (0, 1]"),
        (["--keep=many"], "--keep"),
        (
            ["--initial-score=high"],
            "--initial-score must be unused-first or first-pass",
        ),
        (["--selection=never"], "unknown selection 'never'"),
        ([f"--seed={2**32}"], "a seed must lie in 0 ... 2^32 - 1, got 4294967296"),
        (["--seed=-1"], "a seed must lie in 0 ... 2^32 - 1, got -1"),
        (["--selection=iteration", "--rule=infobatch"], "no fixed budget"),
        (["--anneal=0.1"], "orderdp takes no --anneal"),
        (["--label-noise=2"], "label-noise"),
        (["--resume"], "holds no run to continue"),
        (["--start=/dev/zero"], "/dev/zero is a device or a pipe: give a file"),
        (["--pretrained=/dev/zero"], "/dev/zero is a device or a pipe: give a file"),
        (["--start=FULL"], "FULL"),
        (["--start=nowhere"], "nowhere"),
        (["--out=FILE/run"], "FILE"),
        (["--out=FULL"], "is not empty"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    arguments, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("FILE").touch()
    Path("FULL").mkdir()
    Path("FULL/other").touch()
    with pytest.raises(SystemExit, match="2"):
        command_line(app, ["run", "--out=new", *arguments])
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not Path("new").exists()
    assert [path.name for path in Path("FULL").iterdir()] == ["other"]
