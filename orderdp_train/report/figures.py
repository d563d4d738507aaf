"""Figures of an audit: one colour and name a method everywhere, text alternatives with numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orderdp_theory.common.palette import (
    AMBER,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    PINK,
    SKY,
    WINE,
)
from orderdp_theory.common.style import SEQUENTIAL, WIDE, new_figure, panel_letters, styled
from orderdp_theory.figures import Drawing
from orderdp_train.auditing.result import RuleAudit
from orderdp_train.report.document import Document
from orderdp_train.report.verdict import angle
from orderdp_train.rules import looks

CAUSES = {
    "ranking": BLUE,
    "score noise": PINK,
    "survivorship": WINE,
    "staleness": SKY,
    "normalisation": ORANGE,
    "draw": GREY,
    "reuse": GREEN,
    "minibatches": AMBER,
}
# More rules than this are a grid, which lines cannot show.
MOST_LINES = 8


@dataclass(frozen=True)
class ReportFigure:
    """A figure with the caption printed under it and the text that stands in for it."""

    figure: Figure
    caption: str
    alternative: str


def audit_figures(document: Document) -> dict[str, ReportFigure]:
    """All figures that this audit has numbers for, by file name without extension."""
    figures = {}
    if len(document.series()) > MOST_LINES:
        figures["grid"] = ReportFigure(
            _grid(document),
            "All rules at the last point: what they keep, and how far their expected gradient "
            "is from the full one.",
            _last(document, "relative bias", lambda rule: f"{rule.bias:.2f}"),
        )
    else:
        figures["gradient"] = ReportFigure(
            _gradient(document),
            "The expected gradient of each method against the full one over its own training: "
            "a, angle between them; b, length; c, norm of the bias relative to the full gradient.",
            _last(
                document,
                "angle, length and bias",
                lambda r: f"{angle(r.cosine):.0f} degrees, {r.scale:.2f}, {r.bias:.2f}",
            ),
        )
        figures["causes"] = ReportFigure(
            _causes(document),
            "The bias by cause. The causes are vectors that add up to the bias exactly; shown are "
            "their norms relative to the full gradient. Draw, reuse and minibatches: what the next "
            "real epoch adds. Lines: root mean square errors.",
            _last(
                document,
                "norms of the causes",
                lambda r: ", ".join(f"{cause} {v:.2f}" for cause, v in r.parts.items()),
            ),
        )
        figures["layers"] = ReportFigure(
            _layers(document),
            "Bias of the expected gradient by parameter tensor at the last point, relative to "
            "that tensor's full gradient.",
            _last(
                document,
                "largest relative bias of a tensor",
                lambda r: f"{max((layer.bias for layer in r.layers), default=0):.2f}",
            ),
        )
    known = [rule for _, rule in document.rows() if rule.variance is not None]
    if known and len(document.series()) <= MOST_LINES:
        figures["noise"] = ReportFigure(
            _noise(document),
            "Bias against noise: the norm of the bias and the standard deviation of one "
            "selection's gradient, both relative to the full gradient, over training (later "
            "points are darker). Above the dashed line the bias is the larger error.",
            _last(
                document,
                "standard deviation of one selection's gradient",
                lambda r: "unknown" if r.variance is None else f"{r.variance**0.5:.2f}",
            ),
        )
    return figures


def drawings_of(documents: Sequence[Document]) -> dict[str, Drawing]:
    """The figures of audits as drawings, by file name; numbered if there are several audits."""
    drawings = {}
    for i, document in enumerate(documents, 1):
        prefix = f"audit-{i}" if len(documents) > 1 else "audit"
        for name, figure in audit_figures(document).items():
            drawings[f"{prefix}-{name}"] = Drawing(partial(_same, figure.figure), figure.caption)
    return drawings


def _same(figure: Figure) -> Figure:
    return figure


def _last(document: Document, what: str, value: Callable[[RuleAudit], str]) -> str:
    rows = "; ".join(f"{rule.method}: {value(rule)}" for _, rule in document.last())
    return f"At the last point, {what}: {rows}."


@styled
def _gradient(document: Document) -> Figure:
    figure = new_figure(WIDE, 2.6)
    axes = figure.subplots(1, 3)
    values: tuple[Callable[[RuleAudit], float], ...] = (
        lambda rule: angle(rule.cosine),
        lambda rule: rule.scale,
        lambda rule: rule.bias,
    )
    labels = ("angle to ∇L (degrees)", "length relative to ∇L", "bias relative to ∇L")
    for ax, value, label in zip(axes, values, labels, strict=True):
        _over_training(ax, document, value)
        ax.set_ylabel(label)
    axes[0].set_ylim(bottom=-3)
    axes[1].axhline(1, color=BLACK, linewidth=0.6, linestyle=":")
    panel_letters(*axes)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure


def _over_training(ax: Axes, document: Document, value: Callable[[RuleAudit], float]) -> None:
    look = looks(list(document.series()), PALETTE)
    for method, rows in document.series().items():
        colour, marker = look[method]
        ax.plot(
            [100 * point.progress for point, _ in rows],
            [value(rule) for _, rule in rows],
            marker=marker,
            color=colour,
            label=method,
        )
    ax.set_xlabel("training done (%)")


@styled
def _causes(document: Document) -> Figure:
    series = document.series()
    known = {cause for _, rule in document.rows() for cause in _parts(rule)}
    shown = [cause for cause in CAUSES if cause in known]
    columns = min(3, len(series))
    rows = -(-len(series) // columns)
    figure = new_figure(WIDE, 0.6 + 1.6 * rows)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax, (method, points) in zip(axes.flat, series.items(), strict=False):
        ax.set_title(method, loc="left")
        width = 0.8 / len(shown)
        for k, cause in enumerate(shown):
            heights = [_parts(rule).get(cause, 0.0) for _, rule in points]
            splits = [rule.split for _, rule in points]
            errors = [split.errors.get(cause, 0.0) if split else 0.0 for split in splits]
            places = np.arange(len(points)) + (k - (len(shown) - 1) / 2) * width
            error = {"yerr": errors, "error_kw": {"elinewidth": 0.6}} if any(errors) else {}
            ax.bar(places, heights, width, color=CAUSES[cause], label=cause, **error)
        ax.set_xticks(
            np.arange(len(points)), [f"{100 * point.progress:.0f}" for point, _ in points]
        )
        ax.set_xlim(-0.6, max(len(points), 3) - 0.4)  # a single point would get bars as wide as all
        ax.grid(axis="x", visible=False)
    for ax in axes.flat[len(series) :]:
        ax.set_axis_off()
    for ax in axes[-1]:
        ax.set_xlabel("training done (%)")
    for ax in axes[:, 0]:
        ax.set_ylabel("norm relative to ∇L")
    handles, names = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(shown))
    return figure


def _parts(rule: RuleAudit) -> dict[str, float]:
    """The norms of all causes, those of the epoch that follows included."""
    return rule.epoch.parts if rule.epoch else rule.parts


@styled
def _layers(document: Document) -> Figure:
    last = document.last()
    names = [layer.name for layer in last[0][1].layers]
    figure = new_figure(WIDE, 1.0 + 0.19 * min(len(names), 40))
    ax = figure.subplots()
    look = looks([rule.method for _, rule in last], PALETTE)
    for _, rule in last:
        colour, marker = look[rule.method]
        biases = {layer.name: layer.bias for layer in rule.layers}
        ax.plot(
            [biases.get(name, np.nan) for name in names],
            range(len(names)),
            marker=marker,
            linestyle="none",
            color=colour,
            label=rule.method,
        )
    shown = range(0, len(names), -(-len(names) // 40))
    ax.set_yticks(list(shown), [names[i] for i in shown])
    ax.invert_yaxis()
    ax.set_xlim(left=-0.05)
    ax.set_xlabel("bias relative to the tensor's ∇L")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def _noise(document: Document) -> Figure:
    figure = new_figure(WIDE / 1.6, 3.0)
    ax = figure.subplots()
    largest = 0.1
    look = looks(list(document.series()), PALETTE)
    for method, rows in document.series().items():
        points = [(r.variance**0.5, r.bias) for _, r in rows if r.variance is not None]
        if not points:
            continue
        x, y = zip(*points, strict=True)
        largest = max(largest, *x, *y)
        tone, shape = look[method]
        ax.plot(x, y, color=tone, linewidth=0.5)
        for k, (a, b) in enumerate(points):
            ax.plot(
                a,
                b,
                color=tone,
                marker=shape,
                linestyle="none",
                alpha=0.35 + 0.65 * (k + 1) / len(points),
                label=method if k == len(points) - 1 else None,
            )
    ax.plot([0, largest], [0, largest], color=BLACK, linewidth=0.6, linestyle="--")
    ax.set_xlabel("standard deviation of one selection's gradient, relative to ∇L")
    ax.set_ylabel("bias relative to ∇L")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@styled
def _grid(document: Document) -> Figure:
    last = document.last()
    kept = [100 * rule.kept_fraction for _, rule in last]
    figure = new_figure(WIDE, 2.6)
    axes = figure.subplots(1, 3)
    values = (
        [angle(rule.cosine) for _, rule in last],
        [rule.scale for _, rule in last],
        [rule.bias for _, rule in last],
    )
    predicted = [rule.scale_predicted for _, rule in last]
    labels = ("angle to ∇L (degrees)", "length relative to ∇L", "bias relative to ∇L")
    points = None
    for ax, value, label in zip(axes, values, labels, strict=True):
        points = ax.scatter(kept, value, c=predicted, cmap=SEQUENTIAL, s=14, edgecolors="none")
        ax.set_xlabel("kept (%)")
        ax.set_ylabel(label)
    panel_letters(*axes)
    if points is not None:
        figure.colorbar(points, ax=list(axes), label="s/q")
    return figure
