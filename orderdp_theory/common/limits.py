"""How much fits into this machine's memory: sizes are checked before anything is allocated."""

import os
import resource
from contextlib import suppress
from functools import cache
from pathlib import Path

from orderdp_theory.common.errors import InputError

GIB = 2**30
PROCESS = 2**28  # bytes that one more process takes, with its libraries


@cache
def memory() -> int:
    """Bytes of memory that this process may take: the machine's, or its container's or shell's."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError, ValueError):  # no container, or one without a limit
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    limits += [] if soft == resource.RLIM_INFINITY else [soft]
    return min(limits)


def require_room(name: str, value: int, bytes_each: float, *, power: int = 1) -> None:
    """`InputError`, with the largest that works, unless `value` things fit into half the memory.

    They take `bytes_each` bytes for each of value ** power.
    """
    half = memory() // 2
    largest = int((half / bytes_each) ** (1 / power))
    if value > largest:
        raise InputError(
            f"{name} must be at most {largest:,} here, got {value:,}: more does not fit into half "
            f"of the memory, {half / GIB:.1f} GiB"
        )


def require_at_most(name: str, value: float, largest: float, why: str) -> None:
    """`InputError` with the reason unless `value` is at most `largest`."""
    if value > largest:
        raise InputError(f"{name} must be at most {largest:,}, got {value:,}: {why}")
