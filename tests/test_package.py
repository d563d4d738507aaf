"""Wheel and sdist hold what they should, and nothing else lands at the top of site-packages."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"orderdp_theory", "orderdp_train"}
# In the source distribution besides the packages.
SCRIPTS = "orderdp_command.py"
SOURCE = {"pyproject.toml", "README.md", "LICENSE", "proofs", SCRIPTS, *OURS}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """Both distributions, made from what git tracks: a user's clone has nothing more."""
    clone, out = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("dist")
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    for name in filter(None, tracked.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and name.split("/")[0] in SOURCE:
            target = clone / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(clone)]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return {path.suffix: path for path in out.iterdir()}


INSTALLED = {".py", ".typed", ".csv", ".html", ".css", ".js"}


def installed_files(folder: str) -> set[str]:
    files = (path for path in (ROOT / folder).rglob("*") if path.suffix in INSTALLED)
    return {str(path.relative_to(ROOT / folder)) for path in files}


def test_the_wheel_holds_our_packages_and_nothing_else(built):
    with zipfile.ZipFile(built[".whl"]) as wheel:
        names = set(wheel.namelist())
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {SCRIPTS, *OURS}
    for package in OURS:
        expected = {f"{package}/{name}" for name in installed_files(package)}
        if package == "orderdp_theory":
            expected |= {f"{package}/proofs/{name}" for name in installed_files("proofs")}
        assert {name for name in names if name.startswith(f"{package}/")} == expected
        assert f"{package}/py.typed" in expected


def test_the_source_holds_what_builds_it(built):
    with tarfile.open(built[".gz"]) as source:
        names = {name.split("/", 1)[1] for name in source.getnames() if "/" in name}
    tops = {name.split("/")[0] for name in names}
    generated = {"PKG-INFO", "setup.cfg", "orderdp.egg-info"}
    assert tops - generated == SOURCE


def test_the_index_would_take_both(built):
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.values())]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
