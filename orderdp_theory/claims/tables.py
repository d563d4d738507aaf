"""The paper's printed tables, transcribed as CSV files with their source in a comment."""

import csv
from collections.abc import Mapping, Sequence
from importlib.resources import files

NUMBERS = range(1, 12)
Row = Mapping[str, str]
Table = Sequence[Row]


def _lines(number: int) -> list[str]:
    file = files("orderdp_theory.claims") / "data" / f"table{number}.csv"
    return file.read_text(encoding="utf-8").splitlines()


def read_table(number: int) -> list[Row]:
    """Table `number` of the paper, one dictionary of strings per row; empty = not printed.

    Raises:
        FileNotFoundError: the table is not among the transcribed ones.
    """
    return list(csv.DictReader(line for line in _lines(number) if not line.startswith("#")))


def table_source(number: int) -> str:
    """The comment at the head of a transcribed table: where it is from, what its columns mean."""
    return " ".join(line.lstrip("# ") for line in _lines(number) if line.startswith("#"))


def printed_tables() -> dict[int, list[Row]]:
    """All transcribed tables by number."""
    return {number: read_table(number) for number in NUMBERS}


def where(table: Table, **columns: str) -> list[Row]:
    """The rows whose named columns have the given text."""
    return [row for row in table if all(row[name] == text for name, text in columns.items())]
