"""`orderdp-theory choose`: which (s, q) estimates the gradient best at a given budget."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.output import Json, Quiet, console, expect_output, status, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from orderdp_theory import Candidate, Choice

CSV_HEAD = "s,q1,q2,bias_squared,variance,mean_squared_error"
EXAMPLES = (
    "orderdp-theory choose losses.npy 100 --gradients gradients.npy",
    "orderdp-theory choose losses.npy 100 --norms norms.npy --json -",
)
SIZES, SPLITS = 33, 17  # values of s and of q1 that are tried unless every one is asked for


def choose(
    losses: Annotated[
        Path, typer.Argument(help="Per-sample losses (.npy or .csv).", show_default=False)
    ],
    q: Annotated[int, typer.Argument(help="Samples kept by a selection.", show_default=False)],
    gradients: Annotated[
        Path | None, typer.Option(help="Per-sample gradients, one row a sample.")
    ] = None,
    gram: Annotated[Path | None, typer.Option(help="Inner products of the gradients.")] = None,
    norms: Annotated[
        Path | None,
        typer.Option(help="Gradient norms; they are then taken as orthogonal, and bounded."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--every", help="Every s and every split, however many.")
    ] = False,
    csv: Annotated[Path | None, typer.Option(help="Write every candidate to this file.")] = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Print the exact mean squared error of the designs of budget Q, and the best one.

    Give the losses and exactly one of --gradients, --gram and --norms.
    """
    import numpy as np
    from rich.progress import track

    from orderdp_theory import choose as choose_design
    from orderdp_theory import error_bound_from_norms
    from orderdp_theory.cli.arrays import read_array
    from orderdp_theory.common.files import write_atomically

    given = [path for path in (gradients, gram, norms) if path is not None]
    expect_output(csv, CSV_HEAD)
    expect_output(json, '"random_then_top"')
    if len(given) != 1:
        raise InputError("give exactly one of --gradients, --gram and --norms")
    ranked_by = read_array(losses, (1,))
    values = read_array(given[0], (1,) if norms else (2,))
    n = len(ranked_by)
    if len(values) != n:
        raise InputError(f"{given[0]} is about {len(values)} samples, {losses} about {n}")
    if norms and (values < 0).any():
        raise InputError(f"{norms} holds negative numbers, but norms are not")
    inner = values if gram else values @ values.T if gradients else np.diag(values**2)

    sizes = splits = None
    if not every:
        sizes = _spread(min(q, n), n, SIZES)
        splits = _spread(1, q - 1, SPLITS)
    choice = choose_design(
        inner,
        ranked_by,
        q,
        sizes,
        splits,
        progress=lambda tried: track(tried, "evaluating", console=status(quiet), transient=True),
    )
    if csv is not None:
        write_atomically(csv, _csv(choice))
    write_json(json, choice)
    screen = console(json, quiet)
    screen.print(_table(choice, q))
    scale = float(inner.mean()) ** 0.5
    screen.print(f"norm of the full gradient: {scale:.6g}", highlight=False)
    screen.print(f"[bold]best design:[/] {_described(choice.best)}", highlight=False)
    survey = choice.best_survey
    screen.print(
        f"survey sampling, sizes 1 − exp(−loss), floor {survey.floor:g} q/n: "
        f"mean squared error {survey.mean_squared_error:.6g}",
        highlight=False,
    )
    if norms:
        bound = error_bound_from_norms(values, ranked_by, choice.best.design, choice.best.q2)
        screen.print(
            "These are the errors of orthogonal gradients; norms alone do not determine them. "
            f"Whatever the directions, that of the best design is at most {bound:.6g}.",
            highlight=False,
        )
    if not every and (len(_spread(q, n, n)) > SIZES or q - 1 > SPLITS):
        screen.print("Not every s and split was tried; --every does.", highlight=False)


def _spread(first: int, last: int, count: int) -> list[int]:
    """At most `count` integers from first to last, evenly spread, both ends included."""
    steps = min(count, last - first + 1) - 1
    return [first + (last - first) * k // max(steps, 1) for k in range(steps + 1)]


def _described(candidate: "Candidate") -> str:
    design, error = candidate.design, candidate.mean_squared_error
    if candidate.q2:
        rule = f"the unbiased rule, q1={design.q} of s={design.s} and q2={candidate.q2} of the rest"
    elif design.s == design.q:
        rule = f"uniform sampling, s=q={design.q}"
    else:
        rule = f"random-then-top, s={design.s} and q={design.q}"
    return f"{rule}: mean squared error {error:.6g}"


def _table(choice: "Choice", q: int) -> "Table":
    """One row an s: random-then-top, and the best split of the unbiased rule."""
    from rich.table import Table

    table = Table(title=f"Mean squared error against the full gradient, budget q={q}")
    for heading in ("s", "bias²", "variance", "random-then-top", "unbiased", "q1 + q2"):
        table.add_column(heading, justify="right")
    for top in choice.random_then_top:
        splits = [c for c in choice.unbiased if c.design.s == top.design.s]
        cells = ["–", "–"]
        if splits:
            best = min(splits, key=lambda c: c.mean_squared_error)
            cells = [f"{best.mean_squared_error:.6g}", f"{best.design.q} + {best.q2}"]
        table.add_row(
            str(top.design.s),
            f"{top.bias_squared:.6g}",
            f"{top.variance:.6g}",
            f"{top.mean_squared_error:.6g}",
            *cells,
            style="bold" if choice.best in (top, *splits) else "",
        )
    return table


def _csv(choice: "Choice") -> str:
    rows = [CSV_HEAD]
    for c in (*choice.random_then_top, *choice.unbiased):
        numbers = (c.bias_squared, c.variance, c.mean_squared_error)
        rows.append(f"{c.design.s},{c.design.q},{c.q2}," + ",".join(map(repr, numbers)))
    return "\n".join(rows) + "\n"
