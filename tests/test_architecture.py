"""Dependencies run one way, and the promised names are there."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import orderdp_theory

ROOT = Path(__file__).parents[1]
PROMISED = {
    "Design",
    "inclusion_probabilities",
    "inclusion_probabilities_exact",
    "inclusion_probabilities_ball",
    "joint_inclusion_probabilities",
    "limit_gamma",
    "surrogate_weights",
    "surrogate_loss",
    "estimator_mean",
    "estimator_covariance_trace",
    "draw_ranks",
}
# What nothing in a folder may import.
FORBIDDEN = {
    "orderdp_theory": ("torch", "torchvision", "timm", "orderdp_train"),
    "proofs": ("torch", "orderdp_train"),
    "orderdp_train/rules": ("torchvision", "timm"),
}
# The rooms of the training side, and the rooms that each may enter besides itself.
ARROWS = {
    "devices": set(),
    "rules": {"devices"},
    "scores": {"rules"},
    "data": {"devices"},
    "models": {"data"},
    "training": {"rules", "data", "devices"},
    "integrations": {"rules", "training"},
    "runs": {"rules", "scores", "data", "models", "training"},
    "auditing": {"rules", "data", "models", "training", "runs"},
    "report": {"rules", "runs", "auditing"},
    "reproduce": {"rules", "data", "models", "training", "runs", "auditing"},
    "cli": {"rules", "data", "models", "training", "runs", "auditing", "report", "reproduce"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize(("folder", "forbidden"), FORBIDDEN.items())
def test_dependencies_run_one_way(folder, forbidden):
    offenders = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / folder).rglob("*.py")
        for name in imported(path)
        for banned in forbidden
        if name == banned or name.startswith(banned + ".")
    }
    assert not offenders


def rooms() -> dict[str, list[Path]]:
    """The files of each room; a module at the top of the package is a room of its own."""
    found: dict[str, list[Path]] = {}
    for path in (ROOT / "orderdp_train").rglob("*.py"):
        parts = path.relative_to(ROOT / "orderdp_train").with_suffix("").parts
        if not parts[0].startswith("__"):
            found.setdefault(parts[0], []).append(path)
    return found


def forbidden_arrows(room: str, names: set[str]) -> set[str]:
    entered = {n.split(".")[1] for n in names if n.startswith("orderdp_train.")}
    return entered - ARROWS[room] - {room}


@pytest.mark.parametrize("room", ARROWS)
def test_rooms_are_entered_along_the_arrows(room):
    assert set(rooms()) == set(ARROWS)
    offenders = {
        str(path.relative_to(ROOT)): found
        for path in rooms()[room]
        if (found := forbidden_arrows(room, imported(path)))
    }
    assert not offenders


def test_a_forbidden_arrow_is_seen():
    assert forbidden_arrows("rules", {"orderdp_train.models", "torch"}) == {"models"}
    assert forbidden_arrows("auditing", {"orderdp_train.report.page"}) == {"report"}
    assert not forbidden_arrows("runs", {"orderdp_train.rules.base"})


def test_arrows_make_no_circle():
    done: set[str] = set()
    while waiting := {room for room in ARROWS if room not in done}:
        ready = {room for room in waiting if ARROWS[room] <= done}
        assert ready, f"a circle among {waiting}"
        done |= ready


def test_the_formula_exists_once():
    """Binomials and hypergeometric laws, the ways to write γ again, stay out of the trainer."""
    offenders = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "orderdp_train").rglob("*.py")
        if imported(path) & {"scipy.special", "flint", "mpmath"}
        or any(word in path.read_text() for word in ("hypergeom", "math.comb", "lgamma", "betainc"))
    }
    assert not offenders


def test_the_theory_runs_without_torch():
    code = "import sys; sys.modules['torch'] = None; import orderdp_theory, orderdp_theory.cli"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_public_names_are_flat_and_complete():
    assert set(orderdp_theory.__all__) >= PROMISED
    assert sorted(orderdp_theory.__all__) == orderdp_theory.__all__
    for name in orderdp_theory.__all__:
        assert getattr(orderdp_theory, name).__doc__, f"{name} has no docstring"


PACKAGES = [
    "orderdp_theory",
    *(f"orderdp_theory.{name}" for name in ("claims", "figures")),
    "orderdp_train",
    *(f"orderdp_train.{room}" for room in ARROWS if room != "devices"),
]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_function_hides_a_module(package):
    """`import package.name` and `package.name` are the same thing for every module."""
    whole = importlib.import_module(package)
    hidden = [
        name
        for _, name, _ in pkgutil.iter_modules(whole.__path__)
        if name != "__main__"
        and importlib.import_module(f"{package}.{name}") is not getattr(whole, name)
    ]
    assert hidden == []


def test_everything_installed_is_in_a_package_of_this_project():
    """The packages that pyproject.toml lists are those that there are."""
    text = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    there = {
        str(path.parent.relative_to(ROOT)).replace("/", ".")
        for top in ("orderdp_theory", "orderdp_train", "proofs")
        for path in (ROOT / top).rglob("__init__.py")
    }
    inside = {
        f"orderdp_theory.{name}" if name.split(".")[0] == "proofs" else name for name in there
    }
    assert set(text["packages"]) == inside
    assert {name.split(".")[0] for name in inside} == {"orderdp_theory", "orderdp_train"}


@pytest.mark.parametrize("line", ["orderdp_theory prove", "orderdp_theory verify", "orderdp_train"])
def test_commands_work_without_docstrings_and_asserts(line, tmp_path):
    command = [sys.executable, "-OO", "-m", *line.split()]
    if line == "orderdp_train":
        command += ["run", "--out", str(tmp_path / "run"), "--epochs", "1", "--device", "cpu"]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)


# Single backticks, as in Markdown; sections as Google names them; no roles, only Sphinx reads them.
OTHER_DIALECT = re.compile(r"``|:[a-z:]+:`|^ *:(param|returns?|raises|rtype)\b", re.MULTILINE)
ONE_DIALECT = ["orderdp_theory", "orderdp_train", "proofs"]


def docstrings(path: Path) -> list[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, documented))
    return [doc for node in nodes if (doc := ast.get_docstring(node))]


@pytest.mark.parametrize("folder", ONE_DIALECT)
def test_docstrings_speak_one_dialect(folder):
    offenders = {
        f"{path.relative_to(ROOT)}: {doc.splitlines()[0]}"
        for path in (ROOT / folder).rglob("*.py")
        for doc in docstrings(path)
        if OTHER_DIALECT.search(doc)
    }
    assert not offenders


@pytest.mark.parametrize("text", ["``x``", "see :class:`~a.B`", "Sum.\n\n    :param x: a number"])
def test_another_dialect_is_noticed(text):
    assert OTHER_DIALECT.search(text)
    assert not OTHER_DIALECT.search("`x`: see `B`.\n\nArgs:\n    x: a number")
