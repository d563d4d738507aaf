"""The command line ``orderdp-train``: one module a command."""

from importlib import import_module

import typer

from orderdp_theory.cli.errors import run

COMMANDS = (
    "audit",
    "figures",
    "reproduce",
    "run",
)

app = typer.Typer(
    name="orderdp-train",
    help="Train with dynamic data pruning, and audit the gradient bias that it causes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _name in COMMANDS:
    app.command(_name)(getattr(import_module(f"orderdp_train.cli.{_name}"), _name))


def main() -> None:
    """Entry point of the console script."""
    run(app)
