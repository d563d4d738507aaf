"""The command line `orderdp-train`: one module a command."""

from collections.abc import Sequence
from importlib import import_module
from inspect import signature
from typing import Any

import typer

from orderdp_theory.common.command import examples, new_app, run
from orderdp_train.cli.rule_options import with_rule_options

COMMANDS = ("audit", "figures", "reproduce", "run")


def commands() -> typer.Typer:
    """All commands, made now, with the rules that are registered."""
    made = new_app(
        "orderdp-train",
        "Train with dynamic data pruning, and audit the gradient bias that it causes.",
    )
    for name in COMMANDS:
        module = import_module(f"orderdp_train.cli.{name}")
        command = getattr(module, name)
        if "rule_options" in signature(command).parameters:
            command = with_rule_options(command)
        made.command(name, epilog=examples(module.EXAMPLES))(command)
    return made


def app(args: Sequence[str] | None = None, *, standalone_mode: bool = True) -> Any:
    """Parse and run a command line."""
    return commands()(args=args, standalone_mode=standalone_mode)


def main() -> None:
    """`python -m orderdp_train`; the console script starts before this can be imported."""
    run(app)
