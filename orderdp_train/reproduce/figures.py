"""The picture that goes with a reproduced result."""

from collections.abc import Callable, Sequence
from itertools import cycle
from textwrap import fill as wrapped
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from orderdp_theory.common.palette import BLACK, BLUE, GREY, ORANGE, PALETTE
from orderdp_theory.common.style import WIDE, new_figure, panel_letters, styled
from orderdp_train.reproduce.outcome import Measured
from orderdp_train.reproduce.results import Result
from orderdp_train.reproduce.scales import METHODS, STATIC
from orderdp_train.rules import rule_class
from orderdp_train.runs.panels import band, joint, usage

COLOURS = {m: colour for m, name in METHODS.items() if (colour := rule_class(name).colour)}
MANY = 24  # rows that still stand beside each other
FEW = 4  # columns whose names do, in two lines
Series = dict[str, list[Measured]]


@styled
def draw(result: Result, measured: Sequence[Measured]) -> Figure:
    """Tables become points beside the printed ones, figures what they are in the paper."""
    curves = [m for m in measured if not isinstance(m.number.column, str)]
    if result.name == "bias":
        return _bias_and_accuracy(measured)
    if not curves:
        if len({m.number.row for m in measured}) <= MANY:
            return _panels(measured, _points)
        # Differences to one row would be the same picture, shifted.
        own = [m for m in measured if m.number.baseline is None]
        return _panels(own, _dots, height=4.6)
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
    measured: Sequence[Measured],
    fill: Callable[[Axes, Series], None],
    spare: bool = False,
    height: float = 2.6,
) -> Figure:
    """One panel a quantity, side by side or two by two, and an empty last one if asked for."""
    quantities = _by_quantity(measured)
    count = len(quantities) + spare
    columns = min(count, 2 if count != 3 else 3)
    lines = -(-count // columns)
    figure = new_figure(WIDE, height * lines)
    axes = figure.subplots(lines, columns, squeeze=False).flatten()
    for ax, (quantity, series) in zip(axes, quantities.items(), strict=False):
        ax.set_ylabel(wrapped(quantity, 24))
        # What all its rows end with, the axis says.
        endings = {label.partition(": ")[2] for label in series}
        ending = f": {endings.pop()}" if len(endings) == 1 else ""
        fill(ax, {label.removesuffix(ending): row for label, row in series.items()})
        # Above the panel, where it hides no point.
        ax.legend(fontsize=6, loc="lower left", bbox_to_anchor=(0, 1), ncols=4 if count == 1 else 2)
    for ax in axes[count:]:
        ax.remove()
    return figure


def _points(ax: Axes, series: Series) -> None:
    """Mean ± what tables have there, filled; what the paper prints, hollow beside it."""
    columns = list(dict.fromkeys(m.number.column for row in series.values() for m in row))
    colours = _colours(list(series))
    for k, (label, row) in enumerate(series.items()):
        shift = 0.7 * ((k + 0.5) / len(series) - 0.5)
        x = np.array([columns.index(m.number.column) for m in row]) + shift
        mean, spread = [m.mean for m in row], np.nan_to_num([m.spread for m in row])
        marker = "osD^"[k // len(PALETTE) % 4]  # colours that come again
        ax.errorbar(x, mean, spread, fmt=marker, color=colours[label], elinewidth=0.8, label=label)
        printed = [np.nan if m.number.printed is None else m.number.printed for m in row]
        ax.plot(x, printed, marker, color=colours[label], markerfacecolor="none", alpha=0.7)
    if any(m.number.printed is not None for row in series.values() for m in row):
        ax.plot([], [], "o", color=BLACK, markerfacecolor="none", label="paper")
    names = [str(c) for c in columns]
    if len(names) > FEW:
        ax.set_xticks(range(len(names)), names, rotation=40, ha="right")
    else:
        ax.set_xticks(
            range(len(names)), [wrapped(name.replace(" %", "\u00a0%"), 16) for name in names]
        )


def _dots(ax: Axes, series: Series) -> None:
    """The same with a line a row, for many rows, and a colour a column."""
    columns = list(dict.fromkeys(m.number.column for row in series.values() for m in row))
    for k, (column, colour) in enumerate(zip(columns, cycle(PALETTE), strict=False)):
        own = [(y, m) for y, row in enumerate(series.values()) for m in row]
        own = [(y, m) for y, m in own if m.number.column == column]
        y = np.array([y for y, _ in own]) + 0.6 * ((k + 0.5) / len(columns) - 0.5)
        mean, spread = [m.mean for _, m in own], np.nan_to_num([m.spread for _, m in own])
        ax.errorbar(mean, y, None, spread, fmt="o", color=colour, elinewidth=0.8, label=str(column))
        printed = [np.nan if m.number.printed is None else m.number.printed for _, m in own]
        ax.plot(printed, y, "o", color=colour, markerfacecolor="none", alpha=0.7)
    ax.plot([], [], "o", color=BLACK, markerfacecolor="none", label="paper")
    ax.set_yticks(range(len(series)), [label.removesuffix(": drop") for label in series])
    ax.invert_yaxis()
    ax.set_xlabel(ax.get_ylabel())
    ax.set_ylabel("")


def _bias_and_accuracy(measured: Sequence[Measured]) -> Figure:
    """Accuracy, as errors on a logarithmic scale, against bias and its angle.

    A numbered point is a method; where several are at one place, lines lead to their numbers.
    """
    found = _by_quantity(measured)
    methods = list(found["test accuracy (%)"])
    figure = new_figure(WIDE, 3.6)
    *axes, key = figure.subplots(1, 3, width_ratios=[1, 1, 0.62])
    for ax, quantity in zip(axes, ("relative bias", "angle (degrees)"), strict=True):
        x = [found[quantity][m][0] for m in methods]
        y = [found["test accuracy (%)"][m][0] for m in methods]
        # Bars in the logarithm, so that one longer than its error has a lower end.
        errors = [max(100 - m.mean, 0.01) for m in y]
        for method, across, up, error in zip(methods, x, y, errors, strict=True):
            across_std, relative = np.nan_to_num([across.std, up.std / error])
            bars = [[error - error / (1 + relative)], [error * relative]]
            colour, marker, _ = _kind(method)
            ax.errorbar(
                *(across.mean, error, bars, across_std),
                fmt=marker, color=colour, elinewidth=0.5, alpha=0.8,
            )  # fmt: skip
        ax.set_yscale("log")
        ax.invert_yaxis()
        ax.yaxis.set_major_locator(LogLocator(10, (1, 2, 3, 5)))
        ax.yaxis.set_major_formatter(lambda error, _: f"{100 - error:g}")
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_xlabel(f"{quantity} of the expected gradient")
        number_points(figure, ax, [m.mean for m in x], errors)
    axes[0].set_ylabel("test accuracy (%), errors on a logarithmic scale")
    panel_letters(*axes)
    key.set_axis_off()
    for k, method in enumerate(methods):
        colour, _, _ = _kind(method)
        words = f"{k + 1:2d}  {method}"
        place = (0, 1 - (k + 0.5) / (len(methods) + 3))
        key.annotate(words, place, xycoords="axes fraction", fontsize=6, va="center", color=colour)
    for colour, marker, kind in dict.fromkeys(map(_kind, methods)):
        key.plot([], [], marker, color=colour, label=kind)
    key.legend(loc="lower left", ncols=3, fontsize=6, handlelength=0.8, columnspacing=0.8)
    return figure


def _kind(method: str) -> tuple[str, str, str]:
    """Colour, marker and name of the kind of a method."""
    if METHODS[method] == "full":
        return BLACK, "D", "full"
    return (ORANGE, "s", "static") if method in STATIC else (BLUE, "o", "dynamic")


def number_points(figure: Figure, ax: Axes, x: Sequence[float], y: Sequence[float]) -> None:
    """Write 1, 2, … beside the points, each at the place where the fewest others are near.

    Distances are in points of print; the numbers are placed one after the other.
    """
    figure.draw_without_rendering()
    scale = 72 / figure.dpi
    points = scale * ax.transData.transform(np.column_stack([x, y]))
    angles = np.arange(16) * np.pi / 8
    offsets = np.concatenate(
        [r * np.column_stack([np.cos(angles), np.sin(angles)]) for r in (6, 9, 13)]
    )
    taken = points
    for k, point in enumerate(points):
        places = point + offsets
        crowd = (np.exp(-((places[:, None] - taken) ** 2).sum(2) / 2 / 4**2)).sum(1)
        best = int(np.argmin(crowd + np.repeat([0, 0.15, 0.3], len(angles))))
        taken = np.vstack([taken, places[best]])
        far = np.hypot(*offsets[best]) > 8
        ax.annotate(
            str(k + 1), (x[k], y[k]), offsets[best], textcoords="offset points",
            fontsize=5.5, ha="center", va="center",
            arrowprops={"arrowstyle": "-", "lw": 0.3, "color": GREY} if far else None,
        )  # fmt: skip


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
