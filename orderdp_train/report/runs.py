"""Figures of finished or running trainings, drawn from their run folders.

Runs that differ in their seed alone are repetitions: curves are means over them, bands and bars
their sample standard deviation. Runs that share data, model and recipe are shown together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from orderdp_theory.figures import Drawing
from orderdp_theory.figures.style import (
    COLUMN,
    METHOD_COLOURS,
    WIDE,
    new_figure,
    panel_letters,
    styled,
)
from orderdp_train.audit.methods import METHODS
from orderdp_train.report.figures import METHOD_MARKERS, audit_figures
from orderdp_train.report.panels import band, joint, usage
from orderdp_train.report.stored import find_audit, read_audit, read_run
from orderdp_train.reproduce import measures
from orderdp_train.reproduce.measures import Measure
from orderdp_train.reproduce.sweep import History
from orderdp_train.run import RunConfig

LINES = ("-", "--", ":", "-.")
BY_RATIO = ("training", "time-to-accuracy", "usage")  # a figure a nominal prune ratio
# What makes a method; whatever else differs makes another experiment.
OF_METHOD = ("rule", "keep", "explore", "initial_score", "anneal")


@dataclass(frozen=True)
class Group:
    """Repetitions of one training; ``config`` is theirs with seed 0."""

    config: RunConfig
    histories: tuple[History, ...]

    @property
    def method(self) -> str:
        return METHODS[self.config.rule]

    @property
    def percent(self) -> float:
        """Nominal prune ratio, in %; for InfoBatch its probability to prune below the mean."""
        return 0.0 if self.config.rule == "full" else round(100 * (1 - self.config.keep), 6)

    @property
    def explore(self) -> float:
        """s/n, which is at least q/n."""
        return max(self.config.explore, self.config.keep)

    @cached_property
    def epochs(self) -> int:
        return min(len(history.rows) for history in self.histories)

    @property
    def finished(self) -> bool:
        return self.epochs == self.config.recipe.epochs

    def measure(self, what: Measure) -> NDArray[np.float64]:
        """One value a repetition."""
        return np.array([what(history) for history in self.histories])

    def curve(self, what: Callable[[int], Measure]) -> NDArray[np.float64]:
        """Repetitions × epochs."""
        return np.stack([self.measure(what(e)) for e in range(1, self.epochs + 1)], axis=1)


def run_figures(folders: Sequence[Path]) -> tuple[dict[str, Drawing], dict[str, str]]:
    """What can be drawn from these run and audit folders, and why the rest cannot, by name.

    Raises:
        ValueError: a folder is neither, is damaged, or holds the same run as another.
    """
    runs: dict[RunConfig, list[tuple[Path, History]]] = {}
    audits = []
    for folder in dict.fromkeys(path.resolve() for path in folders):
        audit = find_audit(folder)
        if audit:
            audits.append(read_audit(audit))
        if not audit or (folder / "config.json").exists():
            config, history = read_run(folder)
            runs.setdefault(_what_counts(config), []).append((folder, history))
    for same in runs.values():
        if len(same) > 1:
            raise ValueError(f"{same[0][0]} and {same[1][0]} hold the same run; give one of them")
    groups: dict[RunConfig, list[History]] = {}
    for config, [(_, history)] in sorted(runs.items(), key=lambda item: item[0].seed):
        groups.setdefault(replace(config, seed=0), []).append(history)

    drawings: dict[str, Drawing] = {}
    left_out: dict[str, str] = {}
    for prefix, setting in _settings([Group(c, tuple(h)) for c, h in groups.items()]).items():
        for name, drawing in _of_setting(setting).items():
            if isinstance(drawing, str):
                left_out[prefix + name] = drawing
            else:
                drawings[prefix + name] = drawing
    for i, document in enumerate(audits):
        number = f"-{i + 1}" if len(audits) > 1 else ""
        for name, figure in audit_figures(document).items():
            drawings[f"audit{number}-{name}"] = Drawing(
                partial(_same, figure.figure), figure.caption
            )
    if not audits:
        left_out["audit"] = "no folder holds an audit; orderdp-train audit --run makes one"
    return drawings, left_out


def _what_counts(config: RunConfig) -> RunConfig:
    """The configuration without what its rule has no use for."""
    if config.rule == "full":
        config = replace(config, keep=1.0)
    if config.rule in ("full", "random"):
        config = replace(config, initial_score=RunConfig.initial_score)
    return config if _explores(config) else replace(config, explore=RunConfig.explore)


def _explores(config: RunConfig) -> bool:
    return config.rule.startswith("orderdp")


def _same(figure: Figure) -> Figure:
    return figure


def _settings(groups: list[Group]) -> dict[str, list[Group]]:
    """Groups that may be compared, by a prefix that says what tells them apart."""
    flat = []
    for group in groups:
        values = asdict(group.config) | asdict(group.config.recipe)
        flat.append({k: v for k, v in values.items() if k not in ("recipe", *OF_METHOD)})
    differing = [k for k in (flat[0] if flat else ()) if len({values[k] for values in flat}) > 1]
    settings: dict[str, list[Group]] = {}
    order = list(METHODS.values())
    for group, values in zip(groups, flat, strict=True):
        prefix = "".join(f"{k.replace('_', '-')}-{values[k]}-" for k in differing)
        settings.setdefault(prefix, []).append(group)
    for setting in settings.values():
        setting.sort(key=lambda g: (order.index(g.method), g.percent, *_variant(g.config)))
    return settings


def _variant(config: RunConfig) -> tuple[float, str, float]:
    return config.explore, config.initial_score, config.anneal


def _of_setting(groups: list[Group]) -> dict[str, Drawing | str]:
    """Every figure of comparable groups, or why it is left out."""
    full = [g for g in groups if g.config.rule == "full"]
    pruned = [g for g in groups if g.config.rule != "full"]
    found: dict[str, Drawing | str] = {}
    for percent in sorted({g.percent for g in pruned}) or [0.0]:
        here = [g for g in pruned if g.percent == percent]
        shown = full + here
        name, told = f"{percent:g}", _told(shown, percent)
        crowd = [m for m, count in Counter(g.method for g in shown).items() if count > len(LINES)]
        if crowd:
            reason = f"more than {len(LINES)} variants of {crowd[0]}; give fewer of these runs"
            found |= dict.fromkeys((f"{kind}-{name}" for kind in BY_RATIO), reason)
            continue
        if all(g.epochs > 1 for g in shown):
            found[f"training-{name}"] = Drawing(
                partial(_training, shown),
                f"Training dynamics {told} a, test accuracy; b, norm of the minibatch gradients, "
                "shaded its standard deviation over an epoch's steps; c, standard deviation of "
                f"that norm over the last {measures.ROLLING} epochs; d, accuracy against gradient "
                "norm, a point an epoch and run, and their Pearson's R in the legend.",
            )
            found[f"time-to-accuracy-{name}"] = Drawing(
                partial(_time_to_accuracy, shown),
                f"Time to accuracy {told} Selecting and training count, evaluation does not.",
            )
        else:
            found[f"training-{name}"] = found[f"time-to-accuracy-{name}"] = (
                "a run has a single epoch so far"
            )
        found[f"usage-{name}"] = (
            Drawing(
                partial(_usage, here),
                f"How often each sample was trained on over all epochs {_told(here, percent)}",
            )
            if here
            else "with full data every sample is used in every epoch"
        )
    complete = [g for g in groups if g.finished]
    unfinished = len(groups) - len(complete)
    waiting = f"; {unfinished} unfinished trainings do not count" if unfinished else ""
    ratios = [g for g in complete if g.config.rule != "full"]
    found["pruning"] = (
        Drawing(
            partial(_pruning, complete),
            "Final test accuracy and training time against the share of sample uses that was "
            f"really saved{_seeds(complete)}. Dashed: full data. Lines join the means at the same "
            "nominal ratio.",
        )
        if len({g.percent for g in ratios}) > 1
        else f"it needs runs at two prune ratios{waiting}"
    )
    splits = [g for g in ratios if _explores(g.config)]
    splits = [g for g in splits if len({o.explore for o in splits if _one_split(o, g)}) > 1]
    found["split"] = (
        Drawing(
            partial(_split, splits),
            "Final test accuracy and training time at fixed prune ratios against the explored "
            f"fraction s/n; q/s makes up the rest{_seeds(splits)}.",
        )
        if splits
        else f"it needs OrderDP at one prune ratio and two explored fractions s/n{waiting}"
    )
    return found


def _one_split(a: Group, b: Group) -> bool:
    return (a.config.rule, a.percent) == (b.config.rule, b.percent)


def _seeds(groups: Sequence[Group]) -> str:
    counts = sorted({len(g.histories) for g in groups})
    if counts == [1]:
        return ", one run each"
    many = " to ".join(str(c) for c in dict.fromkeys((counts[0], counts[-1])))
    return f", mean ± standard deviation of {many} runs each"


def _told(groups: Sequence[Group], percent: float) -> str:
    """The part of a caption that says what was pruned, and how much of it really."""
    text = (
        f"at {percent:g} % pruned{_seeds(groups)}." if percent else f"on all data{_seeds(groups)}."
    )
    saved = [g.measure(measures.saved).mean() for g in groups if g.config.rule == "infobatch"]
    if saved:
        really = " and ".join(f"{value:.0f} %" for value in saved)
        text += f" For InfoBatch that is a probability: it really saved {really}."
    return text


def _labels(groups: Sequence[Group], *, ratio: bool = False) -> dict[RunConfig, str]:
    """The methods' names, and after them what else tells groups apart."""
    labels = {}
    for g in groups:
        others = [o for o in groups if o.method == g.method]
        details = {
            f"{g.percent:g} % pruned": ratio and len({o.percent for o in others}) > 1,
            f"s/n = {g.explore:g}": len({o.explore for o in others}) > 1,
            f"scores from {g.config.initial_score}": len({o.config.initial_score for o in others})
            > 1,
            f"annealed {g.config.anneal:g}": len({o.config.anneal for o in others}) > 1,
        }
        labels[g.config] = ", ".join([g.method, *(text for text, tell in details.items() if tell)])
    return labels


def _looks(groups: Sequence[Group], *, ratio: bool = False) -> list[tuple[Group, dict[str, Any]]]:
    """A method's own colour and marker; line styles tell its variants apart."""
    labels, seen = _labels(groups, ratio=ratio), dict.fromkeys(METHODS.values(), 0)
    looks = []
    for g in groups:
        line = LINES[seen[g.method] % len(LINES)]
        seen[g.method] += 1
        look = {"color": METHOD_COLOURS[g.method], "linestyle": line, "label": labels[g.config]}
        looks.append((g, look | {"marker": METHOD_MARKERS[g.method]}))
    return looks


def _mean_std(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Over the repetitions (axis 0); no deviation of a single one."""
    alone = len(values) == 1
    return values.mean(0), np.zeros_like(values[0]) if alone else values.std(0, ddof=1)


def _accuracy(epoch: int) -> Measure:
    return measures.at_epoch("test_accuracy", epoch, 100)


def _clock(longest: float) -> tuple[float, str]:
    """Hours in one unit of the axis, and its name, for times up to ``longest`` hours."""
    units = ((1.0, "h"), (1 / 60, "min"), (1 / 3600, "s"))
    return next((unit for unit in units if longest >= unit[0]), units[-1])


def _legend(figure: Figure, ax: Axes) -> None:
    handles, names = ax.get_legend_handles_labels()
    inches = 0.6 + 0.065 * max(map(len, names))  # of the longest entry, at the legend's size
    columns = max(1, int(figure.get_figwidth() / inches))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, handlelength=2.6)


def _by_epoch(
    ax: Axes, x: ArrayLike, mean: ArrayLike, std: ArrayLike, look: dict[str, Any]
) -> None:
    """A band whose markers are few enough to be seen apart."""
    band(ax, x, mean, std, **look, markevery=max(1, -(-np.size(x) // 10)), markersize=3)


@styled
def _training(groups: list[Group]) -> Figure:
    figure = new_figure(WIDE, 4.6)
    axes = figure.subplots(2, 2).flatten()
    for g, look in _looks(groups):
        x = np.arange(1, g.epochs + 1)
        accuracy = g.curve(_accuracy)
        norms = g.curve(partial(measures.at_epoch, "grad_norm_mean"))
        steps = g.curve(partial(measures.at_epoch, "grad_norm_std"))
        if np.ptp(accuracy, 1).all() and np.ptp(norms, 1).all():
            r = g.measure(measures.accuracy_gradient_correlation).mean()
            look["label"] += f" (R = {r:.2f})".replace("-", "\u2212")
        _by_epoch(axes[0], x, *_mean_std(accuracy), look)
        _by_epoch(axes[1], x, norms.mean(0), steps.mean(0), look)
        # A deviation needs two epochs.
        rolling = g.curve(measures.rolling_deviation)[:, 1:]
        _by_epoch(axes[2], x[1:], *_mean_std(rolling), look)
        joint(axes[3], norms, accuracy, look["color"], look["label"], look["marker"])
    labels = ("test accuracy (%)", "gradient norm", "deviation of gradient norm")
    for ax, label in zip(axes, labels, strict=False):
        ax.set_xlabel("epoch")
        ax.set_ylabel(label)
        ax.xaxis.get_major_locator().set_params(integer=True)
    for ax in axes[1:3]:
        ax.set_ylim(bottom=0)
    panel_letters(*axes)
    _legend(figure, axes[0])
    return figure


@styled
def _time_to_accuracy(groups: list[Group]) -> Figure:
    figure = new_figure(COLUMN, 2.0 + 0.17 * len(groups))
    ax = figure.subplots()
    hours = [g.curve(measures.hours_until).mean(0) for g in groups]
    unit, name = _clock(max(h[-1] for h in hours))
    for (g, look), h in zip(_looks(groups), hours, strict=True):
        _by_epoch(ax, h / unit, *_mean_std(g.curve(_accuracy)), look)
    ax.set_xlim(left=0)
    ax.set_xlabel(f"training time ({name})")
    ax.set_ylabel("test accuracy (%)")
    _legend(figure, ax)
    return figure


@styled
def _usage(groups: list[Group]) -> Figure:
    figure = new_figure(COLUMN, 0.5 + 1.3 * len(groups))
    axes = figure.subplots(len(groups), sharex=True, sharey=True, squeeze=False).flatten()
    most = max(int(h.usage.max()) for g in groups for h in g.histories)
    labels = _labels(groups)
    for g, ax in zip(groups, axes, strict=True):
        counts = np.arange(most + 1)
        samples = [np.bincount(h.usage, minlength=most + 1) for h in g.histories]
        mean, std = _mean_std(np.array(samples, dtype=float))
        usage(ax, counts.tolist(), mean, std, METHOD_COLOURS[g.method])
        ax.set_title(labels[g.config], loc="left")
        ax.set_title(f"never used: {mean[0]:g}", loc="right")
    axes[0].set_ylim(bottom=0)
    axes[-1].set_xlabel("times a sample is used")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    return figure


def _two_panels(groups: Sequence[Group]) -> tuple[Figure, Axes, Axes, float]:
    """Final accuracy and time side by side, and the hours in a unit of the second."""
    figure = new_figure(WIDE, 2.8)
    left, right = figure.subplots(1, 2)
    unit, name = _clock(max(g.measure(measures.hours).max() for g in groups))
    left.set_ylabel("test accuracy (%)")
    right.set_ylabel(f"training time ({name})")
    panel_letters(left, right)
    return figure, left, right, unit


def _results(g: Group, unit: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return g.measure(measures.final_accuracy), g.measure(measures.hours) / unit


@styled
def _pruning(groups: list[Group]) -> Figure:
    figure, *axes, unit = _two_panels(groups)
    for method in dict.fromkeys(g.method for g in groups):
        own = [g for g in groups if g.method == method]
        colour, marker = METHOD_COLOURS[method], METHOD_MARKERS[method]
        for k, ax in enumerate(axes):
            if own[0].config.rule == "full":
                level = float(np.mean([_results(g, unit)[k].mean() for g in own]))
                ax.axhline(level, color=colour, linestyle="--", linewidth=1, label=method)
                continue
            joined: dict[float, list[tuple[float, float]]] = {}
            for g in own:
                mean, std = _mean_std(_results(g, unit)[k])
                saved = float(g.measure(measures.saved).mean())
                ax.errorbar(saved, mean, std, fmt=marker, color=colour, elinewidth=0.8)
                joined.setdefault(g.percent, []).append((saved, float(mean)))
            x, y = zip(*(np.mean(points, 0) for points in joined.values()), strict=True)
            ax.plot(x, y, color=colour)
            ax.plot([], [], color=colour, marker=marker, label=method)
    for ax in axes:
        ax.set_xlabel("sample uses saved (%)")
    axes[1].set_ylim(bottom=0)
    _legend(figure, axes[0])
    return figure


@styled
def _split(groups: list[Group]) -> Figure:
    figure, *axes, unit = _two_panels(groups)
    first: list[Group] = []
    for g in groups:
        if not any(_one_split(g, o) for o in first):
            first.append(g)
    for head, look in _looks(first, ratio=True):
        own = sorted((g for g in groups if _one_split(g, head)), key=lambda g: g.explore)
        look["label"] = f"{head.method}, {head.percent:g} % pruned"
        for k, ax in enumerate(axes):
            points = [_mean_std(_results(g, unit)[k]) for g in own]
            mean, std = zip(*points, strict=True)
            ax.errorbar([g.explore for g in own], mean, std, elinewidth=0.8, **look)
    for ax in axes:
        ax.set_xlabel("explored fraction s/n")
    axes[1].set_ylim(bottom=0)
    _legend(figure, axes[0])
    return figure
