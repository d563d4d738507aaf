"""Theorem pages: a written proof, and beside it all other ways to know what it proves.

The proofs write mathematics in plain text that any editor shows; here its indices are typeset.
"""

import re
from pathlib import Path

from docutils import nodes
from orderdp_theory.proofs.symbolic import CERTIFICATES
from sphinx.transforms import SphinxTransform

import orderdp_theory

PROOFS = Path(__file__).parents[1] / "proofs"
CODE = re.compile(r"\[((?:`\w+`(?:, )?)+)\]\(\.\./orderdp_theory/\w+\.py\)")
# What follows _ or ^ after a symbol: {…}, (…), or letters and digits. Braces only group.
INDEX = re.compile(r"(?<=[^\s_^])([_^])(\{[^{}]*\}|\([^()\s]*\)|[^\W_²³]+)")


def complete(app, docname: str, source: list[str]) -> None:
    """Link the functions of a proof to the reference, and add its rows of the index."""
    folder, _, name = docname.rpartition("/")
    if folder != "proofs" or name == "README":
        return
    source[0] = CODE.sub(_linked, source[0]) + _known(name)


def _linked(match: re.Match[str]) -> str:
    names = re.findall(r"`(\w+)`", match[1])
    if not all(name in orderdp_theory.__all__ for name in names):
        return match[0]
    return ", ".join(f"{{py:obj}}`~orderdp_theory.{name}`" for name in names)


def _known(name: str) -> str:
    """The statements that the page proves, each with its other proofs and its test."""
    index = (PROOFS / "README.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1:-1] for line in index.splitlines() if line.startswith("| ")]
    rows = [row for row in cells if f"({name}.md)" in row[2]]
    lines = ["\n## How it is known\n", "From the [index of proofs](README.md).\n"]
    lines += ["| statement | used in | symbolic | formal | numerical |", "|---|---|---|---|---|"]
    lines += [f"|{'|'.join([*row[:2], *row[3:]])}|" for row in rows]
    formal = dict.fromkeys(n for row in rows for n in re.findall(r"`(\w+)`", row[4]))
    symbolic = dict.fromkeys(n for row in rows for n in re.findall(r"`([\w-]+)`", row[3]))
    if formal:
        notation = "[formal proofs](coq/README.md), [proofs about float64](flocq/README.md)"
        lines.append(f"\n### Formal statement\n\nNotation: {notation}.\n")
        lines.append("```coq\n" + "\n\n".join(map(_theorem, formal)) + "\n```")
    if symbolic:
        lines.append("\n### Symbolic certificate\n")
        lines += [f"```text\n{CERTIFICATES[n]}\n```" for n in symbolic]
    return "\n".join(lines) + "\n"


def _theorem(name: str) -> str:
    """A theorem as Coq reads it, without its proof."""
    for folder in ("coq", "flocq"):
        text = (PROOFS / folder / "README.md").read_text(encoding="utf-8")
        found = re.search(rf"^Theorem {name}\b.*?(?=\n\n|\n```)", text, re.MULTILINE | re.DOTALL)
        if found is not None:
            return found[0]
    raise LookupError(f"no theorem {name} in the README.md of proofs/coq or proofs/flocq")


class Typeset(SphinxTransform):
    """Indices and exponents in the plain mathematics of a proof; indented lines are formulas."""

    default_priority = 400

    def apply(self) -> None:
        if not re.fullmatch(r"proofs/\w+", self.env.docname):
            return
        for block in list(self.document.findall(nodes.literal_block)):
            if block.get("language", "none") == "none":
                block.replace_self(nodes.paragraph("", block.astext(), classes=["formula"]))
        for text in list(self.document.findall(nodes.Text)):
            if not isinstance(text.parent, nodes.literal | nodes.literal_block | nodes.reference):
                text.parent.replace(text, _typeset(text.astext()))


def _typeset(text: str) -> list[nodes.Node]:
    """`x_{a}^b` as nodes; an index may have indices of its own."""
    found: list[nodes.Node] = []
    end = 0
    for match in INDEX.finditer(text):
        kind = nodes.subscript if match[1] == "_" else nodes.superscript
        inner = match[2][1:-1] if match[2].startswith("{") else match[2]
        found += [nodes.Text(text[end : match.start()]), kind("", "", *_typeset(inner))]
        end = match.end()
    return [*found, nodes.Text(text[end:])]
