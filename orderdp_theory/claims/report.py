"""Results of the claims as JSON, Markdown and one self-contained HTML page."""

import json
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, get_args

from jinja2 import Environment

from orderdp_theory.claims.finding import Verdict
from orderdp_theory.claims.registry import Result

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
MEANING: dict[Verdict, str] = {
    "verified": "holds as printed",
    "misprint": "a printed formula or number is wrong; what was meant is evident and holds",
    "conditional": "holds only under a condition that is not stated",
    "refuted": "fails",
    "inconsistent": "contradicts another place in the paper",
    "not checkable": "needs data that the paper does not give",
}
ERROR = "error"


def counts(results: Sequence[Result]) -> dict[str, int]:
    """How many claims have each verdict, errors last and only if there are any."""
    found = Counter(result.verdict or ERROR for result in results)
    return {name: found[name] for name in (*VERDICTS, ERROR) if name != ERROR or found[name]}


def to_json(results: Sequence[Result]) -> str:
    """A list of objects with id, where, statement, verdict, evidence and correction."""
    items = [result.to_json() for result in results]
    return json.dumps(items, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def to_markdown(results: Sequence[Result]) -> str:
    """Counts and a table, one claim a row."""
    lines = ["# The paper's claims, verdict by verdict", ""]
    lines += [f"- {name}: {count}" for name, count in counts(results).items()]
    lines += ["", _row("id", "where", "statement", "verdict", "evidence", "correction")]
    lines.append(_row(*["---"] * 6))
    for result in results:
        claim, finding = result.claim, result.finding
        lines.append(
            _row(
                f"`{claim.id}`",
                _cell(claim.where),
                _cell(claim.statement),
                f"**{result.verdict or ERROR}**",
                _cell(f"{finding.found} ({finding.method})" if finding else result.error or ""),
                _cell(result.correction or ""),
            )
        )
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    for character in "\\|*_`<":
        text = text.replace(character, f"\\{character}")
    return text


def to_html(results: Sequence[Result]) -> str:
    """One page without external requests: claims that open, a filter by verdict."""
    template = (files("orderdp_theory.claims") / "page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    items: list[dict[str, Any]] = []
    for result in results:
        item = result.to_json()
        evidence = item["evidence"] or {}
        texts = ("method", "claimed", "found", "contradicts", "missing")
        items.append(
            item
            | {
                "verdict": result.verdict or ERROR,
                "kind": (result.verdict or ERROR).replace(" ", "-"),
                "texts": {name: evidence[name] for name in texts if name in evidence},
                "numbers": {
                    name: f"{value:.10g}" for name, value in evidence.items() if name not in texts
                },
                "error": result.error,
            }
        )
    found = counts(results)
    return environment.from_string(template).render(
        claims=items,
        total=len(items),
        failing=sum(found[name] for name in ("misprint", "conditional", "refuted", "inconsistent")),
        verdicts=[
            {
                "name": name,
                "kind": name.replace(" ", "-"),
                "count": count,
                "meaning": MEANING.get(name, "the computation failed"),  # pyright: ignore[reportCallIssue, reportArgumentType]
            }
            for name, count in found.items()
        ],
    )
