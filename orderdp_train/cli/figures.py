"""``orderdp-train figures``: draw what run folders and audits hold."""

from pathlib import Path
from typing import Annotated

import typer


def figures(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, and folders of audits.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to; made if missing.")],
    format: Annotated[str, typer.Option(help="Comma-separated: png, svg, pdf.")] = "png",
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Draw this figure; repeatable.")
    ] = None,
) -> None:
    """Draw accuracy, gradient norms, time and usage of runs, and the bias that audits found.

    Runs that differ in their seed alone are averaged; comparable ones share a figure. The audit of
    a run belongs to it if it lies in the run folder as "audit".
    """
    from orderdp_theory.cli.figures import write_figures
    from orderdp_train.report.runs import run_figures

    drawings, left_out = run_figures(runs)
    write_figures(drawings, out, format, only)
    if not only:
        for name, reason in left_out.items():
            typer.echo(f"{name} left out: {reason}")
