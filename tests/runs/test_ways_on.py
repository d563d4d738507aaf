"""A run keeps what is good, says what is safe, and shows a way on."""

import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import orderdp_train.runs.driver as driver
import orderdp_train.training.loop as loop
from orderdp_theory.common.command import run as command_line
from orderdp_train.cli.app import app
from orderdp_train.rules import RuleConfig
from orderdp_train.runs import RunConfig, RunFolder, run
from orderdp_train.runs.checkpoint import load_checkpoint, save_checkpoint
from orderdp_train.training.recipe import Recipe

CONFIG = RunConfig(
    rule=RuleConfig("orderdp", {"keep": 0.1}), recipe=Recipe(epochs=3, batch_size=64, max_lr=0.1)
)


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """A run stopped after its first epoch."""
    folder = tmp_path_factory.mktemp("begun") / "run"
    list(itertools.islice(run(CONFIG, folder, device="cpu"), 1))
    return folder


@pytest.fixture
def half(begun, tmp_path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "half"))


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("part", ["images", "labels"])
def test_data_of_another_content_are_refused(half, monkeypatch, split, part):
    load = driver.load_data

    def other(*args, **options):
        data = load(*args, **options)
        changed = getattr(data, f"{split}_{part}").clone()
        changed[0] = 3 if part == "labels" else changed[0] + 1
        return replace(data, **{f"{split}_{part}": changed})

    monkeypatch.setattr(driver, "load_data", other)
    before = (half / "checkpoint.pt").read_bytes()
    with pytest.raises(ValueError, match="other data of the name digits"):
        next(run(CONFIG, half, device="cpu", resume=True))
    assert (half / "checkpoint.pt").read_bytes() == before


def poisoned(monkeypatch, where: str) -> None:
    """The last step of the next epoch leaves a number that is none."""
    train, check = driver.train, loop.check_weights

    def with_nan(*args, **options):
        for epoch in train(*args, **options):
            yield replace(epoch, grad_norm_mean=math.nan)

    def spoilt(model, epoch):
        with torch.no_grad():
            next(model.parameters()).view(-1)[0] = math.nan
        check(model, epoch)

    if where == "weights":
        monkeypatch.setattr(loop, "check_weights", spoilt)
        return
    monkeypatch.setattr(driver, "train", with_nan)


@pytest.mark.parametrize("where", ["weights", "metrics"])
def test_an_epoch_that_ends_without_numbers_is_not_stored(half, monkeypatch, where):
    before = {path.name: path.read_bytes() for path in half.iterdir()}
    with monkeypatch.context() as patch:
        poisoned(patch, where)
        with pytest.raises(ValueError, match=r"not finite.* --start=.*/checkpoint.pt --max-l"):
            next(run(CONFIG, half, device="cpu", resume=True))
    assert {path.name: path.read_bytes() for path in half.iterdir()} == before
    assert len(list(run(CONFIG, half, device="cpu", resume=True))) == 2
    for line in (half / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_a_new_run_begins_at_a_kept_checkpoint_with_a_lower_rate(half, tmp_path, capsys):
    words = [f"--start={half / 'checkpoint-0001.pt'}", "--max-lr=0.01", "--device=cpu"]
    folder = tmp_path / "lower"
    with pytest.raises(SystemExit, match="0"):
        command_line(app, ["run", f"--out={folder}", *words])
    assert capsys.readouterr().out.count("epoch ") == 2
    place = RunFolder(folder)
    assert place.config().recipe.max_lr == 0.01
    assert [row["epoch"] for row in place.history().rows] == [1, 2, 3]
    again = replace(CONFIG, recipe=replace(CONFIG.recipe, max_lr=0.01))
    list(run(again, tmp_path / "again", device="cpu", start=half / "checkpoint-0001.pt"))
    one, other = (load_checkpoint(f / "checkpoint.pt") for f in (folder, tmp_path / "again"))
    for name, tensor in one["state"]["model"].items():
        assert torch.equal(tensor, other["state"]["model"][name])
    # Killed before its first epoch, it goes on from where it began.
    place.write_start(place.config(), driver.begin_from(half / "checkpoint.pt", again)[1])
    assert len(list(run(place.config(), folder, device="cpu", resume=True))) == 2
    for change, message in (
        ({"seed": 5}, "its seed is 0 and not 5"),
        ({"recipe": replace(CONFIG.recipe, epochs=1)}, "raise --epochs"),
        ({"recipe": replace(CONFIG.recipe, momentum=0.5)}, "its momentum is 0.9"),
    ):
        with pytest.raises(ValueError, match=message):
            next(run(replace(CONFIG, **change), tmp_path / "no", start=half / "checkpoint.pt"))


def test_leftovers_of_a_kill_before_the_configuration_are_no_run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").touch()
    (folder / ".config.json.x2y3z4a5.partial").write_text("{")
    assert len(list(run(CONFIG, folder, device="cpu"))) == 3
    (folder / ".checkpoint.pt.x2y3z4a5.partial").write_text("half")
    (folder / ".mine.partial").write_text("not the program's")
    assert list(run(CONFIG, folder, device="cpu", resume=True)) == []
    assert {path.name for path in folder.glob(".*")} == {".lock", ".mine.partial"}


def test_a_folder_deleted_under_a_run_is_lost(half):
    rows = run(CONFIG, half, device="cpu", resume=True)
    next(rows)
    shutil.rmtree(half)
    with pytest.raises(OSError, match=r"half is gone, and what the run had stored there is lost"):
        next(rows)


def catches(process: int, number: int) -> bool:
    """Whether a process handles a signal itself by now."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    [caught] = [line.split()[1] for line in lines if line.startswith("SigCgt")]
    return bool(int(caught, 16) >> (number - 1) & 1)


SCRIPT = "import sys, orderdp_command; sys.argv[0] = 'orderdp-train'; orderdp_command.train()"
AS = {"script": ["-c", SCRIPT], "module": ["-m", "orderdp_train"]}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(("epochs", "called"), [(0, "script"), (0, "module"), (1, "script")])
def test_a_signal_is_one_line_that_says_what_is_safe(tmp_path, number, status, epochs, called):
    folder = tmp_path / "run"
    words = ["run", f"--out={folder}", "--device=cpu", "--epochs=300", "--keep=0.1"]
    process = subprocess.Popen(
        [sys.executable, *AS[called], *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if epochs:
        while not (folder / "metrics.jsonl").exists():
            assert process.poll() is None
            time.sleep(0.01)
    else:
        while not catches(process.pid, signal.SIGTERM):  # Python itself only handles Ctrl-C
            assert process.poll() is None
            time.sleep(0.01)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == status
    assert error.count("\n") == 1
    if epochs:
        assert "is safe in" in error
        assert "continue with --resume" in error
        assert not list(folder.glob("*.partial"))
    else:
        assert error.startswith("stopped: ")
        assert not folder.exists()


def forged(path: Path, how: str) -> None:
    """A checkpoint with a valid digest whose content is not that of a run."""
    content = load_checkpoint(path)
    content.pop("format")
    if how == "no state":
        del content["state"]
    elif how == "a state of words":
        content["state"] = {"random": "words"}
    elif how == "no model":
        del content["state"]["model"]
    elif how == "scores of another shape":
        content["state"]["rule"] = {"scores": torch.zeros(3)}
    elif how == "scores that are none":
        content["state"]["rule"]["scores"][0] = math.nan
    elif how == "a list for a configuration":
        content["config"] = [1, 2]
    save_checkpoint(path, content)


@pytest.mark.parametrize(
    "how",
    [
        *("no state", "a state of words", "no model", "scores of another shape"),
        *("scores that are none", "a list for a configuration"),
    ],
)
def test_a_forged_checkpoint_is_an_error_of_input(half, capsys, how):
    forged(half / "checkpoint.pt", how)
    with pytest.raises(SystemExit, match="2"):
        command_line(app, ["run", f"--out={half}", "--resume", "--device=cpu"])
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe not UTF-8",
        b"[" * 100_000 + b"]" * 100_000,
        b"[1, 2]",
        b'{"format": 2, "recipe": {"epochs": 3.5}, "rule": {"name": "orderdp"}}',
        b'{"format": 2, "recipe": {}, "rule": {"name": "orderdp"}, "seed": 1e400}',
        b'{"format": 2, "recipe": {"max_lr": NaN}, "rule": {"name": "orderdp"}}',
    ],
    ids=["encoding", "nested", "list", "half an epoch", "infinite seed", "rate"],
)
def test_a_configuration_that_is_none_is_named(half, text):
    (half / "config.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"config.json is not the configuration of a run"):
        RunFolder(half).config()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--weight-decay", "1e300"),
        ("--max-lr", "1e308"),
        ("--max-lr", "nan"),
        ("--seed", 2**64),
        ("--seed", -1),
        ("--momentum", "inf"),
        ("--label-noise", "nan"),
    ],
)
def test_numbers_that_would_overflow_are_refused(tmp_path, capsys, option, value):
    with pytest.raises(SystemExit, match="2"):
        command_line(app, ["run", f"--out={tmp_path / 'new'}", f"{option}={value}"])
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert option.strip("-").replace("-", " ") in error.replace("-", " ").replace("_", " ")
    assert not (tmp_path / "new").exists()


def test_any_number_of_checkpoints_may_be_asked_for():
    assert driver.milestones(3, 10**12) == [1, 2, 3]
