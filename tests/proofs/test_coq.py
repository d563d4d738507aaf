"""The formal proofs compile, assume nothing, and are shown in full; the check notices when not."""

import re
import shutil
from pathlib import Path

import pytest

from tests.proofs.checking import PROOFS, copy_with, run_check, skip_without_libraries

COQ = PROOFS / "coq"
SOURCES = [path.read_text(encoding="utf-8") for path in sorted(COQ.glob("*.v"))]
README = (COQ / "README.md").read_text(encoding="utf-8")

needs_coq = pytest.mark.skipif(
    shutil.which("coqc") is None,
    reason="coqc is missing: apt-get install coq libcoq-mathcomp-ssreflect libcoq-mathcomp-algebra",
)

# Stands for the sources where only the check itself is tested: the names of the theorems it
# demands, with proofs that take no time.
REQUIRED = re.findall(
    r"\w+", re.findall(r'required="(.*?)"', (COQ / "check.sh").read_text(), re.S)[0]
)
STUB = "\n".join(f"Theorem {name} : True.\nProof. exact I. Qed." for name in REQUIRED)


THEOREMS = re.findall(r"^Theorem (\w+)", "".join(SOURCES), re.M)


@needs_coq
def test_every_theorem_is_proved_and_assumes_nothing():
    before = sorted(path.name for path in COQ.iterdir())
    result = run_check(COQ)
    skip_without_libraries(result)
    assert result.returncode == 0, result.stderr
    assert f"{len(THEOREMS)} theorems proved" in result.stdout.splitlines()[-1]
    assert sorted(path.name for path in COQ.iterdir()) == before


@needs_coq
@pytest.mark.parametrize(
    ("honest", "broken", "complaint"),
    [
        ("exact I. Qed.", "Admitted.", "assume something"),
        ("Theorem unbiased ", "Axiom unbiased ", "assume something"),
        ("Theorem unbiased ", "Lemma unbiased ", "theorem unbiased is missing"),
        (
            "Theorem unbiased : True.\nProof. exact I.",
            "Theorem unbiased : False.\nProof.",
            "compile",
        ),
        # An axiom that enters through a library, without any of the forbidden words.
        (
            "Theorem unbiased : True.\nProof. exact I.",
            "Require Import Coq.Logic.Classical.\n"
            "Theorem unbiased (A : Prop) : A \\/ ~ A.\nProof. apply classic.",
            "rests on the assumptions",
        ),
    ],
    ids=["admitted", "axiom", "missing", "wrong-proof", "axiom-of-a-library"],
)
def test_check_fails(tmp_path: Path, honest: str, broken: str, complaint: str):
    assert honest in STUB
    result = run_check(copy_with(COQ, tmp_path, "OrderDP.v", STUB.replace(honest, broken, 1)))
    skip_without_libraries(result)
    assert (result.returncode, complaint in result.stderr) == (1, True), result


@needs_coq
def test_check_of_the_unbroken_stub_succeeds(tmp_path: Path):
    result = run_check(copy_with(COQ, tmp_path, "OrderDP.v", STUB))
    skip_without_libraries(result)
    assert result.returncode == 0, result.stderr


def test_check_says_which_packages_are_missing(tmp_path: Path):
    dirname = shutil.which("dirname")
    assert dirname is not None
    (tmp_path / "dirname").symlink_to(dirname)
    result = run_check(COQ, PATH=str(tmp_path))
    assert result.returncode == 3
    assert len(result.stderr.splitlines()) == 1
    assert "coqc is missing" in result.stderr
    assert "libcoq-mathcomp-algebra" in result.stderr


def test_readme_shows_every_definition_and_theorem_as_proved():
    shown = "\n\n".join(re.findall(r"```coq\n(.*?)```", README, re.S)).split("\n\n")
    shown = [statement.strip() for statement in shown]
    for statement in shown:
        follows = r"\n(?=Proof\.)" if statement.startswith("Theorem") else r"\n\n"
        assert any(re.search(re.escape(statement) + follows, text) for text in SOURCES), statement
    assert set(THEOREMS) == {s.split()[1] for s in shown if s.startswith("Theorem")}
    # Every definition that a shown statement mentions is shown.
    defined = set(re.findall(r"^Definition (\w+)", "".join(SOURCES), re.M))
    mentioned = {name for name in defined if any(re.search(rf"\b{name}\b", s) for s in shown)}
    assert mentioned == {s.split()[1] for s in shown if s.startswith("Definition")}


def test_check_demands_every_theorem():
    assert sorted(REQUIRED) == sorted(THEOREMS)


def test_readme_says_of_every_theorem_what_it_is_of_the_papers_and_which_function_computes_it():
    table = README.split("\n## Theorem by theorem: the paper and the code\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", table, re.M)
    assert sorted(name for name, _, _ in rows) == sorted(THEOREMS)
    for name, _, code in rows:
        functions = re.findall(r"\[`(\w+)`\]\(([\w./]+)\)", code)
        assert functions or code.startswith("none: "), name
        for function, path in functions:
            source = (COQ / path).read_text(encoding="utf-8")
            assert re.search(rf"^(def|class) {function}\b", source, re.M), (name, function)


def test_lines_are_at_most_100_characters_long():
    lines = [line for source in SOURCES for line in source.splitlines()]
    assert [line for line in lines if len(line) > 100] == []
