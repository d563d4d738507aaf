"""``orderdp-theory figures``: draw the figures of the theory into a folder."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer


def figures(
    out: Annotated[Path, typer.Option(help="Folder to write to; made if missing.")],
    format: Annotated[str, typer.Option(help="Comma-separated: png, svg, pdf.")] = "png",
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Draw this figure; repeatable.")
    ] = None,
) -> None:
    """Draw the paper's figures of the theory, corrected, and those it should have had."""
    from rich.console import Console
    from rich.progress import track

    from orderdp_theory.figures import FIGURES
    from orderdp_theory.figures.style import FORMATS, render
    from orderdp_theory.files import write_atomically

    formats = [name.strip().lower() for name in format.split(",")]
    _refuse(set(formats) - set(FORMATS), "format", FORMATS)
    names = list(dict.fromkeys(only or FIGURES))
    _refuse(set(names) - set(FIGURES), "figure", FIGURES)
    out.mkdir(parents=True, exist_ok=True)
    console = Console()
    for name in track(names, "drawing", console=console, transient=True):
        drawn = FIGURES[name].draw()
        for suffix in formats:
            write_atomically(out / f"{name}.{suffix}", render(drawn, suffix))
    for name in names:
        paths = ", ".join(f"{name}.{suffix}" for suffix in formats)
        console.print(f"[bold]{paths}[/]  {FIGURES[name].caption}", highlight=False)


def _refuse(unknown: set[str], what: str, known: Iterable[str]) -> None:
    if unknown:
        choices = ", ".join(known)
        raise ValueError(f"no {what} is called {', '.join(sorted(unknown))}; choose from {choices}")
