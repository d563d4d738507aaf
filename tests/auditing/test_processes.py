"""A run of two processes is audited by one and by two, and the numbers are the same."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from orderdp_theory import Design
from orderdp_train.rules import OrderDP
from orderdp_train.training.recipe import Recipe
from orderdp_train.training.state import TrainState, next_draws, shared_by
from tests.auditing.test_walk import flat

ROOT = Path(__file__).parents[2]


def command(processes: int, *arguments: str) -> str:
    """What ``orderdp-train`` printed, in one process or under torchrun."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    # After "--" torchrun does not take the command's options, --run among them, for its own.
    launcher = [*torchrun, "-m", "--"] if processes > 1 else ["-m"]
    result = subprocess.run(
        [sys.executable, *launcher, "orderdp_train", *arguments, "--device=cpu"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_run_of_two_processes_is_audited_by_one_and_by_two(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command(2, "run", f"--out={run}", "--rule=orderdp", "--epochs=2", "--batch-size=50")
    found = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        text = command(processes, "audit", f"--run={run}", f"--out={out}", "--draws=60")
        assert text.count("report.html") == 1  # one process speaks
        assert not list(tmp_path.glob(".*"))
        points = json.loads((out / "audit.json").read_text(encoding="utf-8"))["points"]
        found.append({i: _numbers(point) for i, point in enumerate(points)})
    one, two = found
    assert len(one) == 2
    assert any(".epoch.parts.reuse" in name for name in one[0])  # the next epoch was followed
    for i, numbers in one.items():
        assert two[i] == pytest.approx(numbers, rel=1e-4, abs=1e-6)


def _numbers(point: dict[str, Any]) -> dict[str, float]:
    """Without rounding errors, and without what each process has read."""
    named = flat(point).items()
    return {k: v for k, v in named if "residual" not in k and not k.endswith("passes")}


def _state() -> TrainState:
    torch.manual_seed(0)
    rule = OrderDP(Design(8, 4, 2))
    return TrainState(nn.Linear(2, 2), rule, Recipe(epochs=2, batch_size=2), seed=0)


def test_a_state_is_looked_at_by_any_number_of_processes() -> None:
    stored = _state().state_dict()
    many = shared_by(stored, 3)
    assert len(many["random"]) == 3
    assert many["random"][0] is stored["random"][0]
    for stream in ("pixels", "global"):
        for a, b in pairwise(many["random"]):
            assert not torch.equal(a[stream], b[stream])
    one = shared_by(many, 1)
    assert one["random"] == stored["random"]
    assert torch.equal(next_draws(many).get_state(), next_draws(stored).get_state())
    _state().load_state_dict(one)
    assert len(stored["random"]) == 1  # what was given is left alone


def test_a_state_of_a_cpu_is_loaded_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no stream for a GPU; there is none here either, so the calls are looked at."""
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed", seeds.append)
    stored = _state().state_dict()
    for _ in range(2):
        state = _state()
        state.device = torch.device("cuda")
        state.load_state_dict(stored)
    assert len(seeds) == 2
    assert seeds[0] == seeds[1]


def test_a_state_of_a_gpu_is_loaded_on_a_cpu() -> None:
    stored = _state().state_dict()
    stored["random"][0]["cuda"] = torch.zeros(16, dtype=torch.uint8)
    _state().load_state_dict(stored)
