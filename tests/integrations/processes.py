"""Two gloo processes for the tests of a framework."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from tests.integrations import framework_cases

ROOT = Path(__file__).parents[2]


def torchrun(framework: str, folder: Path) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [sys.executable, *launcher, framework_cases.__file__, framework, str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


def results(framework: str, folder: Path) -> list[dict]:
    """What the cases of a framework gave in each of two processes."""
    done = torchrun(framework, folder)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]
