"""`orderdp-theory figures`: draw the figures of the theory into a folder."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.output import Json, Quiet, console, expect_output, status, write_json

if TYPE_CHECKING:
    from orderdp_theory.figures import Drawing


EXAMPLES = (
    "orderdp-theory figures --out figures",
    "orderdp-theory figures --out figures --only step-regime --format svg,pdf",
)

# The options of every command that draws figures.
Out = Annotated[Path, typer.Option(help="Folder to write to; made if missing.")]
Format = Annotated[str, typer.Option(help="Comma-separated: png, svg, pdf.")]
Only = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Draw this figure; repeatable.")
]


def figures(
    out: Out,
    format: Format = "png",
    only: Only = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Draw the paper's figures of the theory, corrected, and those it should have had."""
    from orderdp_theory.figures import FIGURES

    write_figures(FIGURES, out, format, only, json, quiet)


def write_figures(
    figures: "Mapping[str, Drawing]",
    out: Path,
    format: str,
    only: list[str] | None,
    json: Path | None = None,
    quiet: bool = False,
) -> None:
    """Draw these figures, or those of them in `only`, into `out` and print their captions.

    Raises `ValueError`, before anything is written, for a name or format that does not exist.
    """
    from rich.progress import track

    from orderdp_theory.common.files import expect_ours, write_atomically
    from orderdp_theory.common.style import FORMATS, WRITER, render

    formats = [name.strip().lower() for name in format.split(",")]
    _refuse(set(formats) - set(FORMATS), "format", FORMATS)
    names = list(dict.fromkeys(only or figures))
    _refuse(set(names) - set(figures), "figure", figures)
    for name in names:
        for suffix in formats:
            expect_ours(out / f"{name}.{suffix}", WRITER)
    expect_output(json, '"files": [\n      "')
    out.mkdir(parents=True, exist_ok=True)
    for name in track(names, "drawing", console=status(quiet), transient=True):
        drawn = figures[name].draw()
        for suffix in formats:
            write_atomically(out / f"{name}.{suffix}", render(drawn, suffix))
    written = {name: [out / f"{name}.{suffix}" for suffix in formats] for name in names}
    captions = {name: figures[name].caption for name in names}
    write_json(json, {n: {"files": written[n], "caption": captions[n]} for n in names})
    screen = console(json, quiet)
    for name in names:
        files = ", ".join(path.name for path in written[name])
        screen.print(f"[bold]{files}[/]  {captions[name]}", highlight=False)


def _refuse(unknown: set[str], what: str, known: Iterable[str]) -> None:
    if unknown:
        choices = ", ".join(known)
        raise InputError(f"no {what} is called {', '.join(sorted(unknown))}; choose from {choices}")
