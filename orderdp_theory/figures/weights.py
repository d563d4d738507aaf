"""The inclusion probabilities of one design, as `orderdp-theory weights --plot` draws them."""

import numpy as np
from matplotlib.figure import Figure

from orderdp_theory.common.palette import BLUE, GREY
from orderdp_theory.common.style import new_figure, styled
from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities

STEPS_SHOWN = 200  # up to here every rank gets its own dot


@styled
def weights_figure(design: Design) -> Figure:
    """γ_j against the rank j, with the value q/n of uniform sampling at the same budget."""
    n, s, q = design.n, design.s, design.q
    figure = new_figure()
    ax = figure.subplots()
    ranks = np.arange(1, n + 1)
    dots = "o" if n <= STEPS_SHOWN else ""
    ax.axhline(q / n, color=GREY, linestyle="--", linewidth=1, label=f"uniform, q/n = {q / n:.3g}")
    ax.plot(ranks, inclusion_probabilities(design), marker=dots, markersize=2.5, color=BLUE,
            label=f"s = {s:,}, q = {q:,}")  # fmt: skip
    ax.set_xlabel(f"rank j by loss, largest first (n = {n:,})")
    ax.set_ylabel(r"inclusion probability $\gamma_j$")
    ax.set_ylim(bottom=0)
    ax.legend(loc="best")
    return figure
