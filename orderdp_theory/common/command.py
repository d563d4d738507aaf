"""What all commands share: their frame, and errors in one line on standard error, exit code 2."""

import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import metadata, version
from typing import Annotated, Any, NoReturn

import typer

from orderdp_theory.common.errors import InputError

PROJECT = "orderdp"
IMPORTED_AS = {"sklearn": "scikit-learn"}  # packages imported by another name than they install by

REPORT = "the command line that led to them, as an issue of the orderdp project"
STOPPING = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal ends the command. (Parsers and libraries handle `KeyboardInterrupt` themselves.)"""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def new_app(name: str, help: str) -> typer.Typer:
    """An application without commands yet, which says its version and completes in shells."""
    app = typer.Typer(name=name, help=help, no_args_is_help=True, pretty_exceptions_enable=False)

    def show(asked: bool) -> None:
        if asked:
            typer.echo(f"{name} {version(PROJECT)}")
            raise typer.Exit

    @app.callback()
    def frame(
        version: Annotated[
            bool, typer.Option("--version", callback=show, is_eager=True, help="Say which.")
        ] = False,
    ) -> None: ...

    return app


def examples(lines: Sequence[str]) -> str:
    """The last part of a command's help."""
    return "\n\n".join(("Examples:", *lines))


def run(app: Callable[..., Any], arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit with its status.

    Bad input reaches this point as a usage error of the parser, as `InputError` (the library
    refused a value) or as `OSError` (a file cannot be read or written); each becomes one line
    `error: …` and status 2, as does a lack of memory. Anything else is a defect of ours: it keeps
    its traceback, says how to report it, and is status 1. Ctrl-C and SIGTERM are one line that
    says what is safe, and status 130 and 143; what is half done is cleaned up before.
    """
    try:
        with _stoppable():
            status = app(args=arguments, standalone_mode=False)
    except Stopped as stopped:
        said = getattr(stopped, "__notes__", ["no output is half written: run it again"])
        print("stopped: " + " ".join(said[0].split()), file=sys.stderr)
        status = 128 + stopped.number  # as shells report it
    except (InputError, OSError) as error:
        status = _report(_one_line(error))
    except MemoryError:
        status = _report("not enough memory for sizes like these: give smaller ones")
    except Exception as error:
        # The parser's own exceptions carry their message and status; typer has moved the class
        # that they derive from more than once, so they are known by what they offer.
        if hasattr(error, "format_message"):
            status = _report(error.format_message())  # pyright: ignore[reportAttributeAccessIssue]
        elif isinstance(error, ModuleNotFoundError) and (extra := _extra_with(error.name or "")):
            status = _report(f"{error.name} is not installed; run pip install '{PROJECT}[{extra}]'")
        else:
            traceback.print_exc()
            print(f"internal error: please report the lines above and {REPORT}", file=sys.stderr)
            status = 1
    sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def said_if_stopped(says: Callable[[], str]) -> Iterator[None]:
    """What to tell the user if a signal ends the block: what is safe, and how to go on."""
    try:
        yield
    except Stopped as stopped:
        stopped.add_note(says())
        raise


@contextmanager
def _stoppable() -> Iterator[None]:
    """The first signal of `STOPPING` is a `Stopped`; the cleaning up is not stopped."""

    def stop(number: int, _: Any) -> NoReturn:
        for each in STOPPING:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(each, stop) for each in STOPPING]
    try:
        yield
    finally:
        for each, handler in zip(STOPPING, before, strict=True):
            signal.signal(each, handler)


def _one_line(error: InputError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror.lower()}; check the path and its permissions"
    return str(error)


def _extra_with(module: str) -> str | None:
    """The first extra of this project that installs a module."""
    top = module.split(".")[0]
    package = IMPORTED_AS.get(top, top).replace("_", "-")
    for requirement in metadata(PROJECT).get_all("Requires-Dist") or ():
        extra = re.search(r"""extra == ["']([^"']+)""", requirement)
        if extra and re.match(rf"{re.escape(package)}\b", requirement, re.IGNORECASE):
            return extra[1]
    return None


def _report(message: str) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return 2
