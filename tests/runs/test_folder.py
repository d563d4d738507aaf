"""A run folder has one writer, which its death releases, and one reader, which sees what is off."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from orderdp_theory.common.command import run as command_line
from orderdp_theory.common.errors import InputError
from orderdp_train.cli.app import app
from orderdp_train.rules import RuleConfig
from orderdp_train.runs import RunConfig, RunFolder, run
from orderdp_train.training.recipe import Recipe

CONFIG = RunConfig(
    rule=RuleConfig("orderdp", {"keep": 0.1}), recipe=Recipe(epochs=3, batch_size=64, max_lr=0.1)
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("folder") / "run"
    list(run(CONFIG, folder, device="cpu"))
    return folder


def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path):
    first = run(CONFIG, tmp_path / "run", device="cpu")
    next(first)
    second = run(CONFIG, tmp_path / "run", device="cpu", resume=True)
    with pytest.raises(ValueError, match="another process is writing"):
        next(second)
    assert len(list(first)) == 2
    assert len(RunFolder(tmp_path / "run").history().rows) == 3


def test_the_lock_of_a_killed_writer_is_free(tmp_path):
    folder = tmp_path / "run"
    words = ["run", f"--out={folder}", "--device=cpu", "--epochs=300", "--keep=0.1"]
    writer = subprocess.Popen([sys.executable, "-m", "orderdp_train", *words], env=os.environ)
    while not (folder / "metrics.jsonl").exists():
        assert writer.poll() is None
        time.sleep(0.01)
    with (
        pytest.raises(ValueError, match="another process is writing"),
        RunFolder(folder).locked(),
    ):
        pass
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    with RunFolder(folder).locked():
        pass


def test_a_point_is_listed_once(whole, tmp_path):
    """A run that was stopped at a milestone has it as the latest checkpoint as well."""
    folder = tmp_path / "run"
    list(itertools.islice(run(CONFIG, folder, device="cpu"), 2))
    assert {p.name for p in folder.glob("*.pt")} == {
        "checkpoint-0001.pt",
        "checkpoint-0002.pt",
        "checkpoint.pt",
    }
    names = [path.name for path in RunFolder(folder).checkpoints()]
    assert names == ["checkpoint-0001.pt", "checkpoint.pt"]
    assert len(RunFolder(whole).checkpoints()) == 3


def test_a_kill_between_checkpoint_and_usage_is_seen_and_mended(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    usage = np.load(folder / "usage.npy")
    np.save(folder / "usage.npy", usage - (usage > 0))
    with pytest.raises(ValueError, match="different epochs: continue the run"):
        RunFolder(folder).history()
    assert list(run(CONFIG, folder, device="cpu", resume=True)) == []
    assert np.array_equal(RunFolder(folder).history().usage, usage)


def test_another_version_is_refused_in_one_line(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    old = json.loads((folder / "config.json").read_text())
    del old["format"]
    (folder / "config.json").write_text(json.dumps(old | {"rule": "orderdp", "keep": 0.1}))
    with pytest.raises(ValueError, match="of version 1 and this program reads version 2"):
        RunFolder(folder).config()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--data=mnist5k", "--data is digits in the run"),
        ("--model=resnet18", "--model is cnn in the run"),
        ("--seed=7", "--seed is 0 in the run"),
        ("--epochs=9", "--epochs is 3 in the run"),
        ("--label-noise=0.3", "--label-noise is 0.0 in the run"),
        ("--keep=0.5", "options of rules are for --rules"),
    ],
)
def test_an_audit_refuses_options_that_its_run_contradicts(
    whole, tmp_path, capsys, option, message
):
    with pytest.raises(SystemExit, match="2"):
        command_line(app, ["audit", f"--run={whole}", f"--out={tmp_path / 'audit'}", option])
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "audit").exists()


def test_metrics_are_rewritten_on_resume_of_a_finished_run(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    rows = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text(rows.splitlines()[0] + "\n")
    assert list(run(CONFIG, folder, device="cpu", resume=True)) == []
    assert (folder / "metrics.jsonl").read_text() == rows


@pytest.mark.parametrize("how", ["archive", "huge", "text"])
def test_a_usage_that_is_no_array_is_refused(whole, tmp_path, how):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    with (folder / "usage.npy").open("wb") as file:
        if how == "archive":
            np.savez(file, usage=np.zeros(3))
        elif how == "huge":
            header = {"descr": "<i8", "fortran_order": False, "shape": (10**15,)}
            np.lib.format.write_array_header_1_0(file, header)
        else:
            file.write(b"3,4")
    with pytest.raises(InputError, match=r"usage\.npy is (not an array|an archive)"):
        RunFolder(folder).history()


@pytest.mark.parametrize("line", ["{", "[]", '{"epoch": 1}', "\udcff"])
def test_gradients_that_are_none_are_refused(whole, tmp_path, line):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "gradients.jsonl").write_text(line + "\n", errors="surrogateescape")
    with pytest.raises(InputError, match=r"gradients\.jsonl does not hold gradients"):
        RunFolder(folder).history()
