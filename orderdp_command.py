"""The commands: from the first moment on, imports included, a signal is one line."""

import os
import signal
import sys
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
    _watch()
    from orderdp_theory.common.command import run

    def app(args: Sequence[str] | None, standalone_mode: bool) -> Any:
        # Now, so that a package which is missing is an error in a line too.
        return import_module(commands).app(args, standalone_mode=standalone_mode)

    run(app)


def _watch() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)


def _stop(number: int, _: Any) -> None:
    os.write(2, b"stopped: nothing has been done yet\n")
    os._exit(128 + number)


# `python -m` imports the whole package, which begins with this module, before it calls anything.
if sys.argv[:1] == ["-m"] and {"orderdp_theory", "orderdp_train"} & set(sys.orig_argv):
    _watch()
