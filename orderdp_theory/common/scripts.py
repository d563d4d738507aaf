"""The console script of the training side, which needs packages that the theory does without.

It lies here so that a missing one is reported in a line: nothing of `orderdp_train` can be imported
before it is known to be there.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from orderdp_theory.common.command import run


def train() -> None:
    """Entry point of `orderdp-train`."""

    def app(args: Sequence[str] | None, standalone_mode: bool) -> Any:
        return import_module("orderdp_train.cli.app").app(args, standalone_mode=standalone_mode)

    run(app)
