"""Several processes share each training of a sweep, and one of them writes."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("shared_sweep.py")


def swept(folder: Path, *launcher: str) -> list[dict[str, str]]:
    done = subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Written:") == 1
    with (folder / "mini-smoke.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_two_processes_reproduce_what_one_does(tmp_path):
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    one, two = swept(tmp_path / "one"), swept(tmp_path / "two", *torchrun)
    for mine, theirs in zip(one, two, strict=True):
        assert mine["row"] == theirs["row"]
        # Sums in another order; a test image more or less of 297.
        tolerance = 0.4 if "accuracy" in mine["quantity"] else 1e-3
        assert float(theirs["mean"]) == pytest.approx(float(mine["mean"]), abs=tolerance)
