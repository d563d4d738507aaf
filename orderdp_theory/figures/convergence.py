"""The smallest problem on which Algorithm 1 with stored scores breaks Theorem 3."""

import math

import numpy as np
from matplotlib.figure import Figure

from orderdp_theory.common.palette import BLACK, BLUE, GREY, SKY
from orderdp_theory.common.style import WIDE, new_figure, panel_letters, styled
from orderdp_theory.convergence import convergence_bound, stored_score_counterexample

STEPS = 80
DISTANCE, LIPSCHITZ = math.sqrt(2), 5  # of the counterexample: |θ¹ − θ*| and its largest slope


@styled
def stored_scores() -> Figure:
    """Paths over the surrogate's level lines, and best errors beside the bound of Theorem 3."""
    figure = new_figure(WIDE, 2.7)
    left, right = figure.subplots(1, 2)
    x, y = np.meshgrid(np.linspace(-0.1, 1.5, 200), np.linspace(-0.15, 1.35, 200))
    surrogate = np.maximum(1 + 5 * np.maximum(0, 1 - x), np.maximum(0, 4 * x - 3 * y))
    levels = left.contour(
        x, y, surrogate, np.arange(1.25, 7, 0.75), colors="#c4c4c4", linewidths=0.7
    )
    left.clabel(levels, levels=levels.levels[::2], fontsize=6, colors=GREY)
    left.plot(1, 1, "*", color=BLACK, markersize=9, label="minimiser of $L_q$", zorder=4)
    left.plot(0, 0, "o", color=BLACK, label="start", clip_on=False)
    times = np.arange(1, STEPS + 1)
    bounds = [convergence_bound(DISTANCE, LIPSCHITZ, [1 / 15] * t).value for t in times]
    right.plot(times, bounds, color=BLACK, linestyle=(0, (4, 2)), label="bound of Theorem 3")
    for run, name, colour, width in (
        (stored_score_counterexample(STEPS, scores="stored"), "OrderDP (stored scores)", SKY, 3),
        (stored_score_counterexample(STEPS, scores="current"), "OrderDP (fresh scores)", BLUE, 1),
    ):
        path = np.array(run.trajectory, dtype=float)
        left.plot(*path.T, color=colour, linewidth=width, label=name)
        best = np.minimum.accumulate(np.array(run.errors, dtype=float))
        right.plot(times, best, color=colour, label=name)
        broken = np.flatnonzero(best > bounds)
        if broken.size:
            first = times[broken[0]]
            right.annotate(f"bound broken\nfrom T = {first}", (first, best[broken[0]]), (30, 3),
                           arrowprops={"arrowstyle": "-", "linewidth": 0.5})  # fmt: skip
    left.set_xlabel("θ, first coordinate")
    left.set_ylabel("θ, second coordinate")
    left.grid(visible=False)
    left.legend(loc="upper left", frameon=True, framealpha=0.9, edgecolor="white")
    right.set_xlabel("steps T")
    right.set_ylabel(r"smallest $L_q(\theta^t) - \min L_q,\ t \leq T$")
    right.set_xlim(1, STEPS)
    right.set_ylim(0, 6)
    right.legend()
    panel_letters(left, right)
    return figure
