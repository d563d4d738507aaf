"""What a command gives out: a table for people, JSON for machines, or nothing but errors."""

import json
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orderdp_theory.common.files import expect_ours, expect_writable, write_atomically

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, ProgressColumn

STANDARD_OUTPUT = Path("-")

# The two options of every command.
Json = Annotated[
    Path | None,
    typer.Option(
        "--json", metavar="FILE", help="Write the results as JSON; - prints it, and no table."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]


def console(json: Path | None, quiet: bool, width: int | None = None) -> "Console":
    """Where a command prints for people, silent if they did not ask or JSON takes the place."""
    from rich.console import Console

    return Console(quiet=quiet or json == STANDARD_OUTPUT, width=width)


def status(quiet: bool) -> "Console":
    """Where progress is shown: standard error, and nowhere if it is no terminal."""
    from rich.console import Console

    return Console(stderr=True, quiet=quiet or not sys.stderr.isatty())


def progress(
    title: "str | ProgressColumn",
    *more: "ProgressColumn",
    quiet: bool,
    transient: bool = False,
    below: Callable[[], Iterable[str]] | None = None,
) -> "Progress":
    """A bar with how many are done, `more`, the time taken and the time left.

    The lines that `below` gives, once a second, are shown below it.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress
    from rich.progress import TimeElapsedColumn as Elapsed
    from rich.progress import TimeRemainingColumn as Remaining
    from rich.text import Text

    class WithLines(Progress):
        def get_renderables(self) -> "Iterable[RenderableType]":
            yield from super().get_renderables()
            for line in below() if below else ():
                yield Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis")

    columns = (title, BarColumn(), MofNCompleteColumn(), *more, Elapsed(), Remaining())
    often = 1 if below else 10
    return WithLines(*columns, console=status(quiet), transient=transient, refresh_per_second=often)


def expect_output(path: Path | None, mark: str) -> None:
    """`OSError` or `InputError`, before any work, if the output cannot go there.

    A file that exists is replaced only if it bears the `mark` of what the command writes.
    """
    if path is not None and path != STANDARD_OUTPUT:
        expect_writable(path)
        expect_ours(path, mark)


def write_json(path: Path | None, results: Any) -> None:
    """`results` as one JSON document into a file, or to standard output for "-"; nothing for None.

    Dataclasses become objects of their fields and properties, arrays lists and rationals "p/q"
    (nothing is rounded); what is not finite becomes null, as JSON has no number for it.
    """
    if path is None:
        return
    text = json.dumps(_plain(results), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if path == STANDARD_OUTPUT:
        sys.stdout.write(text)
    else:
        write_atomically(path, text)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        names += [name for name, of in vars(type(value)).items() if isinstance(of, property)]
        return {n: _plain(getattr(value, n)) for n in names if not n.startswith("_")}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Fraction | Path):
        return str(value)
    to_list = getattr(value, "tolist", None)
    if to_list is not None:
        return _plain(to_list())
    raise TypeError(f"no JSON for {type(value).__name__}")
