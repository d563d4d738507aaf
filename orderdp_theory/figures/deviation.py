"""Figures of how far the weights γ_j/q are from uniform ones (Theorem 4 and its replacement)."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orderdp_theory.common.palette import BLACK, BLUE, GREY, ORANGE
from orderdp_theory.common.style import SEQUENTIAL, WIDE, new_figure, panel_letters, styled
from orderdp_theory.design import Design
from orderdp_theory.deviation import chi, spectrum_deviation, total_variation
from orderdp_theory.exact import inclusion_probabilities_exact
from orderdp_theory.inclusion import inclusion_probabilities

RANK = "rank j (largest loss first)"


def _per_rank(ax: Axes, n: int, s: int, sizes: range, normalised: bool) -> None:
    """γ_j, or γ_j/q, for designs that differ in q, with uniform sampling at the same budget."""
    for shade, q in zip(np.linspace(0.1, 1, len(sizes)), sizes, strict=True):
        scale = q if normalised else 1
        gamma = inclusion_probabilities(Design(n, s, q)) / scale
        ax.plot(np.arange(1, n + 1), gamma, color=SEQUENTIAL(shade), label=f"{q}")
        if not normalised:
            ax.axhline(q / n, color=SEQUENTIAL(shade), linewidth=0.7, linestyle=(0, (1, 2)))
    ax.set_xlabel(RANK)
    ax.set_xlim(0, n)
    ax.set_ylim(bottom=0)


@styled
def figure_6() -> Figure:
    """Paper, Figure 6."""
    figure = new_figure()
    ax = figure.subplots()
    _per_rank(ax, 200, 100, range(20, 101, 20), normalised=False)
    ax.plot([], [], color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), label="uniform")
    ax.set_ylabel(r"inclusion probability $\gamma_j$")
    figure.legend(*ax.get_legend_handles_labels(), title="q", loc="outside right upper")
    return figure


@styled
def figure_7() -> Figure:
    """Paper, Figure 7."""
    n, s = 400, 100
    figure = new_figure()
    ax = figure.subplots()
    _per_rank(ax, n, s, range(20, 101, 20), normalised=True)
    ax.axhline(1 / n, color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), label="uniform")
    ax.set_ylabel(r"weight $\gamma_j/q$")
    figure.legend(*ax.get_legend_handles_labels(), title="q", loc="outside right upper")
    return figure


@styled
def figure_8() -> Figure:
    """Paper, Figure 8: what it measures is the arithmetic, since the sum is exactly 1."""
    n, s = 400, 100
    sizes = range(10, 101, 10)
    designs = [Design(n, s, q) for q in sizes]
    epsilon = np.finfo(np.float64).eps
    floats = [(math.fsum(inclusion_probabilities(d)) / d.q - 1) / epsilon for d in designs]
    naive = [(_log_gamma_sum(d) / d.q - 1) / epsilon for d in designs]
    exact = [float(sum(inclusion_probabilities_exact(d)) / d.q - 1) for d in designs]
    figure = new_figure()
    ax = figure.subplots()
    ax.plot(sizes, naive, "s", color=ORANGE, label="Eq. 3 by log-gamma, float64")
    ax.plot(sizes, floats, "o", color=BLUE, label="inclusion_probabilities, float64")
    ax.plot(sizes, exact, color=BLACK, linewidth=0.9, label="rational arithmetic: exactly 1")
    ax.set_yscale("symlog", linthresh=1)
    ax.set_yticks([0, -1, -10, -100], ["0", "−1", "−10", "−100"])
    ax.set_xlabel("exploitation size q")
    ax.set_ylabel(r"$(\Sigma_j\,\gamma_j/q - 1)\,/\,2^{-52}$")
    ax.legend()
    return figure


def _log_gamma_sum(design: Design) -> float:
    """Σ_j γ_j as a first program would compute Eq. 3: logarithms of factorials."""
    n, s, q = design.n, design.s, design.q

    def log_choose(top: int, bottom: int) -> float:
        return math.lgamma(top + 1) - math.lgamma(bottom + 1) - math.lgamma(top - bottom + 1)

    return sum(
        math.exp(log_choose(j - 1, i - 1) + log_choose(n - j, s - i) - log_choose(n, s))
        for j in range(1, n + 1)
        for i in range(max(1, s - n + j), min(q, j) + 1)
    )


@styled
def deviation() -> Figure:
    """C_s and the total deviation against q; the paper says that both vanish as q → s."""
    n, s = 200, 100
    sizes = np.arange(20, s + 1)
    designs = [Design(n, s, int(q)) for q in sizes]
    largest = np.array([spectrum_deviation(d) for d in designs])
    total = np.array([2 * total_variation(d) for d in designs])
    figure = new_figure()
    ax = figure.subplots()
    # The value at q = s is a point of its own: the curves jump there.
    for values, colour, label in (
        (largest, BLUE, r"$C_s$ = n · largest $|\gamma_j/q - 1/n|$"),
        (total, ORANGE, r"total $\Sigma_j\,|\gamma_j/q - 1/n|$"),
    ):
        ax.plot(sizes[:-1], values[:-1], color=colour, label=label)
    ax.plot(s, largest[-1], "o", color=BLUE, clip_on=False, zorder=5)
    ax.annotate("q = s: both 0", (s, 0), (88, 0.55), fontsize=7, ha="center",
                arrowprops={"arrowstyle": "-", "linewidth": 0.5})  # fmt: skip
    ax.set_xlabel(f"exploitation size q (n = {n}, s = {s})")
    ax.set_ylabel("deviation from uniform weights")
    ax.set_xlim(20, s)
    ax.set_ylim(0, 4.2)
    ax.legend()
    return figure


@styled
def distance_plane() -> Figure:
    """χ and total variation of γ/q to uniform, over exploration and exploitation ratio."""
    # Every s is a multiple of 24, so the ratios k/24 are met exactly: no rounding in the plane.
    parts, n = 24, 4800
    explored = parts * np.array([1, 2, 3, 4, 6, 9, 13, 20, 30, 45, 66, 100, 130, 165, 200])
    kept = np.arange(3, parts + 1)
    designs = [[Design(n, int(s), int(k * s // parts)) for s in explored] for k in kept]
    figure = new_figure(WIDE, 2.7)
    panels = figure.subplots(1, 2, sharey=True)
    for ax, measure, name, levels in zip(
        panels,
        (chi, total_variation),
        ("χ", "total variation"),
        (np.arange(0, 2.6, 0.25), np.arange(0, 0.9, 0.1)),
        strict=True,
    ):
        values = [[measure(design) for design in row] for row in designs]
        filled = ax.contourf(
            explored / n, kept / parts, values, levels, cmap=SEQUENTIAL, extend="max"
        )
        figure.colorbar(filled, ax=ax, label=f"{name} of γ/q and uniform weights", pad=0.02)
        for prune in (99, 70, 50, 30):
            start = 1 - prune / 100
            line = np.geomspace(start, 1, 80)
            ax.plot(line, start / line, color="white", linewidth=0.8)
            name = f"{prune} % pruned" if prune == 99 else f"{prune}"
            ax.text(start, 1.01, name, fontsize=6, ha="center", va="bottom")
        ax.plot(0.5, 0.6, "*", color=ORANGE, markeredgecolor="white", markersize=11,
                markeredgewidth=0.7, linestyle="none", label="default setting")  # fmt: skip
        for ratio, marker, label in ((0.5, "o", "Figure 6"), (0.25, "s", "Figure 7")):
            ax.plot([ratio] * 4, [0.2, 0.4, 0.6, 0.8], marker, color=ORANGE, zorder=1.9,
                    markeredgecolor="white", markeredgewidth=0.5, label=label)  # fmt: skip
        ax.set_xscale("log")
        ax.set_xlim(explored[0] / n, 1)
        ax.set_ylim(kept[0] / parts, 1)
        ax.set_xticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
        ax.set_xlabel(f"exploration ratio s/n (n = {n:,})")
        ax.grid(visible=False)
    panels[0].set_ylabel("exploitation ratio q/s")
    panels[0].legend(loc="lower left", labelcolor="white")
    panel_letters(*panels)
    return figure
