"""``orderdp-train figures``: draw what run folders and audits hold."""

from pathlib import Path
from typing import Annotated

import typer

from orderdp_theory.cli.figures import Format, Only, Out, write_figures


def figures(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, and folders of audits.")
    ],
    out: Out,
    format: Format = "png",
    only: Only = None,
) -> None:
    """Draw accuracy, gradient norms, time and usage of runs, and the bias that audits found.

    Runs that differ in their seed alone are averaged; comparable ones share a figure. The audit of
    a run belongs to it if it lies in the run folder as "audit".
    """
    from orderdp_train.report.runs import run_figures

    drawings, left_out = run_figures(runs)
    write_figures(drawings, out, format, only)
    if not only:
        for name, reason in left_out.items():
            typer.echo(f"{name} left out: {reason}")
