"""Code that runs in a forked child: it may be killed, run out of room or hang, and only it does."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

HUNG = 120.0  # seconds


def status_of(work: Callable[[], object], log: Path, seconds: float = HUNG) -> int | None:
    """The exit status of `work` in a child (negative: a signal), what it prints in `log`.

    None if it took longer than so many seconds.
    """
    child = start(work, log)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def start(work: Callable[[], object], log: Path) -> int:
    """The child's number. Status 0 if `work` returns, 70 for an exception that leaves it."""
    child = os.fork()
    if child:
        return child
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(out, stream)
        work()
    except SystemExit as left:
        os._exit(left.code if isinstance(left.code, int) else 0)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(70)
    os._exit(0)
