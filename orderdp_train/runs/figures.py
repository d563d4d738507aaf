"""Figures of finished or running trainings, drawn from their run folders.

Runs that differ in their seed alone are repetitions: curves are means over them, bands and bars
their sample standard deviation. Runs that share data, model and recipe are shown together.
"""

from __future__ import annotations

import math
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

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.palette import PALETTE
from orderdp_theory.common.style import COLUMN, WIDE, new_figure, panel_letters, styled
from orderdp_theory.figures import Drawing
from orderdp_train.rules import RULES, looks
from orderdp_train.runs import measures
from orderdp_train.runs.config import RunConfig
from orderdp_train.runs.folder import RunFolder
from orderdp_train.runs.history import History
from orderdp_train.runs.measures import Measure
from orderdp_train.runs.panels import band, joint, usage

LINES = ("-", "--", ":", "-.")
BY_RATIO = ("training", "time-to-accuracy", "usage")  # a figure a nominal prune ratio


@dataclass(frozen=True)
class Group:
    """Repetitions of one training; `config` is theirs with seed 0."""

    config: RunConfig
    histories: tuple[History, ...]

    @property
    def method(self) -> str:
        return self.config.rule.rule.label

    @property
    def percent(self) -> float:
        """Nominal prune ratio, in %; for InfoBatch its probability to prune below the mean."""
        return round(100 * (1 - self.config.rule.keep), 6)

    @property
    def explore(self) -> float:
        """s/n, which is at least q/n; NaN for a rule that draws no candidates."""
        return max(float(self.config.rule.options.get("explore", math.nan)), self.config.rule.keep)

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
    """What can be drawn from these run folders, and why the rest cannot, by name.

    Raises:
        ValueError: a folder holds no run, is damaged, or holds the same run as another.
    """
    runs: dict[RunConfig, list[tuple[Path, History]]] = {}
    for path in dict.fromkeys(folder.resolve() for folder in folders):
        folder = RunFolder(path)
        runs.setdefault(folder.config(), []).append((path, folder.history()))
    for same in runs.values():
        if len(same) > 1:
            raise InputError(f"{same[0][0]} and {same[1][0]} hold the same run; give one of them")
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
    return drawings, left_out


def _settings(groups: list[Group]) -> dict[str, list[Group]]:
    """Groups that may be compared, by a prefix that says what tells them apart."""
    flat = []
    for group in groups:
        values = asdict(group.config) | asdict(group.config.recipe)
        flat.append({k: v for k, v in values.items() if k not in ("recipe", "rule")})
    differing = [k for k in (flat[0] if flat else ()) if len({values[k] for values in flat}) > 1]
    settings: dict[str, list[Group]] = {}
    order = [cls.label for cls in RULES.values()]
    for group, values in zip(groups, flat, strict=True):
        prefix = "".join(f"{k.replace('_', '-')}-{values[k]}-" for k in differing)
        settings.setdefault(prefix, []).append(group)
    for setting in settings.values():
        setting.sort(key=lambda g: (order.index(g.method), g.percent, *_variant(g.config)))
    return settings


def _variant(config: RunConfig) -> tuple[str, ...]:
    return tuple(str(value) for value in config.rule.options.values())


def _of_setting(groups: list[Group]) -> dict[str, Drawing | str]:
    """Every figure of comparable groups, or why it is left out."""
    full = [g for g in groups if g.config.rule.name == "full"]
    pruned = [g for g in groups if g.config.rule.name != "full"]
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
    ratios = [g for g in complete if g.config.rule.name != "full"]
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
    splits = [g for g in ratios if not math.isnan(g.explore)]
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
    return (a.config.rule.name, a.percent) == (b.config.rule.name, b.percent)


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
    saved = [g.measure(measures.saved).mean() for g in groups if g.config.rule.name == "infobatch"]
    if saved:
        really = " and ".join(f"{value:.0f} %" for value in saved)
        text += f" For InfoBatch that is a probability: it really saved {really}."
    return text


# What an option is called in a legend, where its name does not say it.
OPTION_WORDS = {"explore": "s/n =", "initial_score": "scores from", "anneal": "annealed"}


def _effective(group: Group) -> dict[str, Any]:
    """The rule's options, s/n as it really is."""
    options = dict(group.config.rule.options)
    return options | {"explore": group.explore} if "explore" in options else options


def _labels(groups: Sequence[Group], *, ratio: bool = False) -> dict[RunConfig, str]:
    """The methods' names, and after them what else tells groups apart."""
    labels = {}
    for g in groups:
        others = [o for o in groups if o.method == g.method]
        told = [f"{g.percent:g} % pruned"] if ratio and len({o.percent for o in others}) > 1 else []
        for option, value in _effective(g).items():
            if option != "keep" and len({_effective(o)[option] for o in others}) > 1:
                shown = value if isinstance(value, str) else f"{value:g}"
                told.append(f"{OPTION_WORDS.get(option, option)} {shown}")
        labels[g.config] = ", ".join([g.method, *told])
    return labels


def _looks(groups: Sequence[Group], *, ratio: bool = False) -> list[tuple[Group, dict[str, Any]]]:
    """A method's own colour and marker; line styles tell its variants apart."""
    labels, seen = _labels(groups, ratio=ratio), dict.fromkeys((g.method for g in groups), 0)
    look_of = looks(list(seen), PALETTE)
    shown = []
    for g in groups:
        line = LINES[seen[g.method] % len(LINES)]
        seen[g.method] += 1
        colour, marker = look_of[g.method]
        look = {"color": colour, "linestyle": line, "label": labels[g.config], "marker": marker}
        shown.append((g, look))
    return shown


def _mean_std(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Over the repetitions (axis 0); no deviation of a single one."""
    alone = len(values) == 1
    return values.mean(0), np.zeros_like(values[0]) if alone else values.std(0, ddof=1)


def _accuracy(epoch: int) -> Measure:
    return measures.at_epoch("test_accuracy", epoch, 100)


def _clock(longest: float) -> tuple[float, str]:
    """Hours in one unit of the axis, and its name, for times up to `longest` hours."""
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
    labels, look_of = _labels(groups), looks(list({g.method: 0 for g in groups}), PALETTE)
    for g, ax in zip(groups, axes, strict=True):
        counts = np.arange(most + 1)
        samples = [np.bincount(h.usage, minlength=most + 1) for h in g.histories]
        mean, std = _mean_std(np.array(samples, dtype=float))
        usage(ax, counts.tolist(), mean, std, look_of[g.method][0])
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
    for method, (colour, marker) in looks(list({g.method: 0 for g in groups}), PALETTE).items():
        own = [g for g in groups if g.method == method]
        for k, ax in enumerate(axes):
            if own[0].config.rule.name == "full":
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
