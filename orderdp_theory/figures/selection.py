"""Figures of which samples several epochs keep: overlap of two, and samples never used."""

import numpy as np
from matplotlib.figure import Figure

from orderdp_theory.claims.tables import read_table, where
from orderdp_theory.common.palette import BLACK, BLUE, GREEN, GREY, ORANGE, PINK
from orderdp_theory.common.style import new_figure, styled
from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities

CIFAR = 50_000


def expected_jaccard(design: Design) -> float:
    """Jaccard similarity of two independent epochs with one ranking: Σγ²/(2q − Σγ²).

    A ratio of expectations; both concentrate, so at n = 50,000 it is the expected ratio as well.
    """
    shared = float(np.sum(inclusion_probabilities(design) ** 2))
    return shared / (2 * design.q - shared)


@styled
def jaccard() -> Figure:
    """Table 8 beside what one ranking, or any ranking, allows."""
    figure = new_figure()
    ax = figure.subplots()
    table = read_table(8)
    explored = np.linspace(0.3, 1, 71)
    ax.plot(explored, explored / (2 - explored), color=BLACK, label="largest possible")
    for prune, colour in ((40, ORANGE), (70, BLUE)):
        q = round((1 - prune / 100) * CIFAR)
        sizes = np.unique(np.linspace(q, CIFAR, 15).astype(int))
        expected = [expected_jaccard(Design(CIFAR, int(s), q)) for s in sizes]
        ax.plot(sizes / CIFAR, expected, "o", color=colour, label=f"expected, {prune} % pruned")
        rows = where(table, method="OrderDP", prune_percent=str(prune))
        printed = [float(row["jaccard"]) for row in rows]
        ax.axhspan(min(printed), max(printed), color=colour, alpha=0.16, linewidth=0)
        ax.text(0.31, (min(printed) + max(printed)) / 2 + 0.02 * (1 if prune == 40 else -1),
                f"Table 8, {prune} %", color=colour, va="center", fontsize=7)  # fmt: skip
    for s_over_n, name in ((0.5, "paper's\ndefault"), (0.8, "released\ncommand")):
        ax.axvline(s_over_n, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
        ax.text(s_over_n + 0.008, 0.02, name, color=GREY, fontsize=6.5, va="bottom")
    ax.set_xlim(0.3, 1)
    ax.set_ylim(0, 1)
    ax.set_xlabel("exploration ratio s/n")
    ax.set_ylabel("Jaccard similarity of two epochs")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 0.13))
    return figure


def expected_never_used(design: Design, epochs: np.ndarray) -> np.ndarray:
    """Σ_j (1 − γ_j)^T for each number of epochs T, with one ranking in all of them."""
    unlucky = 1 - inclusion_probabilities(design)
    return np.array([float(np.sum(unlucky ** int(t))) for t in epochs])


@styled
def never_used() -> Figure:
    """Appendix D.4 under one ranking, beside uniform sampling at the same budget."""
    figure = new_figure(height=2.6)
    ax = figure.subplots()
    epochs = np.unique(np.geomspace(1, 200, 40).astype(int))
    settings = ((99, 0.5, PINK), (50, 0.8, ORANGE), (70, 0.5, BLUE), (30, 0.8, GREEN))
    for prune, explore, colour in settings:
        s, q = round(explore * CIFAR), round((1 - prune / 100) * CIFAR)
        ax.plot(epochs, expected_never_used(Design(CIFAR, s, q), epochs), color=colour,
                label=f"{prune} % pruned, s = {explore} n")  # fmt: skip
        ax.plot(epochs, CIFAR * (1 - q / CIFAR) ** epochs, color=colour, linewidth=1,
                linestyle=(0, (1, 1.5)))  # fmt: skip
    ax.plot([], [], color=GREY, linewidth=1, linestyle=(0, (1, 1.5)), label="uniform, same budget")
    ax.set(xscale="log", yscale="log")
    ax.set_xlim(1, 200)
    ax.set_ylim(0.5, 1e5)
    ax.set_xticks([1, 10, 100, 200], ["1", "10", "100", "200"])
    ax.set_xlabel("epochs")
    ax.set_ylabel(f"samples never used (of {CIFAR:,})")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure
