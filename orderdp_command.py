"""The console scripts: from the first moment on, imports included, a signal is one line."""

import os
import signal
from collections.abc import Sequence
from importlib import import_module
from typing import Any


def theory() -> None:
    """`orderdp-theory`."""
    _start("orderdp_theory.cli.app")


def train() -> None:
    """`orderdp-train`."""
    _start("orderdp_train.cli.app")


def _start(commands: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    from orderdp_theory.common.command import run

    def app(args: Sequence[str] | None, standalone_mode: bool) -> Any:
        # Now, so that a package which is missing is an error in a line too.
        return import_module(commands).app(args, standalone_mode=standalone_mode)

    run(app)


def _stop(number: int, _: Any) -> None:
    os.write(2, b"stopped: nothing has been done yet\n")
    os._exit(128 + number)
