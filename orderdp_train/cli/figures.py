"""`orderdp-train figures`: draw what run folders and audits hold."""

from pathlib import Path
from typing import Annotated

import typer

from orderdp_theory.cli.figures import Format, Only, Out, write_figures
from orderdp_theory.common.output import Json, Quiet, console

EXAMPLES = ("orderdp-train figures runs/a runs/b --out figures",)


def figures(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, and folders of audits.")
    ],
    out: Out,
    format: Format = "png",
    only: Only = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Draw accuracy, gradient norms, time and usage of runs, and the bias that audits found.

    Runs that differ in their seed alone are averaged; comparable ones share a figure. The audit of
    a run belongs to it if it lies in the run folder as "audit".
    """
    from orderdp_train.report import drawings_of, find_audit, read_audit
    from orderdp_train.runs import RunFolder
    from orderdp_train.runs.figures import run_figures

    audits = {folder: find_audit(folder) for folder in dict.fromkeys(p.resolve() for p in runs)}
    trained = [folder for folder, audit in audits.items() if not audit or RunFolder(folder).exists]
    drawings, left_out = run_figures(trained)
    documents = [read_audit(path) for path in audits.values() if path]
    drawings |= drawings_of(documents)
    if not documents:
        left_out["audit"] = "no folder holds an audit; orderdp-train audit --run makes one"
    write_figures(drawings, out, format, only, json, quiet)
    if not only:
        for name, reason in left_out.items():
            console(json, quiet).print(f"{name} left out: {reason}", markup=False, highlight=False)
