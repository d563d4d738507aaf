"""The command line `orderdp-train`: one module a command."""

from collections.abc import Sequence
from importlib import import_module
from inspect import signature
from typing import Any

import typer

from orderdp_theory.common.command import run

COMMANDS = ("audit", "figures", "reproduce", "run")


def app(args: Sequence[str] | None = None, *, standalone_mode: bool = True) -> Any:
    """Parse and run a command line. Commands are made now, with the rules that are registered."""
    commands = typer.Typer(
        name="orderdp-train",
        help="Train with dynamic data pruning, and audit the gradient bias that it causes.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name in COMMANDS:
        module = import_module(f"orderdp_train.cli.{name}")
        command = getattr(module, name)
        if "rule_options" in signature(command).parameters:
            from orderdp_train.cli.rule_options import with_rule_options

            command = with_rule_options(command)
        commands.command(name)(command)
    return commands(args=args, standalone_mode=standalone_mode)


def main() -> None:
    """Entry point of the console script."""
    run(app)
