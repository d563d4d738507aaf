"""Two gloo processes select, share and learn what one process does."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from orderdp_train.runs import run as run_anywhere
from orderdp_train.runs.checkpoint import load_checkpoint
from orderdp_train.training import processes

run = partial(run_anywhere, device="cpu")

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("two_processes.py")
CONFIG = runpy.run_path(str(SCRIPT))["CONFIG"]


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("one") / "run"
    list(run(CONFIG, folder))
    return folder


def torchrun(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [sys.executable, *command, str(script), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,  # a process that waits for another would wait for ever
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    result = torchrun(SCRIPT, str(folder))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("epoch 4/4") == 1  # one process speaks
    return folder


def state(folder: Path) -> dict:
    return load_checkpoint(folder / "checkpoint.pt")["state"]


def metric(folder: Path, name: str) -> list:
    return [json.loads(row)[name] for row in (folder / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_select_the_same_sets_as_one(one, two):
    # Each epoch's usage is counted from what the shards gathered: 150 samples an epoch, each once.
    for name in ("kept", "jaccard"):
        assert metric(two / "whole", name) == metric(one, name)
    assert np.array_equal(np.load(two / "whole" / "usage.npy"), np.load(one / "usage.npy"))
    assert torch.equal(state(two / "whole")["previous"], state(one)["previous"])


def test_two_processes_learn_what_one_does(one, two):
    mine, theirs = state(one), state(two / "whole")
    for name, parameter in mine["model"].items():
        torch.testing.assert_close(theirs["model"][name], parameter, rtol=1e-3, atol=1e-5)
    scores = mine["rule"]["scores"]
    torch.testing.assert_close(theirs["rule"]["scores"], scores, rtol=1e-3, atol=1e-4)
    norms = metric(one, "grad_norm_mean")
    assert metric(two / "whole", "grad_norm_mean") == pytest.approx(norms, rel=1e-3)
    accuracy = metric(one, "test_accuracy")
    assert metric(two / "whole", "test_accuracy") == pytest.approx(accuracy, abs=1e-2)


def test_two_processes_continue_an_interrupted_run_bit_for_bit(two):
    whole, halves = state(two / "whole"), state(two / "halves")
    for name, parameter in whole["model"].items():
        assert torch.equal(halves["model"][name], parameter)
    assert torch.equal(halves["rule"]["scores"], whole["rule"]["scores"])
    for mine, theirs in zip(whole["random"], halves["random"], strict=True):
        assert all(torch.equal(mine[stream], theirs[stream]) for stream in mine)
    assert metric(two / "halves", "loss") == metric(two / "whole", "loss")


def test_a_run_of_two_processes_is_not_continued_by_one(two, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(two / "whole", folder)
    with pytest.raises(ValueError, match="of 2 processes and there are 1 now"):
        list(run(CONFIG, folder, resume=True))


@pytest.mark.parametrize(
    ("way", "codes", "said"),
    [
        ("finished", set(), ""),
        ("suspended", set(), ""),
        ("closed", set(), ""),
        ("audit", set(), ""),
        ("exception", {1}, "RuntimeError: as asked"),
        ("interrupted", {1, -2}, "KeyboardInterrupt"),
        ("interrupted-command", {130}, ""),
        ("kept", {99}, ""),
    ],
)
def test_the_group_is_gone_before_the_interpreter_is(tmp_path, way, codes, said):
    """However a run is left, its group's threads have ended, so that none can abort the process.

    `kept` is the twin: what must not happen, done on purpose, is seen.
    """
    result = torchrun(SCRIPT.with_name("leaving.py"), str(tmp_path / "run"), way)
    # torchrun lists the exit codes of the processes that failed, and ends those still at work.
    found = {int(code) for code in re.findall(r"exitcode\s*: (-?\d+)", result.stderr)}
    # A script that Ctrl-C ends has either code, by whether an exit handler evaluates anything.
    assert found - {-15} <= codes, result.stderr
    assert bool(found - {-15}) == bool(codes), result.stderr
    assert bool(codes) == bool(result.returncode)
    assert said in result.stderr


@pytest.mark.parametrize("length", [1, 5, 8])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_shards_are_disjoint_and_cover(length, world, monkeypatch):
    monkeypatch.setattr(processes, "world_size", lambda: world)
    shards = []
    for rank in range(world):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        shards += processes.shard(torch.arange(length)).tolist()
    assert shards == list(range(length))


def test_batchnorms_statistics_are_those_of_process_0_when_it_scores_and_evaluates(tmp_path):
    result = torchrun(SCRIPT.with_name("buffers.py"), str(tmp_path))
    assert result.returncode == 0, result.stderr
    found = torch.load(tmp_path / "found.pt")
    assert found["shared"] == 3 * [[True, True]]
    assert found["not shared"] == 3 * [[True, False]]
