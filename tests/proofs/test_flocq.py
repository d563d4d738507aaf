"""The proofs about float64 compile, assume the real numbers alone, and are shown in full."""

import re
from pathlib import Path

import pytest

from tests.proofs.checking import PROOFS, copy_with, run_check, skip_without_libraries

FLOCQ = PROOFS / "flocq"
CHECK = (FLOCQ / "check.sh").read_text(encoding="utf-8")
SOURCES = [path.read_text(encoding="utf-8") for path in sorted(FLOCQ.glob("*.v"))]
README = (FLOCQ / "README.md").read_text(encoding="utf-8")
THEOREMS = re.findall(r"^Theorem (\w+)", "".join(SOURCES), re.M)
STUB = "Require Import Coq.Logic.ProofIrrelevance.\n" + "".join(
    f"Theorem {name} : True.\nProof. exact I. Qed.\n" for name in THEOREMS
)


def listed(name: str) -> list[str]:
    return re.findall(r"[\w.]+", re.findall(rf'{name}="(.*?)"', CHECK, re.S)[0])


def test_every_theorem_is_proved_over_the_real_numbers():
    result = run_check(FLOCQ)
    skip_without_libraries(result)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"float64 proofs: {len(THEOREMS)} theorems proved")
    assert f"with {len(listed('axioms'))} axioms" in result.stdout


@pytest.mark.parametrize(
    ("honest", "broken", "complaint"),
    [
        ("exact I. Qed.", "Admitted.", "assume something"),
        ("Theorem weight_error", "Lemma weight_error", "weight_error is missing"),
        (
            "True.\nProof. exact I.",
            "forall (P : Prop) (p q : P), p = q.\nProof. exact proof_irrelevance.",
            "rests on ProofIrrelevance.proof_irrelevance",
        ),
    ],
    ids=["admitted", "missing", "another-axiom"],
)
def test_check_fails(tmp_path: Path, honest: str, broken: str, complaint: str):
    assert honest in STUB
    result = run_check(copy_with(FLOCQ, tmp_path, "Weights.v", STUB.replace(honest, broken, 1)))
    skip_without_libraries(result)
    assert (result.returncode, complaint in result.stderr + result.stdout) == (1, True), result


def test_check_demands_every_theorem_and_compiles_every_file():
    assert sorted(listed("required")) == sorted(THEOREMS)
    assert sorted(listed("files")) == sorted(path.stem for path in FLOCQ.glob("*.v"))


def test_readme_shows_the_statements_and_the_axioms():
    shown = "\n\n".join(re.findall(r"```coq\n(.*?)```", README, re.S)).split("\n\n")
    shown = [statement.strip() for statement in shown]
    for statement in shown:
        follows = r"\n(?=Proof\.)" if statement.startswith("Theorem") else r"\n\n"
        assert any(re.search(re.escape(statement) + follows, text) for text in SOURCES), statement
    assert set(THEOREMS) == {s.split()[1] for s in shown if s.startswith("Theorem")}
    kinds = r"^(?:Definition|Fixpoint) (\w+)"
    assert set(re.findall(kinds, "".join(SOURCES), re.M)) == set(
        re.findall(kinds, "\n".join(shown), re.M)
    )
    assert re.findall(r"^- `([\w.]+)`$", README, re.M) == listed("axioms")


def test_lines_are_at_most_100_characters_long():
    lines = [line for source in SOURCES for line in source.splitlines()]
    assert [line for line in lines if len(line) > 100] == []
