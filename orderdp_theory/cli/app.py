"""The command line `orderdp-theory`: one module a command."""

from importlib import import_module

import typer

from orderdp_theory.common.command import run

COMMANDS = ("weights", "verify", "prove", "figures", "bound", "choose")

app = typer.Typer(
    name="orderdp-theory",
    help="Exact theory of OrderDP: inclusion probabilities, claims, proofs, bounds and figures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


for _name in COMMANDS:
    app.command(_name)(getattr(import_module(f"orderdp_theory.cli.{_name}"), _name))


def main() -> None:
    """Entry point of the console script."""
    run(app)
