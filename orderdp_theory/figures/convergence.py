"""Algorithm 1 with stored scores breaks Theorem 3, for every design that prunes."""

import math

import numpy as np
from matplotlib.figure import Figure

from orderdp_theory.common.palette import BLACK, BLUE, GREEN, GREY, ORANGE, SKY
from orderdp_theory.common.style import WIDE, new_figure, panel_letters, styled
from orderdp_theory.convergence import convergence_bound
from orderdp_theory.design import Design
from orderdp_theory.impossibility import (
    SQUARED_DISTANCE,
    SQUARED_LIPSCHITZ,
    stored_score_counterexample,
)

STEPS = 80  # of the paths
TIMES = np.unique(np.geomspace(1, 5000, 120).astype(int))
# s/n and q/s that the paper and its code train with, at n = 50,000.
DESIGNS = ((0.5, 0.6, BLUE), (0.75, 0.8, GREEN), (0.8, 0.9, ORANGE))


@styled
def stored_scores() -> Figure:
    """Paths over the surrogate's level lines; best errors beside Theorem 3, for several designs."""
    figure = new_figure(WIDE, 2.9)
    left, right = figure.subplots(1, 2)
    x, y = np.meshgrid(np.linspace(-0.1, 1.5, 200), np.linspace(-0.15, 1.35, 200))
    surrogate = np.maximum(1 + 5 * np.maximum(0, 1 - x), np.maximum(0, 4 * x - 3 * y))
    levels = left.contour(
        x, y, surrogate, np.arange(1.25, 7, 0.75), colors="#c4c4c4", linewidths=0.7
    )
    left.clabel(levels, levels=levels.levels[::2], fontsize=6, colors=GREY)
    left.plot(1, 1, "*", color=BLACK, markersize=9, label="minimiser of $L_q$", zorder=4)
    left.plot(0, 0, "o", color=BLACK, label="start", clip_on=False)
    for run, name, colour, width in (
        (stored_score_counterexample(STEPS), "OrderDP (stored scores)", SKY, 3),
        (stored_score_counterexample(STEPS, scores="current"), "OrderDP (fresh scores)", BLUE, 1),
    ):
        path = np.array(run.trajectory, dtype=float)
        left.plot(*path.T, color=colour, linewidth=width, label=name)
    for explore, exploit, colour in DESIGNS:
        design = Design.from_ratios(50_000, explore, exploit)
        run = stored_score_counterexample(int(TIMES[-1]), design)
        best = np.minimum.accumulate(np.array(run.errors, dtype=float))[TIMES - 1]
        of_one_step = convergence_bound(
            math.sqrt(SQUARED_DISTANCE), math.sqrt(SQUARED_LIPSCHITZ), [float(run.step_size)]
        )
        bound = of_one_step.distance_term / TIMES + of_one_step.noise_term
        label = f"$s/n={explore}$, $q/s={exploit}$"
        right.plot(TIMES, best, color=colour, label=label)
        right.plot(TIMES, bound, color=colour, linestyle=(0, (4, 2)), linewidth=0.9)
        first = len(stored_score_counterexample(design=design).trajectory)
        right.plot(first, float(run.least_error), "o", color=colour, markersize=4)
    right.plot([], [], color=BLACK, linestyle=(0, (4, 2)), label="bound of Theorem 3")
    left.set_xlabel("θ, first coordinate")
    left.set_ylabel("θ, second coordinate")
    left.grid(visible=False)
    left.legend(loc="upper left", frameon=True, framealpha=0.9, edgecolor="white")
    right.set_xlabel("steps T")
    right.set_ylabel(r"smallest $L_q(\theta^t) - \min L_q,\ t \leq T$")
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_ylim(0.1, 30)
    right.legend()
    panel_letters(left, right)
    return figure
