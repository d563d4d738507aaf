"""The console scripts: from the first moment on, imports included, a signal is one line."""

import os
import signal
from importlib import import_module
from typing import Any


def theory() -> None:
    """`orderdp-theory`."""
    _start("orderdp_theory.cli")


def train() -> None:
    """`orderdp-train`."""
    _start("orderdp_train.cli")


def _start(commands: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    import_module(commands).main()


def _stop(number: int, _: Any) -> None:
    os.write(2, b"stopped: nothing has been done yet\n")
    os._exit(128 + number)
