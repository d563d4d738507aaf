"""`orderdp-theory prove`: check the symbolic certificates and explain them."""

from typing import TYPE_CHECKING, Annotated

import typer

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.output import Json, Quiet, console, expect_output, write_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orderdp_theory.proofs.symbolic import Certificate, Verdict  # pyright: ignore[reportMissingImports]


EXAMPLES = ("orderdp-theory prove", "orderdp-theory prove --json -")


def prove(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Certificates to check; all of them if none is named."),
    ] = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Check the symbolic proofs and print what each states, computes and takes as logic."""
    from orderdp_theory.proofs.symbolic import CERTIFICATES  # pyright: ignore[reportMissingImports]

    unknown = [name for name in names or () if name not in CERTIFICATES]
    if unknown:
        raise InputError(
            f"no certificate is called {', '.join(unknown)}; choose from {', '.join(CERTIFICATES)}"
        )
    expect_output(json, '"checked": {')
    screen = console(json, quiet)
    document, failed = {}, []
    for name in dict.fromkeys(names or CERTIFICATES):
        certificate, verdict = CERTIFICATES[name], CERTIFICATES[name].check()
        screen.print(_explained(certificate, verdict))
        document[name] = {
            "statement": certificate.statement,
            "source": certificate.source,
            "holds": verdict.holds,
            "checked": {piece.claim: holds for piece, holds in verdict.pieces},
        }
        if not verdict.holds:
            failed.append(name)
    write_json(json, document)
    if failed:
        screen.print(f"[bold red]not proved:[/] {', '.join(failed)}")
        raise typer.Exit(1)
    screen.print("[green]every certificate checks[/]")


def _explained(certificate: "Certificate", verdict: "Verdict") -> "RenderableType":
    from rich.console import Group
    from rich.padding import Padding
    from rich.panel import Panel
    from rich.text import Text

    from orderdp_theory.proofs.symbolic.certificate import plain, shown  # pyright: ignore[reportMissingImports]

    def heading(title: str) -> Text:
        return Text(title, style="bold")

    def line(text: str, indent: int, style: str = "") -> Padding:
        return Padding(Text(text, style=style), (0, 0, 0, indent))

    lines: list[RenderableType] = [
        Text(certificate.statement),
        line(f"source: {certificate.source}", 0, "dim"),
        heading("Certificate"),
        *(line(f"{name} = {plain(expr)}", 2, "cyan") for name, expr in certificate.witness.items()),
        heading("Checked"),
    ]
    for piece, holds in verdict.pieces:
        mark = Text("✓ ", style="green") if holds else Text("✗ ", style="bold red")
        lines.append(Padding(mark + Text(piece.claim), (0, 0, 0, 2)))
        lines += [line(equation, 6, "dim") for equation in shown(piece)]
    lines.append(heading("Logic"))
    lines += [line(f"{number}. {step}", 2) for number, step in enumerate(certificate.logic, 1)]
    colour = "green" if verdict.holds else "red"
    return Panel(Group(*lines), title=certificate.name, title_align="left", border_style=colour)
