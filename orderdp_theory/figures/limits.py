"""Figures of the two limits: Beta for fixed (s, q), a step for s and q proportional to n."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import betaln, xlog1py, xlogy

from orderdp_theory.common.palette import BLACK, BLUE, GREY, ORANGE
from orderdp_theory.common.style import SEQUENTIAL, WIDE, new_figure, panel_letters, styled
from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities
from orderdp_theory.limits import limit_gamma


def _curves(ax: Axes, designs: list[Design], per: str) -> None:
    """n γ_j (`per` = "rank") or its density n γ_j/q against (j − ½)/n, darker with n."""
    for shade, design in zip(np.linspace(0, 1, len(designs)), designs, strict=True):
        z = (np.arange(1, design.n + 1) - 0.5) / design.n
        scale = design.n / (design.q if per == "density" else 1)
        ax.plot(z, scale * inclusion_probabilities(design), color=SEQUENTIAL(shade),
                label=f"{design.n:,}")  # fmt: skip


@styled
def figure_5() -> Figure:
    """Paper, Figure 5."""
    s, q = 100, 30
    figure = new_figure()
    ax = figure.subplots()
    _curves(ax, [Design(n, s, q) for n in (110, 150, 300, 2000)], per="rank")
    z = np.linspace(0, 1, 400)
    ax.plot(z, limit_gamma(z, s, q), color=ORANGE, linestyle=(0, (4, 2)), label="limit γ(z)")
    ax.set_xlabel("relative rank j/n (largest loss first)")
    ax.set_ylabel(r"$n\,\gamma_j$")
    ax.set_xlim(0, 0.6)
    ax.set_ylim(0, 105)
    ax.legend(title="population n")
    return figure


@styled
def step_regime() -> Figure:
    """The regime of the experiments, s = n/2 and q = 0.6 s, beside that of Proposition 2."""
    figure = new_figure(WIDE, 2.4)
    left, right = figure.subplots(1, 2, sharey=True)
    sizes = (20, 200, 2000, 50_000)
    _curves(left, [Design.from_ratios(n) for n in sizes], per="density")
    left.step([0, 0.6, 0.6, 1], [1 / 0.6, 1 / 0.6, 0, 0], where="post", color=ORANGE,
              linestyle=(0, (4, 2)), label="limit: CVaR")  # fmt: skip
    left.set_ylabel(r"weight density $n\,\gamma_j/q$")
    s, q = 5, 3
    _curves(right, [Design(n, s, q) for n in (8, 20, 200, 2000)], per="density")
    z = np.linspace(0, 1, 400)
    right.plot(z, limit_gamma(z, s, q) / q, color=ORANGE, linestyle=(0, (4, 2)),
               label="limit of Prop. 2")  # fmt: skip
    for ax, title in ((left, "s = n/2, q = 0.6 s"), (right, "s = 5, q = 3")):
        ax.axhline(1, color=GREY, linewidth=0.8, zorder=0)
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1.75)
        ax.set_xlabel("relative rank j/n (largest loss first)")
        ax.legend(title=f"{title}\npopulation n", loc="lower left", alignment="left")
    right.text(0.98, 1.02, "uniform", color=GREY, ha="right", va="bottom", fontsize=7)
    panel_letters(left, right)
    return figure


def limit_errors(s: int, q: int, sizes: np.ndarray) -> np.ndarray:
    """sup_j |n γ_j − γ(j/n)| for each population size."""
    return np.array(
        [
            np.abs(
                n * inclusion_probabilities(Design(int(n), s, q))
                - limit_gamma(np.arange(1, n + 1) / n, s, q)
            ).max()
            for n in sizes
        ]
    )


def leading_error(s: int, q: int) -> float:
    """sup_z |δ(z)| with n γ_j = γ(j/n) + δ(j/n)/n + O(1/n²); proved as certificate `limit`."""
    z = np.linspace(0, 1, 100_001)
    density = np.exp(xlogy(q - 1, z) + xlog1py(s - q - 1, -z) - betaln(q, s - q))
    return float(np.abs(s / 2 * density * (q + 1 - s * z)).max())


@styled
def limit_error() -> Figure:
    """Rate of Proposition 2, which the paper does not give."""
    figure = new_figure()
    ax = figure.subplots()
    for (s, q), colour, marker in (((100, 30), BLUE, "o"), ((10, 3), ORANGE, "s")):
        sizes = np.unique(np.geomspace(2 * s, 500_000, 13).astype(int))
        errors = limit_errors(s, q, sizes)
        tail = sizes >= 20 * s
        slope = np.polyfit(np.log(sizes[tail]), np.log(errors[tail]), 1)[0]
        ax.plot(sizes, leading_error(s, q) / sizes, color=colour, linewidth=0.9)
        ax.plot(sizes, errors, marker, color=colour, markersize=3.5,
                label=f"s = {s}, q = {q}: slope −{-slope:.3f}")  # fmt: skip
    ax.plot([], [], color=BLACK, linewidth=0.9, label="largest |δ(z)|/n, proved")
    ax.set(xscale="log", yscale="log")
    ax.set_xlabel("population n")
    ax.set_ylabel(r"largest $|n\,\gamma_j - \gamma(j/n)|$")
    ax.legend()
    return figure
