"""The examples run as a user runs them, with the real libraries, and are short."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NEEDS = {
    "accelerate_example": ["accelerate"],
    "lightning_example": ["lightning"],
    "transformers_lm": ["accelerate", "transformers"],
    "transformers_lora": ["accelerate", "transformers", "peft"],
}


def run(name: str, *launcher: str) -> str:
    for module in NEEDS.get(name, []):
        if find_spec(module) is None:
            pytest.skip(f"{name}.py needs {module}: pip install 'orderdp[{module}]'")
    result = subprocess.run(
        [sys.executable, *launcher, str(EXAMPLES / f"{name}.py")],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def numbers(pattern: str, text: str) -> list[float]:
    return [float(found) for found in re.findall(pattern, text)]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60


def test_plain():
    printed = run("plain")
    kept = numbers(r"trained (\d+) of 1500", printed)
    assert kept[0] == 1500  # before the first losses InfoBatch has nothing to prune
    assert max(kept[2:]) < 1200
    assert numbers(r"accuracy ([\d.]+)%", printed)[0] > 80


def test_ddp():
    printed = run("ddp", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    assert "2 processes trained 450 samples" in printed
    assert "each sample once: True" in printed


def test_own_rule():
    printed = run("own_rule")
    assert "code and statement agree" in printed
    assert 0 < numbers(r"bias ([\d.]+)", printed)[0] < 2


@pytest.mark.parametrize("processes", [1, 2])
def test_accelerate(processes):
    launcher = ["-m", "accelerate.commands.launch", "--cpu", f"--num_processes={processes}"]
    several = ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
    printed = run("accelerate_example", *launcher, *several, "--main_process_port=0")
    losses = numbers(r"450 samples trained, mean loss ([\d.]+)", printed)
    assert len(losses) == 5  # one process speaks
    assert losses[-1] < losses[0]


def test_lightning():
    printed = run("lightning_example")
    assert "75 steps; last pass: 450 samples" in printed  # 29 batches are 15 steps of two


def test_transformers():
    printed = run("transformers_lm")
    assert "steps: 39" in printed  # 400 sequences are 25 batches are 13 steps of two
    assert numbers(r"other topics: ([\d.]+)", printed)[0] < 4.5  # log 256 = 5.5


def test_lora():
    printed = run("transformers_lora")
    assert len(numbers(r"audit: cosine ([\d.]+)", printed)) == 2
