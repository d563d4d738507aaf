"""The paper's printed tables, transcribed as CSV files, and what a printed decimal tells."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from importlib.resources import files
from typing import NamedTuple

NUMBERS = range(1, 12)
FULL = "Whole Dataset"
Row = Mapping[str, str]
Table = Sequence[Row]


def _lines(number: int) -> list[str]:
    file = files("orderdp_theory.claims") / "data" / f"table{number}.csv"
    return file.read_text(encoding="utf-8").splitlines()


def read_table(number: int) -> list[Row]:
    """Table `number` of the paper, one dictionary of strings per row; empty = not printed.

    Raises:
        FileNotFoundError: the table is not among the transcribed ones.

    Example:
        >>> row = read_table(8)[0]
        >>> row["method"], row["prune_percent"], row["progress"], row["jaccard"]
        ('InfoBatch', '40', '0-20', '0.583')
    """
    return list(csv.DictReader(line for line in _lines(number) if not line.startswith("#")))


def table_source(number: int) -> str:
    """The comment at the head of a transcribed table: where it is from, what its columns mean.

    Example:
        >>> table_source(8).split(". ")[0]
        'Source: Table 8 of the OrderDP paper (ICLR 2026)'
    """
    return " ".join(line.lstrip("# ") for line in _lines(number) if line.startswith("#"))


def printed_tables() -> dict[int, list[Row]]:
    """All transcribed tables by number.

    Example:
        >>> sorted(printed_tables())[:3]
        [1, 2, 3]
    """
    return {number: read_table(number) for number in NUMBERS}


def where(table: Table, **columns: str) -> list[Row]:
    """The rows whose named columns have the given text."""
    return [row for row in table if all(row[name] == text for name, text in columns.items())]


def number(row: Row, column: str) -> Fraction:
    """A printed decimal, exactly."""
    return Fraction(row[column])


def half_unit(text: str) -> Fraction:
    """Half a unit of the last printed digit: how far the number may be from what was measured."""
    return Fraction(1, 2 * 10 ** len(text.partition(".")[2]))


def numbers_in(words: str) -> list[Fraction]:
    """The decimals in a quoted sentence, in order."""
    return [Fraction(text) for text in re.findall(r"\d+(?:\.\d+)?", words)]


def exceeds(a: str, b: str) -> bool | None:
    """Whether the number printed as a is larger than the one printed as b; None if digits tie.

    A printed decimal stands for every value that rounds to it. A level that a sentence names, such
    as 95 %, is exact; give it as a Fraction's string.
    """
    gap, doubt = Fraction(a) - Fraction(b), half_unit(a) + (half_unit(b) if "." in b else 0)
    return gap > 0 if abs(gap) >= doubt else None


def all_hold(answers: Iterable[bool | None]) -> bool | None:
    """Every answer is yes (True), one is no (False), or the printed digits do not tell (None)."""
    known = list(answers)
    return False if False in known else None if None in known else True


class Setting(NamedTuple):
    """A column of a results table."""

    dataset: str
    model: str
    prune_percent: int

    def __str__(self) -> str:
        return f"{self.dataset} {self.model} {self.prune_percent} %"


def setting(row: Row) -> Setting:
    """The column a row belongs to."""
    return Setting(row["dataset"], row["model"], int(row["prune_percent"]))


def accuracies(table: Table, method: str) -> dict[Setting, Fraction]:
    """Accuracy of a method by column."""
    return {setting(row): number(row, "accuracy") for row in where(table, method=method)}


def full_accuracy(table: Table, at: Setting) -> Fraction:
    """Accuracy of training on the whole data set in a column's setting."""
    (row,) = where(table, method=FULL, dataset=at.dataset, model=at.model)
    return number(row, "accuracy")
