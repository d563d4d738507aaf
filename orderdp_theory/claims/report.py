"""Results of the claims as JSON, Markdown and one self-contained HTML page."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment

from orderdp_theory.claims.reading import VERDICTS, Verdict
from orderdp_theory.claims.registry import PARTS, About, Result

MEANING: dict[str, str] = {
    "verified": "holds in a reading that the words allow",
    "misprint": "a formula, number or word is wrong; what was meant is evident and holds",
    "conditional": "holds only under a condition that is not stated",
    "not checkable": "needs what the paper does not give",
    "inconsistent": "contradicts another place in the paper",
    "refuted": "fails in every reading that the words allow",
    "error": "the computation failed",
}
TITLES: dict[About, str] = {
    "paper": "About the paper",
    "release": "About the released code",
    "toolkit": "Questions of this toolkit",
}
ERROR = "error"
MARKDOWN = "# The paper's claims, sentence by sentence"  # the first line


@dataclass(frozen=True)
class Count:
    """How many claims of a group have each verdict, by name; verdicts that do not occur are 0."""

    name: str
    indent: bool
    verdicts: dict[str, int]

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self.verdicts.items() if count)


def counts(results: Sequence[Result]) -> dict[str, int]:
    """How many claims have each verdict, errors last and only if there are any."""
    found = Counter(result.verdict or ERROR for result in results)
    return {name: found[name] for name in (*VERDICTS, ERROR) if name != ERROR or found[name]}


def headline(results: Sequence[Result]) -> Iterator[Count]:
    """The claims about the paper, its four parts, the release's and the toolkit's; none empty.

    Example:
        >>> results = list(decide([all_claims()["thm1-unbiased-stale"]]))
        >>> [(count.name, str(count)) for count in headline(results)]
        [('paper', '1 refuted'), ('theory', '1 refuted')]
    """
    for about in TITLES:
        group = [result for result in results if result.claim.about == about]
        if group:
            yield Count(about, False, counts(group))
        for part in PARTS if about == "paper" else ():
            members = [result for result in group if result.claim.part == part]
            if members:
                yield Count(part, True, counts(members))


def to_json(results: Sequence[Result]) -> str:
    """One flat list; `about` says of what each claim is, `part` splits those about the paper."""
    items = [result.to_json() for result in results]
    return json.dumps(items, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def to_markdown(results: Sequence[Result]) -> str:
    """The headline, and a table for the paper, the release and the toolkit each."""
    lines = [MARKDOWN, ""]
    lines += [f"{'  ' * c.indent}- {c.name}: {c}" for c in headline(results)]
    for about, title in TITLES.items():
        group = [result for result in results if result.claim.about == about]
        if group:
            lines += ["", f"## {title}", ""]
            lines.append(
                _row("id", "place and words", "reading decided", "verdict", "evidence",
                     "other readings", "correction")
            )  # fmt: skip
            lines.append(_row(*["---"] * 7))
            lines += map(_result_row, group)
    return "\n".join(lines) + "\n"


def _result_row(result: Result) -> str:
    reading = result.decided
    quotes = (f"{q.place}: “{q.words}”" if q.words else q.place for q in result.claim.quotes)
    others = (f"{r.verdict}: {r.says} → {r.found}" for r in result.others)
    return _row(
        f"`{result.claim.id}`",
        "<br>".join(map(_cell, quotes)),
        _cell(result.statement),
        f"**{result.verdict or ERROR}**",
        _cell(f"{reading.found} ({reading.method})" if reading else result.error or ""),
        "<br>".join(map(_cell, others)),
        _cell(result.correction or ""),
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    for character in "\\|*_`<$":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def to_html(results: Sequence[Result]) -> str:
    """One page without external requests: three lists, claims that open, a filter by verdict."""
    template = (files("orderdp_theory.claims") / "page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    items = [_item(result) for result in results]
    return environment.from_string(template).render(
        groups=[
            {"title": title, "claims": [item for item in items if item["about"] == about]}
            for about, title in TITLES.items()
            if any(item["about"] == about for item in items)
        ],
        total=len(items),
        names=VERDICTS,
        headline=list(headline(results)),
        verdicts=[
            {"name": name, "kind": _kind(name), "count": count, "meaning": MEANING[name]}
            for name, count in counts(results).items()
        ],
    )


def _item(result: Result) -> dict[str, Any]:
    item = result.to_json()
    verdict = result.verdict or ERROR
    texts = ("method", "found", "contradicts", "missing")

    def shown(evidence: dict[str, Any] | None) -> dict[str, Any]:
        given = evidence or {}
        numbers = {k: f"{v:.10g}" for k, v in given.items() if k not in texts}
        return {"texts": {k: given[k] for k in texts if k in given}, "numbers": numbers}

    readings = [
        reading | {"kind": _kind(reading["verdict"])} | shown(reading["evidence"])
        for reading in item["readings"]
    ]
    changed = {"verdict": verdict, "kind": _kind(verdict), "readings": readings}
    return item | changed | shown(item["evidence"]) | {"error": result.error}


def _kind(verdict: Verdict | str) -> str:
    return verdict.replace(" ", "-")
