"""Runs the check of a folder of formal proofs, on it or on a copy with other sources."""

import shutil
import subprocess
from pathlib import Path

import pytest

PROOFS = Path(__file__).parents[2] / "proofs"


def run_check(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(folder / "check.sh")],
        capture_output=True,
        text=True,
        env=environment or None,
        timeout=600,
    )


def skip_without_libraries(result: subprocess.CompletedProcess[str]) -> None:
    if result.returncode == 3:
        pytest.skip(result.stderr.strip())


def copy_with(folder: Path, place: Path, source: str, text: str) -> Path:
    """Of a folder, its sources empty but for one."""
    copy = place / folder.name
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.vo*", "*.glob", ".*.aux"))
    shutil.copy(PROOFS / "checking.sh", place)
    for path in copy.glob("*.v"):
        path.write_text(text if path.name == source else "")
    return copy
