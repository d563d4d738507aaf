"""Figures of the theory, one module a family, listed in `FIGURES`, and the style that they share.

A new figure is a function decorated with `styled` and a line in `FIGURES`. Nothing in a figure is
typed in: it draws what the public functions compute.
"""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from orderdp_theory.common.palette import BLACK, BLUE, GREEN, GREY, ORANGE, SKY
from orderdp_theory.common.style import COLUMN, WIDE, new_figure, render, styled
from orderdp_theory.figures import choice, convergence, deviation, limits, selection, toy


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn, with the sentence that belongs under it.

    Example:
        >>> FIGURES["toy-example"].caption[:30]
        'The example of Appendix E.1 wi'
    """

    draw: Callable[[], Figure]
    caption: str


FIGURES = {
    "figure-5": Drawing(
        limits.figure_5,
        "n γ_j against the relative rank for (s, q) = (100, 30) and growing n (the paper's Figure "
        "5), with the limit γ(z) of Proposition 2. The cliff gets smoother with n because s/n "
        "falls, and differs from the limit by less than 1 % of its height at n = 2,000.",
    ),
    "figure-6": Drawing(
        deviation.figure_6,
        "Inclusion probabilities at (n, s) = (200, 100) for growing q (the paper's Figure 6), "
        "dotted the uniform probability q/n of the same budget. All plateaus have height s/n.",
    ),
    "figure-7": Drawing(
        deviation.figure_7,
        "Weights γ_j/q at (n, s) = (400, 100) (the paper's Figure 7). As q grows the plateau sinks "
        "and widens; the last ranks keep weight 0 until q = s.",
    ),
    "figure-8": Drawing(
        deviation.figure_8,
        "What the paper's Figure 8 measures: the sum Σγ_j/q is exactly 1, so its distance from 1, "
        "here in units of the float64 rounding step, is a property of the arithmetic.",
    ),
    "step-regime": Drawing(
        limits.step_regime,
        "Weight density n γ_j/q in two regimes that share q/s = 0.6. (a) s = n/2 as in the "
        "experiments: the weights tend to a step, and the surrogate loss to the CVaR of the worst "
        "60 %. (b) s and q fixed: the weights tend to the smooth curve of Proposition 2.",
    ),
    "limit-error": Drawing(
        limits.limit_error,
        "Largest error of the Beta limit over all ranks, against n; the slopes are fitted to n ≥ "
        "20 s. Lines: the term of order 1/n in closed form (certificate `limit`).",
    ),
    "deviation": Drawing(
        deviation.deviation,
        "Distance of the weights from uniform against q at (n, s) = (200, 100). C_s of Theorem 4 "
        "stays at 1 for every s/2 ≤ q < s, as the last ranks have weight 0, and jumps to 0 at "
        "q = s; the total deviation falls steadily.",
    ),
    "distance-plane": Drawing(
        deviation.distance_plane,
        "χ (a) and total variation (b) between γ/q and uniform weights over the exploration and "
        "exploitation ratios, with lines of equal prune ratio and the paper's settings. Both "
        "depend on q/s almost alone.",
    ),
    "jaccard": Drawing(
        selection.jaccard,
        "Jaccard similarity of two independent epochs at n = 50,000: what no ranking can exceed, "
        "what one fixed ranking gives, and as bands the range of OrderDP's values in Table 8. At "
        "s = n/2 the printed values are out of reach.",
    ),
    "never-used": Drawing(
        selection.never_used,
        "Expected number of samples not used in any epoch when the ranking does not change. "
        "Uniform sampling reaches all samples; random-then-top never reaches the last ranks.",
    ),
    "stored-scores": Drawing(
        convergence.stored_scores,
        "Convex losses on which Algorithm 1 as printed, ranking by stored scores, breaks Theorem "
        "3: (a) its path for two samples over level lines of L_q, beside ranking by current "
        "losses; (b) the best error so far beside the bound, for designs of the paper and its "
        "code. From the dots on the bound is broken.",
    ),
    "mse-frontier": Drawing(
        choice.mse_frontier,
        "Exact mean squared error of the gradient estimate, in a logistic regression with 10 % "
        "label noise: (a) against s at one budget, with its two parts; (b) the smallest error over "
        "s, and over s and the split of the unbiased rule, against the kept fraction.",
    ),
    "toy-example": Drawing(
        toy.toy_example,
        "The example of Appendix E.1 with its correct numbers: (a) the probability of each "
        "gradient to be the one kept, (b) the expected estimates.",
    ),
}

CAPTIONS = {name: drawing.caption for name, drawing in FIGURES.items()}

__all__ = [
    "BLACK",
    "BLUE",
    "CAPTIONS",
    "COLUMN",
    "FIGURES",
    "GREEN",
    "GREY",
    "ORANGE",
    "SKY",
    "WIDE",
    "Drawing",
    "new_figure",
    "render",
    "styled",
]
