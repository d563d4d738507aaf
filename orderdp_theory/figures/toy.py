"""The toy example of Appendix E.1 with its correct numbers."""

from itertools import chain, combinations

import numpy as np
from matplotlib.figure import Figure

from orderdp_theory.common.palette import BLACK, BLUE, GREY, ORANGE
from orderdp_theory.common.style import WIDE, new_figure, panel_letters, styled
from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities

GRADIENTS = np.arange(1, 6)
PRINTED_PROBABILITIES = (1 / 25, 3 / 50, 3 / 25, 9 / 50, 3 / 5)  # E.1, of the gradients 1 … 5
PRINTED_ORDERDP = 4.06  # E.1


def kept_probabilities() -> np.ndarray:
    """P(gradient i is the one kept) for s uniform on {1, …, 5} and q = 1, gradients ascending."""
    n = len(GRADIENTS)
    return np.mean([inclusion_probabilities(Design(n, s, 1)) for s in range(1, n + 1)], axis=0)[
        ::-1
    ]


def infobatch_expectation(divide_by_kept: bool) -> float:
    """Mean of InfoBatch's estimate: below-mean samples kept with chance 0.2 and scaled by 5.

    Table 10 divides the sum by the number of kept samples; InfoBatch's claim of unbiasedness is
    about the sum over n.
    """
    low = [g for g in GRADIENTS if g < GRADIENTS.mean()]
    high = [g for g in GRADIENTS if g >= GRADIENTS.mean()]
    total = 0.0
    for kept in chain.from_iterable(combinations(low, size) for size in range(len(low) + 1)):
        chance = 0.2 ** len(kept) * 0.8 ** (len(low) - len(kept))
        count = len(high) + len(kept) if divide_by_kept else len(GRADIENTS)
        total += chance * (sum(high) + 5 * sum(kept)) / count
    return total


@styled
def toy_example() -> Figure:
    """Probabilities as printed and as they are; expectations of the estimators."""
    figure = new_figure(WIDE, 2.1)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
    probabilities = kept_probabilities()
    colour = BLUE
    left.bar(GRADIENTS, probabilities, width=0.6, color=colour, label="correct")
    left.plot(GRADIENTS, PRINTED_PROBABILITIES, "_", color=BLACK, markersize=16,
              markeredgewidth=1.4, label="printed")  # fmt: skip
    left.set_xticks(GRADIENTS)
    left.set_xlabel("gradient of the sample")
    left.set_ylabel("probability of being kept")
    left.grid(visible=False, axis="x")
    left.legend(loc="upper left")

    orderdp = float(probabilities @ GRADIENTS)
    infobatch = ORANGE
    rows = [
        ("full data", float(GRADIENTS.mean()), BLACK, None),
        ("OrderDP, s random, q = 1", orderdp, colour, PRINTED_ORDERDP),
        ("InfoBatch, sum over number kept", infobatch_expectation(True), infobatch, 4.336),
        ("InfoBatch, sum over n", infobatch_expectation(False), infobatch, None),
    ]
    right.axvline(GRADIENTS.mean(), color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
    for height, (_, value, shade, printed) in enumerate(reversed(rows)):
        right.plot(value, height, "o", color=shade, markersize=6)
        right.annotate(f"{value:.4g}", (value, height), (0, 6), textcoords="offset points",
                       ha="center", fontsize=7)  # fmt: skip
        if printed is not None:
            right.plot(printed, height, "|", color=BLACK, markersize=11, markeredgewidth=1.4)
    right.plot([], [], "|", color=BLACK, markersize=8, markeredgewidth=1.4, label="printed")
    right.set_yticks(range(len(rows)), [name for name, *_ in reversed(rows)])
    right.set_ylim(-0.5, len(rows) - 0.35)
    right.set_xlim(2.8, 4.6)
    right.set_xticks([3, 3.5, 4, 4.5])
    right.set_xlabel("expected gradient estimate")
    right.grid(visible=False, axis="y")
    right.legend(loc="upper right")
    panel_letters(left, right)
    return figure
