"""`orderdp-theory weights`: the inclusion probabilities of a design, checked."""

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_room
from orderdp_theory.common.output import Json, Quiet, console, expect_output, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from orderdp_theory import Design

EXAMPLES = (
    "orderdp-theory weights 10 5 3 --exact",
    "orderdp-theory weights 50000 25000 15000 --csv gamma.csv --plot gamma.png",
)
SHOWN_RANKS = 24
CSV_HEAD = "rank,inclusion_probability"
ROW = 200  # bytes of a rank while a file is put together
MAX_FRACTION = 40  # characters; longer fractions are abbreviated on screen, never in the CSV
# A larger design is printed where γ has fallen to these fractions of s/n.
LEVELS = (
    1 - 1e-12,
    1 - 1e-6,
    0.999,
    0.99,
    0.9,
    0.75,
    0.5,
    0.25,
    0.1,
    0.01,
    1e-3,
    1e-6,
    1e-12,
    1e-100,
)


def weights(
    n: Annotated[int, typer.Argument(help="Population size.", show_default=False)],
    s: Annotated[int, typer.Argument(help="Candidates drawn at random.", show_default=False)],
    q: Annotated[int, typer.Argument(help="Candidates kept.", show_default=False)],
    exact: Annotated[bool, typer.Option("--exact", help="Rational numbers.")] = False,
    ball: Annotated[
        int | None, typer.Option(metavar="BITS", help="Certified enclosures of this precision.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write every rank to this file.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the weights into this file (.png, .svg, .pdf).")
    ] = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Print the inclusion probabilities of the design (N, S, Q) with their checks."""
    from orderdp_theory import (
        Design,
        inclusion_probabilities,
        inclusion_probabilities_ball,
        inclusion_probabilities_exact,
    )
    from orderdp_theory.checks import check_inclusion_probabilities
    from orderdp_theory.common.files import write_atomically

    expect_output(csv, CSV_HEAD)
    expect_output(json, '"inclusion_probabilities"')
    if plot is not None:
        from orderdp_theory.common.style import WRITER

        expect_output(plot, WRITER)
    if exact and ball is not None:
        raise InputError("--exact and --ball exclude each other; give one of them")
    design = Design(n, s, q)
    if exact:
        gamma: Any = inclusion_probabilities_exact(design)
    elif ball is not None:
        gamma = inclusion_probabilities_ball(design, ball)
    else:
        gamma = inclusion_probabilities(design)
    checks = check_inclusion_probabilities(design, gamma)

    files: dict[Path, str | bytes] = {}
    if plot is not None:
        from orderdp_theory.common.style import render
        from orderdp_theory.figures.weights import weights_figure

        files[plot] = render(weights_figure(design), plot.suffix)
    if csv is not None:
        files[csv] = _csv(design, gamma, ball or 0)
    for path, content in files.items():
        write_atomically(path, content)

    if json is not None:
        require_room("N", design.n, ROW)
        write_json(json, _document(design, gamma, checks, ball or 0))
    screen = console(json, quiet)
    screen.print(_ranks(design, gamma))
    screen.print(_summary(design))
    screen.print(_checks(checks))
    if not all(check.holds for check in checks):
        raise typer.Exit(1)


def _document(
    design: "Design", gamma: Sequence[Any], checks: Sequence[Any], bits: int
) -> dict[str, Any]:
    from flint import arb

    digits = _digits(bits)
    return {
        "design": design,
        "inclusion_probabilities": [g.str(digits) if isinstance(g, arb) else g for g in gamma],
        "distance_from_uniform": dict(_distances(design)),
        "checks": checks,
    }


def _shown(design: "Design") -> list[int]:
    """The ranks to print: all of a small design, else its ends and where γ falls."""
    import numpy as np

    from orderdp_theory import inclusion_probabilities

    if design.n <= SHOWN_RANKS:
        return list(range(1, design.n + 1))
    end = design.n - design.s + design.q
    fallen = inclusion_probabilities(design)[::-1]
    crossings = design.n - np.searchsorted(fallen, np.array(LEVELS) * design.s / design.n)
    edges = {1, design.q, design.q + 1, end, end + 1, design.n}
    return sorted(rank for rank in edges | set(crossings.tolist()) if 1 <= rank <= design.n)


def _ranks(design: "Design", gamma: Sequence[Any]) -> "Table":
    from rich.table import Table

    table = Table(title=f"Inclusion probabilities of n={design.n}, s={design.s}, q={design.q}")
    table.add_column("rank j", justify="right")
    table.add_column("γ_j = P((j) ∈ Q)", justify="right", overflow="fold")
    table.add_column("weight γ_j/q", justify="right")
    table.add_column("n·γ_j/q", justify="right")
    for rank in _shown(design):
        value = gamma[rank - 1]
        weight = float(value) / design.q
        table.add_row(str(rank), _text(value), f"{weight:.6g}", f"{weight * design.n:.6g}")
    return table


def _text(value: Any) -> str:
    from flint import arb

    if isinstance(value, Fraction):
        return str(value) if len(str(value)) <= MAX_FRACTION else _abbreviated(value)
    if isinstance(value, arb):
        return value.str(20)
    return f"{float(value):.16g}"


def _abbreviated(value: Fraction) -> str:
    """A long fraction by its leading digits and lengths."""
    numerator, denominator = str(value.numerator), str(value.denominator)
    lengths = f"({len(numerator)}/{len(denominator)} digits)"
    return f"{numerator[:6]}…/{denominator[:6]}… {lengths}"


def _summary(design: "Design") -> "Table":
    from rich.table import Table

    table = Table(title="Distance from uniform sampling", show_header=False)
    table.add_row("prune ratio 1 − q/n", f"{design.prune_ratio} = {float(design.prune_ratio):.6g}")
    for name, value in _distances(design):
        table.add_row(name, f"{value:.10g}")
    return table


def _distances(design: "Design") -> list[tuple[str, float]]:
    from orderdp_theory import chi, effective_sample_size, spectrum_deviation, total_variation

    return [
        ("χ = √(n Σ(γ/q)² − 1)", chi(design)),
        ("total variation of γ/q and uniform", total_variation(design)),
        ("largest density deviation C_s", spectrum_deviation(design)),
        ("effective sample size 1/Σ(γ/q)²", effective_sample_size(design)),
    ]


def _checks(checks: Sequence[Any]) -> "Table":
    from rich.table import Table

    table = Table(title="Checks")
    for heading in ("property", "demanded", "found", ""):
        table.add_column(heading)
    for check in checks:
        mark = "[green]holds[/]" if check.holds else "[bold red]FAILS[/]"
        table.add_row(check.name, check.demanded, check.found, mark)
    return table


def _csv(design: "Design", gamma: Sequence[Any], bits: int) -> str:
    """All ranks; an enclosure is written as [midpoint +/- radius], a rational as a fraction."""
    from flint import arb

    if isinstance(gamma[0], arb):
        # flint's own text form: its radius includes the rounding to decimals.
        digits = _digits(bits)
        rows = (f"{j},{g.str(digits)}" for j, g in enumerate(gamma, 1))
        return f"{CSV_HEAD}\n" + "\n".join(rows) + "\n"
    if isinstance(gamma[0], Fraction):
        rows = (f"{j},{g},{g / design.q}" for j, g in enumerate(gamma, 1))
    else:
        require_room("N", design.n, ROW)
        rows = (f"{j},{float(g)!r},{float(g) / design.q!r}" for j, g in enumerate(gamma, 1))
    return f"{CSV_HEAD},weight\n" + "\n".join(rows) + "\n"


def _digits(bits: int) -> int:
    """Decimals that lose nothing of an enclosure worth printing."""
    return 2 + math.ceil(bits * math.log10(2))
