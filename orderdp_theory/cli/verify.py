"""`orderdp-theory verify`: the paper's sentences, each decided by a computation."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.output import (
    STANDARD_OUTPUT,
    Json,
    Quiet,
    console,
    expect_output,
    status,
)

if TYPE_CHECKING:
    from rich.table import Table

    from orderdp_theory.claims import Claim, Result

EXAMPLES = (
    "orderdp-theory verify --only thm3-stale",
    "orderdp-theory verify --html claims.html --json claims.json",
)
QUOTED = 5  # up to so many claims are shown with the words they quote
COLOURS = {
    "verified": "green",
    "misprint": "yellow",
    "conditional": "blue",
    "not checkable": "dim",
    "inconsistent": "magenta",
    "refuted": "red",
    "error": "bold red",
}


def verify(
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Claims, as with --only.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="ID...", help="Decide these claims only.")
    ] = None,
    json: Json = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Write a Markdown table.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write one self-contained page.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Decide what the paper says, sentence by sentence, by computation.

    The verdict is that of the reading most favourable to the authors that the words allow; other
    readings follow with theirs.

    Exit status 0: every claim was decided; 1: a computation failed or an error bar was too wide.
    """
    from orderdp_theory.claims.report import MARKDOWN, headline, to_html, to_json, to_markdown
    from orderdp_theory.common.files import write_atomically

    claims = _chosen([*(only or []), *(more or [])])
    outputs = [(json, to_json), (markdown, to_markdown), (html, to_html)]
    expect_output(json, '"readings": [')
    expect_output(markdown, MARKDOWN)
    expect_output(html, "<title>OrderDP: the paper, sentence by sentence</title>")
    results = decided(claims, quiet)
    for path, text in outputs:
        if path == STANDARD_OUTPUT:
            typer.echo(text(results), nl=False)
        elif path is not None:
            write_atomically(path, text(results))

    screen = console(json, quiet)
    screen.print(_table(results, quoted=len(claims) <= QUOTED))
    for count in headline(results):
        screen.print(
            f"{'  ' * count.indent + count.name:<22} "
            + ", ".join(f"[{COLOURS[v]}]{n} {v}[/]" for v, n in count.verdicts.items() if n),
            highlight=False,
            soft_wrap=True,
        )
    for path, _ in outputs:
        if path is not None:
            screen.print(f"wrote {path}", highlight=False, soft_wrap=True, markup=False)
    if any(result.error for result in results):
        raise typer.Exit(1)


def _chosen(ids: Sequence[str]) -> "list[Claim]":
    """The named claims in the order of the paper, all of them if none is named."""
    from difflib import get_close_matches

    from orderdp_theory.claims import all_claims

    known = all_claims()
    for name in ids:
        if name not in known:
            near = get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(near)}?" if near else "run verify to see all ids"
            raise InputError(f"no claim is called {name}; {hint}")
    return [claim for name, claim in known.items() if not ids or name in ids]


def decided(claims: "Sequence[Claim]", quiet: bool) -> "list[Result]":
    """All results, with a progress bar where there is a terminal."""
    from rich.progress import Progress

    from orderdp_theory.claims import decide

    results = []
    with Progress(console=status(quiet), transient=True) as progress:
        bar = progress.add_task("", total=len(claims))
        for claim in claims:
            progress.update(bar, description=claim.id)
            results += decide([claim])
            progress.advance(bar)
    return results


def _table(results: "Iterable[Result]", quoted: bool) -> "Table":
    """Three columns that stay readable at 100: who, verdict, what; with the words if quoted."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.HORIZONTALS, show_lines=True, expand=False)
    table.add_column("claim and place", max_width=28, overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("reading decided and its evidence, other readings", overflow="fold")
    for result in results:
        verdict = result.verdict or "error"
        found = result.decided.found if result.decided else result.error or ""
        quotes = [f"“{quote.words}”\n" for quote in result.claim.quotes if quote.words and quoted]
        text = Text("".join(quotes), "dim") + Text(result.statement)
        text += Text(f"\n→ {found}", COLOURS[verdict])
        for other in result.others:
            text += Text(f"\n{other.verdict}", COLOURS[other.verdict])
            how = "excluded by the words" if other.words == "not in the words" else "other reading"
            text += Text(f" ({how}): {other.says}\n→ {other.found}", "dim")
        table.add_row(
            Text(result.claim.id, "bold") + Text(f"\n{result.claim.where}", "dim"),
            Text(verdict, COLOURS[verdict]),
            text,
        )
    return table
