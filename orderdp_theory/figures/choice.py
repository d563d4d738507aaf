"""The exact error of the gradient estimate: which s, and whether to pay for unbiasedness."""

import numpy as np
from matplotlib.figure import Figure

from orderdp_theory.choosing import choose
from orderdp_theory.common.arrays import Array
from orderdp_theory.common.palette import BLUE, GREEN, GREY
from orderdp_theory.common.style import WIDE, new_figure, panel_letters, styled

SAMPLES, DIMENSION, LABEL_NOISE, BUDGET = 60, 5, 0.1, 24
ORDERDP, UNIFORM = BLUE, GREY
UNBIASED = GREEN


def logistic_problem(descents: int = 8) -> tuple[Array, Array]:
    """Per-sample losses `(n,)` and gradients `(n, d)` of a logistic regression while it is trained.

    Gaussian features, a random true direction, 10 % of the labels flipped, and full-gradient steps
    from zero; every draw is from one seeded generator.
    """
    rng = np.random.default_rng(20260101)
    features = rng.standard_normal((SAMPLES, DIMENSION))
    labels = np.sign(features @ rng.standard_normal(DIMENSION))
    labels[rng.permutation(SAMPLES)[: round(LABEL_NOISE * SAMPLES)]] *= -1
    signed = labels[:, None] * features
    theta = np.zeros(DIMENSION)
    for _ in range(descents):
        theta += signed.T @ (1 / (1 + np.exp(signed @ theta))) / SAMPLES
    margins = signed @ theta
    return np.log1p(np.exp(-margins)), -signed / (1 + np.exp(margins))[:, None]


@styled
def mse_frontier() -> Figure:
    """Error against s at one budget, and the best error against the budget."""
    losses, gradients = logistic_problem()
    gram = gradients @ gradients.T
    scale = float(gram.mean())  # |∇L|²
    figure = new_figure(WIDE, 2.6)
    left, right = figure.subplots(1, 2)

    sizes = range(BUDGET, SAMPLES + 1, 2)
    splits = (1, 3, 6, 10, 14, 18)
    choice = choose(gram, losses, BUDGET, sizes=sizes, splits=splits)
    explored = [c.design.s / SAMPLES for c in choice.random_then_top]
    for attribute, style, label in (
        ("mean_squared_error", "-", "random-then-top"),
        ("bias_squared", (0, (4, 2)), "squared bias"),
        ("variance", (0, (1, 1.5)), "variance"),
    ):
        values = [getattr(c, attribute) / scale for c in choice.random_then_top]
        left.plot(explored, values, color=ORDERDP, linestyle=style, label=label)
    by_size = {
        s: min(c.mean_squared_error for c in choice.unbiased if c.design.s == s) / scale
        for s in sizes
    }
    left.plot([s / SAMPLES for s in by_size], list(by_size.values()), color=UNBIASED,
              label="unbiased rule, best split")  # fmt: skip
    left.set_xlabel(f"exploration ratio s/n (n = {SAMPLES}, budget {BUDGET})")
    left.set_ylabel(r"error / $\|\nabla L\|^2$")
    left.set_ylim(bottom=0)
    left.legend()

    budgets = np.arange(4, SAMPLES, 4)
    best: dict[str, list[float]] = {"top": [], "unbiased": [], "uniform": []}
    for q in map(int, budgets):
        splits = sorted({max(1, round(share * q)) for share in (0.1, 0.4, 0.7)})
        tried = choose(gram, losses, q, sizes=range(q, SAMPLES + 1, 4), splits=splits)
        errors = [c.mean_squared_error / scale for c in tried.random_then_top]
        best["top"].append(min(errors))
        best["uniform"].append(errors[0])  # s = q
        best["unbiased"].append(min(c.mean_squared_error for c in tried.unbiased) / scale)
    kept = budgets / SAMPLES
    right.plot(kept, best["uniform"], color=UNIFORM, label="random subset (s = q)")
    right.plot(kept, best["top"], "o", color=ORDERDP, label="random-then-top, best s")
    right.plot(kept, best["unbiased"], color=UNBIASED, label="unbiased rule, best s and split")
    right.axvline(BUDGET / SAMPLES, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
    right.set_yscale("log")
    right.set_xlabel("kept fraction")
    right.set_ylabel(r"smallest error / $\|\nabla L\|^2$")
    right.legend()
    panel_letters(left, right)
    return figure
