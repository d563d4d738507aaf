"""`orderdp-theory poster`: the main results on one page, to print."""

from pathlib import Path
from typing import Annotated

import typer

from orderdp_theory.cli.verify import decided
from orderdp_theory.common.output import Json, Quiet, console, expect_output, write_json

EXAMPLES = ("orderdp-theory poster --out poster.html",)


def poster(
    out: Annotated[Path, typer.Option(help="The page: HTML, to be opened or printed on A3.")],
    n: Annotated[int, typer.Option("--n", help="Samples of the example.")] = 50_000,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Decide all claims, and lay out weights, verdicts and what holds instead on one page.

    A browser's "print to PDF" makes a PDF of it.
    """
    from orderdp_theory.claims import all_claims
    from orderdp_theory.claims.report import counts
    from orderdp_theory.common.files import write_atomically
    from orderdp_theory.design import Design
    from orderdp_theory.poster import FINDINGS
    from orderdp_theory.poster import poster as page

    design = Design.from_ratios(n)
    expect_output(out, "<title>Training on the samples of highest loss")
    expect_output(json, '"findings": [')
    results = decided(list(all_claims().values()), quiet)
    write_atomically(out, page(results, design))
    write_json(json, {"page": out, "findings": FINDINGS, "verdicts": counts(results)})
    console(json, quiet).print(f"wrote {out}", highlight=False, soft_wrap=True, markup=False)
