"""The picture that goes with a reproduced result."""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orderdp_theory.common.palette import BLACK, PALETTE
from orderdp_theory.common.style import WIDE, new_figure, styled
from orderdp_train.reproduce.outcome import Measured
from orderdp_train.reproduce.results import Result
from orderdp_train.reproduce.scales import METHODS
from orderdp_train.rules import rule_class
from orderdp_train.runs.panels import band, joint, usage

COLOURS = {method: rule_class(name).colour for method, name in METHODS.items()}
Series = dict[str, list[Measured]]


@styled
def draw(result: Result, measured: Sequence[Measured]) -> Figure:
    """Tables become points beside the printed ones, figures what they are in the paper."""
    curves = [m for m in measured if not isinstance(m.number.column, str)]
    if not curves:
        return _panels(measured, _points)
    if result.name in ("figure9", "figure10", "figure11"):
        return _usage(curves)
    if result.name in ("figure12", "figure13"):
        return _time_to_accuracy(curves)
    figure = _panels(curves, _curves, spare=result.name == "figure1")
    for ax in figure.axes:
        ax.set_xlabel(result.x_axis)
    if result.name == "figure1":
        _joint(figure.axes[-1], curves)
    return figure


def _by_quantity(measured: Sequence[Measured]) -> dict[str, Series]:
    panels: dict[str, Series] = {}
    for m in measured:
        panels.setdefault(m.number.quantity, {}).setdefault(m.number.row, []).append(m)
    return panels


def _colours(rows: Sequence[str]) -> dict[str, Any]:
    """A method's own colour where it names one row only; otherwise the rows take turns."""
    named = {row: [c for method, c in COLOURS.items() if method in row] for row in rows}
    if all(named.values()) and len({c[0] for c in named.values()}) == len(rows):
        return {row: colours[0] for row, colours in named.items()}
    return dict(zip(rows, cycle(PALETTE), strict=False))


def _panels(
    measured: Sequence[Measured], fill: Callable[[Axes, Series], None], spare: bool = False
) -> Figure:
    """One panel a quantity, side by side or two by two, and an empty last one if asked for."""
    quantities = _by_quantity(measured)
    count = len(quantities) + spare
    columns = min(count, 2 if count != 3 else 3)
    lines = -(-count // columns)
    figure = new_figure(WIDE, 2.6 * lines)
    axes = figure.subplots(lines, columns, squeeze=False).flatten()
    for ax, (quantity, series) in zip(axes, quantities.items(), strict=False):
        fill(ax, series)
        ax.set_ylabel(quantity)
        # Above the panel, where it hides no point.
        ax.legend(fontsize=6, loc="lower left", bbox_to_anchor=(0, 1), ncols=4 if count == 1 else 2)
    for ax in axes[count:]:
        ax.remove()
    return figure


def _points(ax: Axes, series: Series) -> None:
    """Mean ± standard deviation, filled; what the paper prints, hollow beside it."""
    columns = list(dict.fromkeys(m.number.column for row in series.values() for m in row))
    colours = _colours(list(series))
    for k, (label, row) in enumerate(series.items()):
        shift = 0.7 * ((k + 0.5) / len(series) - 0.5)
        x = np.array([columns.index(m.number.column) for m in row]) + shift
        mean, std = [m.mean for m in row], np.nan_to_num([m.std for m in row])
        ax.errorbar(x, mean, std, fmt="o", color=colours[label], elinewidth=0.8, label=label)
        printed = [np.nan if m.number.printed is None else m.number.printed for m in row]
        ax.plot(x, printed, "o", color=colours[label], markerfacecolor="none", alpha=0.7)
    if any(m.number.printed is not None for row in series.values() for m in row):
        ax.plot([], [], "o", color=BLACK, markerfacecolor="none", label="paper")
    ax.set_xticks(range(len(columns)), [str(c) for c in columns], rotation=40, ha="right")


def _curves(ax: Axes, series: Series) -> None:
    colours = _colours(list(series))
    for label, row in series.items():
        x = [float(m.number.column) for m in row]
        mean, std = [m.mean for m in row], [m.std for m in row]
        marker = "o" if len(x) < 12 else ""
        band(ax, x, mean, std, colours[label], label=label, marker=marker)


def _joint(ax: Axes, curves: Sequence[Measured]) -> None:
    """Figure 1 (d): accuracy against gradient norm, a point an epoch and seed."""
    quantities = _by_quantity(curves)
    accuracy, norms = quantities["test accuracy (%)"], quantities["gradient norm"]
    for label, colour in _colours(list(norms)).items():
        x = [value for m in norms[label] for value in m.values]
        y = [value for m in accuracy[label] for value in m.values]
        joint(ax, x, y, colour, label)
    ax.legend()


def _usage(curves: Sequence[Measured]) -> Figure:
    figure = new_figure()
    ax = figure.subplots()
    x = [float(m.number.column) for m in curves]
    usage(ax, x, [m.mean for m in curves], [m.std for m in curves], PALETTE[0])
    ax.set_xlabel("epochs in which a sample is used")
    return figure


def _time_to_accuracy(curves: Sequence[Measured]) -> Figure:
    figure = new_figure()
    ax = figure.subplots()
    quantities = _by_quantity(curves)
    times, accuracy = quantities["time (h)"], quantities["test accuracy (%)"]
    for label, colour in _colours(list(times)).items():
        x = [m.mean for m in times[label]]
        mean, std = [m.mean for m in accuracy[label]], [m.std for m in accuracy[label]]
        band(ax, x, mean, std, colour, label=label)
    ax.set_xlabel("training time (h)")
    ax.set_ylabel("test accuracy (%)")
    ax.legend()
    return figure
