"""Errors of a command: one line on standard error, exit code 2, no traceback."""

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def run(app: typer.Typer, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit with its status.

    Bad input reaches this point as a usage error of the parser, as ``ValueError`` (the library
    refused a value) or as ``OSError`` (a file cannot be read or written); each becomes one line
    ``error: …`` and status 2. Anything else is a defect of ours and keeps its traceback.
    """
    try:
        status = app(args=arguments, standalone_mode=False)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except (ValueError, OSError) as error:
        status = _report(_one_line(error))
    except Exception as error:
        # The parser's own exceptions carry their message and status; typer has moved the class
        # that they derive from more than once, so they are known by what they offer.
        if not hasattr(error, "format_message"):
            raise
        status = _report(error.format_message())  # pyright: ignore[reportAttributeAccessIssue]
    sys.exit(status if isinstance(status, int) else 0)


def _one_line(error: ValueError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror.lower()}; check the path and its permissions"
    return str(error)


def _report(message: str) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return 2
