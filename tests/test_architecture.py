"""Dependencies run one way, and the promised names are there."""

import ast
import importlib
import pkgutil
import subprocess
import sys
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
# A folder, and the top-level or dotted names that nothing in it may import.
FORBIDDEN = [
    ("orderdp_theory", ("torch", "torchvision", "timm", "orderdp_train")),
    ("proofs", ("torch", "orderdp_train")),
    (
        "orderdp_train/rules",
        (
            "torchvision",
            "timm",
            "orderdp_train.models",
            "orderdp_train.data",
            "orderdp_train.training.loop",
        ),
    ),
]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize(("folder", "forbidden"), FORBIDDEN)
def test_dependencies_run_one_way(folder, forbidden):
    offenders = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / folder).rglob("*.py")
        for name in imported(path)
        for banned in forbidden
        if name == banned or name.startswith(banned + ".")
    }
    assert not offenders


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


def test_no_function_hides_a_module():
    """`import package.name` and `package.name` are the same thing for every module."""
    modules = [
        f"orderdp_theory.{m.name}"
        for m in pkgutil.iter_modules(orderdp_theory.__path__)
        if m.name != "__main__"
    ]
    hidden = [
        name
        for name in modules
        if importlib.import_module(name) is not getattr(orderdp_theory, name.split(".")[1])
    ]
    assert "orderdp_theory.design" in modules
    assert hidden == []
