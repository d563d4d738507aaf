"""The benchmarks start, measure something, and say no to names that they do not know."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from unittest import mock

import pytest
import torch

from orderdp_train.data import synthetic
from orderdp_train.models import build_model
from tests.training.pretend import PretendedGPU

ROOT = Path(__file__).parents[1]
NAMES = sorted(p.stem.removeprefix("bench_") for p in (ROOT / "benchmarks").glob("bench_*.py"))


def benchmarks(*names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *names],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_can_be_started(name: str) -> None:
    module = import_module(f"benchmarks.bench_{name}")
    assert callable(module.main)


def test_a_table_of_ratios() -> None:
    result = benchmarks("draw")
    assert result.returncode == 0, result.stderr
    rows = re.findall(r"^\| time of a draw.*\| ([\d.e+]+) \| ≥ 5 \|$", result.stdout, re.MULTILINE)
    assert len(rows) == 3
    assert all(float(row) > 0 for row in rows)


@pytest.mark.slow
def test_what_a_gpu_would_run_runs_on_a_pretended_one(monkeypatch) -> None:
    """Every row, of small networks and few images; its numbers mean nothing."""
    module, gpu, make = import_module("benchmarks.bench_gpu"), PretendedGPU(), synthetic.make
    monkeypatch.setattr(module, "IMAGENET", 20_000)
    monkeypatch.setattr(module, "ROUNDS", 1)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 2**30)
    few = {"num_classes": 10, "image_size": 16}
    monkeypatch.setattr(synthetic, "make", lambda *_, **__: make(20, 8, torch.Generator(), **few))
    small = {"in_channels": 3, "num_classes": 10, "image_size": 16}
    monkeypatch.setattr(module, "built", lambda *_: gpu.move(build_model("cnn", **small)))
    with gpu, mock.patch("torch.cuda.synchronize"):
        rows = [ratio.row() for ratio in module.ratios()]
    assert len(rows) == 2 * 4 + 4 + 2


def test_the_table_of_the_photographs(monkeypatch, capsys, tmp_path) -> None:
    """Of points that no training made: a row a rule, as many cells in each as in the head."""
    module = import_module("benchmarks.photographs")

    def points(rule: str, seed: int, folder: Path) -> list[dict[str, float]]:
        numbers = dict.fromkeys(module.COLUMNS, 0.25)
        return [numbers | {"rule": rule, "seed": seed, "accuracy": 60 + seed + (rule == "ucb")}]

    monkeypatch.setattr(module, "points", points)
    figure = tmp_path / "figure.png"
    monkeypatch.setattr(sys, "argv", ["photographs", "runs", "--seeds=3", f"--png={figure}"])
    module.main()
    assert figure.read_bytes().startswith(b"\x89PNG")
    head, rule, *rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines()]
    assert {len(row) for row in (rule, *rows)} == {len(head)}
    cells = {row[0].strip(): [cell.strip() for cell in row] for row in rows}
    assert list(cells) == list(module.RULES)
    assert cells["ucb"][1:3] == ["62.0 ± 1.0", "+1.0 ± 0.0"]
    assert dict(zip((name.strip() for name in head), cells["ucb"], strict=True))["angle"] == "0.25"


def test_an_unknown_name() -> None:
    result = benchmarks("draw", "nothing")
    assert result.returncode != 0
    assert "error: no benchmark nothing; there are audit," in result.stderr
    assert result.stdout == ""


def test_the_kept_results_are_of_every_benchmark() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == set(NAMES)
