"""The index of proofs: whatever it names exists, and nothing is missing from it."""

import re
from pathlib import Path

from proofs.symbolic import CERTIFICATES

PROOFS = Path(__file__).parents[2] / "proofs"
INDEX = (PROOFS / "README.md").read_text(encoding="utf-8")
COLUMNS = ("statement", "used", "informal", "symbolic", "formal", "numerical")
THEOREM = re.compile(r"^Theorem\s+(\w+)", re.MULTILINE)


def rows() -> list[dict[str, str]]:
    lines = [line for line in INDEX.splitlines() if line.startswith("| ")][1:]
    cells = [map(str.strip, line.split("|")[1:-1]) for line in lines]
    return [dict(zip(COLUMNS, row, strict=True)) for row in cells]


def section(title: str) -> str:
    """What stands under a heading of the index, up to the next."""
    return INDEX.split(f"\n## {title}\n")[1].split("\n## ")[0]


def names(column: str) -> set[str]:
    return {name for row in rows() for name in re.findall(r"`([\w-]+)`", row[column])}


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", INDEX)
    assert len(links) > 30
    files = [link.partition("#")[0] for link in links]
    assert [file for file in files if not (PROOFS / file).resolve().exists()] == []


def test_certificates_named_are_the_certificates():
    assert names("symbolic") == set(CERTIFICATES)


def theorems(folder: str) -> set[str]:
    sources = (path.read_text(encoding="utf-8") for path in (PROOFS / folder).glob("*.v"))
    return {name for source in sources for name in THEOREM.findall(source)}


def test_formal_theorems_are_those_of_coq_and_shown_in_full():
    stated = theorems("coq")
    with_axioms = {n for r in rows() for n in re.findall(r"\[`(\w+)`\]\(flocq", r["formal"])}
    assert names("formal") - with_axioms == stated
    assert with_axioms <= theorems("flocq")
    shown = (PROOFS / "coq" / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(stated) if not re.search(rf"\b{name}\b", shown)] == []


def test_what_coq_does_not_prove_is_what_the_index_lacks():
    nothing, part = re.findall(r"((?:^- .*\n)+)", section("What Coq does not prove"), re.M)
    lacking = [row["statement"] for row in rows() if not row["formal"]]
    assert nothing == "".join(f"- {statement}\n" for statement in lacking)
    qualified = [row["formal"] for row in rows() if "(" in row["formal"]]
    assert part == "".join(
        re.sub(r"(.*) \((not .*)\)", r"- \1: \2\n", formal) for formal in qualified
    )


def test_numerical_tests_exist():
    for row in rows():
        cell = row["numerical"]
        for path in re.findall(r"\]\(([^)]+)\)", cell):
            source = (PROOFS / path).resolve().read_text(encoding="utf-8")
            for test in re.findall(r"`::(\w+)`", cell):
                assert f"def {test}(" in source, f"{path} has no {test}"


def test_every_informal_proof_is_indexed():
    written = {path.name for path in PROOFS.glob("*.md")} - {"README.md"}
    linked = {link for row in rows() for link in re.findall(r"\]\(([^)]+)\)", row["informal"])}
    assert linked == written


def test_every_statement_is_proved_and_used():
    for row in rows():
        assert row["used"], row
        assert any(row[way] for way in ("informal", "symbolic", "formal")), row
