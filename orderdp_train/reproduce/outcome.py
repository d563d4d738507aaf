"""A result with its measured values, as a table in the paper's layout and as CSV."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from orderdp_train.reproduce.results import Number, Result
from orderdp_train.reproduce.scales import Scale
from orderdp_train.reproduce.sweeping import Cell, read_history, with_seeds
from orderdp_train.runs import History, measures
from orderdp_train.training.presets import in_words

COLUMNS = (
    *("row", "column", "quantity"),
    *("data", "model", "rule", "keep", "explore", "epochs", "recipe"),
    *("mean", "std", "paper", "paper_std", "values"),
)


@dataclass(frozen=True)
class Measured:
    """A number and its values, one a seed."""

    number: Number
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def std(self) -> float:
        """Sample standard deviation over the seeds; NaN for a single one."""
        return stdev(self.values) if len(self.values) > 1 else math.nan

    @property
    def spread(self) -> float:
        """What tables put after ±: `std`, and of a difference the standard error of its mean."""
        return self.std if self.number.baseline is None else self.std / math.sqrt(len(self.values))


def measure(result: Result, scale: Scale, seeds: int, root: Path) -> list[Measured]:
    """Read all numbers off the finished cells below `root`."""
    histories: dict[Cell, History] = {}

    def read(number: Number, cell: Cell) -> list[float]:
        values = []
        for seeded in with_seeds([cell], seeds):
            if seeded not in histories:
                histories[seeded] = read_history(seeded, root)
            values.append(number.measure(histories[seeded]))
        return values

    measured = []
    for number in result.numbers(scale):
        values = read(number, number.cell)
        if number.baseline is not None:
            whole = read(number, number.baseline)
            values = [b - v for b, v in zip(whole, values, strict=True)]
        measured.append(Measured(number, tuple(values)))
    return measured


def infobatch_savings(result: Result, scale: Scale, seeds: int, root: Path) -> str:
    """A sentence for each data set on what InfoBatch saved, which no option sets; or nothing."""
    saved: dict[str, list[tuple[float, float]]] = {}
    for cell in result.cells(scale):
        if cell.config.rule.name == "infobatch":
            histories = (read_history(c, root) for c in with_seeds([cell], seeds))
            pair = 1 - cell.config.rule.keep, fmean(map(measures.saved, histories))
            saved.setdefault(cell.config.data, []).append(pair)
    sentences = []
    for data, pairs in saved.items():
        parts = (f"{real:.0f} % at a probability of {chance:g}" for chance, real in pairs)
        sentences.append(f"On {data} InfoBatch really pruned {', '.join(parts)}.")
    return " ".join(sentences)


def recipes(measured: Sequence[Measured]) -> str:
    """A sentence on the presets that the trainings follow, and where they depart from them."""
    cells = (m.number.cell for m in measured)
    words = dict.fromkeys(f"{_recipe(cell)} on {cell.config.data}" for cell in cells)
    return f"Recipes: {'; '.join(words)}."


def _recipe(cell: Cell) -> str:
    return ", then ".join(in_words(c.recipe, c.data, c.model) for c in cell.stages)


def digits(measured: Sequence[Measured]) -> int:
    """Decimals that show differences: percentages get one or two, ratios three."""
    largest = max(abs(m.mean) for m in measured)
    return 2 if largest >= 10 else 3 if largest >= 0.1 else 5


def table(measured: Sequence[Measured]) -> tuple[list[str], list[list[str]]]:
    """Header and rows in the paper's layout: `mean ± std (paper ± std)`, of tabulated numbers."""
    cells = [m for m in measured if isinstance(m.number.column, str)]
    columns = list(dict.fromkeys(str(m.number.column) for m in cells))
    rows = []
    for label in dict.fromkeys(m.number.row for m in cells):
        here = [m for m in cells if m.number.row == label]
        places = digits(here)
        texts = {str(m.number.column): _text(m, places) for m in here}
        rows.append([label, *(texts.get(column, "") for column in columns)])
    return ["", *columns], rows


def _text(measured: Measured, places: int) -> str:
    number = measured.number
    text = f"{measured.mean:.{places}f}"
    if not math.isnan(measured.spread):
        text += f" ± {measured.spread:.{places}f}"
    if number.printed is not None:
        spread = f" ± {number.printed_std:g}" if number.printed_std is not None else ""
        text += f" ({number.printed:g}{spread})"
    return text


def markdown(measured: Sequence[Measured]) -> str:
    """The table for a text file; empty if there are only curves."""
    header, rows = table(measured)
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def to_csv(measured: Sequence[Measured]) -> str:
    """Every number in a line of its own, with the training it comes from and each seed's value."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for m in measured:
        n, c, rule = m.number, m.number.cell.config, m.number.cell.stages[0].rule
        std = "" if math.isnan(m.std) else f"{m.std:.9g}"
        printed = ("" if p is None else p for p in (n.printed, n.printed_std))
        where = (
            c.data,
            c.model,
            rule.name,
            rule.keep,
            rule.options.get("explore", ""),
            c.recipe.epochs,
            _recipe(n.cell),
        )
        values = " ".join(f"{v:.9g}" for v in m.values)
        writer.writerow(
            [n.row, n.column, n.quantity, *where, f"{m.mean:.9g}", std, *printed, values]
        )
    return buffer.getvalue()
