"""Ratios of running times, measured side by side, in a table with the machine and the date."""

import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import stdev

import numpy as np
import scipy


@dataclass(frozen=True)
class Ratio:
    """One line of the table: a ratio of two quantities and the bound it must keep."""

    what: str
    numerator: str
    denominator: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    def row(self) -> str:
        sign, bound = ("≥", self.at_least) if self.at_most is None else ("≤", self.at_most)
        return (
            f"| {self.what} | {self.numerator} | {self.denominator} | {self.value:,.3g} "
            f"| {sign} {bound:g} |"
        )


def seconds(*functions: Callable[[], object], rounds: int = 7, repeat: int = 1) -> list[float]:
    """The shortest time of each function, all called in turn so that they meet the same machine."""
    shortest = [float("inf")] * len(functions)
    for _ in range(rounds):
        for i, function in enumerate(functions):
            start = time.perf_counter()
            for _ in range(repeat):
                function()
            shortest[i] = min(shortest[i], (time.perf_counter() - start) / repeat)
    return shortest


def deviation(values: Sequence[float]) -> float:
    """The sample standard deviation; NaN of a single value."""
    return stdev(values) if len(values) > 1 else math.nan


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def machine() -> str:
    """Processor, cores, versions and date."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}; Python "
        f"{platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}; "
        f"{datetime.now(UTC):%Y-%m-%d}"
    )


def report(ratios: Iterable[Ratio]) -> None:
    """Print the table, each line as soon as it is measured."""
    print(
        "| what | numerator | denominator | ratio | required |\n|---|---|---|---|---|", flush=True
    )
    for ratio in ratios:
        print(ratio.row(), flush=True)
