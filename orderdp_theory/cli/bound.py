"""`orderdp-theory bound`: the terms of the convergence and generalization bounds."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.output import Json, Quiet, console, expect_output, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from orderdp_theory import (
        ConvergenceBound,
        CorrectedBound,
        CvarSandwich,
        Design,
        NonconvexBound,
        PopulationBound,
        PrintedBound,
        Transfer,
        UniformDeviation,
    )


EXAMPLES = (
    "orderdp-theory bound 1000 500 300 --steps 10000 --lipschitz 1 --distance 2 --loss-range 1",
    "orderdp-theory bound 1000 500 300 --steps 10000 --lipschitz 1 --distance 2 --max-age 3",
)
DATA, SETTING = "Losses and scores", "Setting of the theorems"


def bound(
    n: Annotated[int, typer.Argument(help="Population size.", show_default=False)],
    s: Annotated[int, typer.Argument(help="Candidates drawn at random.", show_default=False)],
    q: Annotated[int, typer.Argument(help="Candidates kept.", show_default=False)],
    steps: Annotated[int, typer.Option(help="T, the number of steps.", show_default=False)],
    lipschitz: Annotated[
        float, typer.Option(help="G, Lipschitz constant of each loss.", show_default=False)
    ],
    distance: Annotated[
        float,
        typer.Option(help="D, from the first point to the reference.", show_default=False),
    ],
    step_size: Annotated[
        float | None,
        typer.Option(help="Constant step size; D/(G√T) if not given.", rich_help_panel=SETTING),
    ] = None,
    losses: Annotated[
        Path | None,
        typer.Option(
            help="Per-sample losses, one row an iterate (.npy or .csv).", rich_help_panel=DATA
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="Per-sample losses at the point to compare with, such as a minimizer.",
            rich_help_panel=DATA,
        ),
    ] = None,
    loss_range: Annotated[
        float | None,
        typer.Option(
            help="b: all losses within the radius lie in an interval of this length.",
            rich_help_panel=SETTING,
        ),
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option(help="All iterates stay within; D if not given.", rich_help_panel=SETTING),
    ] = None,
    failure: Annotated[
        float,
        typer.Option(
            help="Probability that the population bounds may fail.", rich_help_panel=SETTING
        ),
    ] = 0.05,
    max_age: Annotated[
        int | None,
        typer.Option(
            help="Ranking by stored scores that are at most this many steps old.",
            rich_help_panel=SETTING,
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            help="Stored scores of the samples, beside the last row of --losses.",
            rich_help_panel=DATA,
        ),
    ] = None,
    rescored: Annotated[
        int | None,
        typer.Option(
            help="Samples scored in turn before each selection; bounds the age of all.",
            rich_help_panel=SETTING,
        ),
    ] = None,
    minibatches: Annotated[
        int | None,
        typer.Option(
            help="K: one selection an epoch of K minibatch steps; T counts epochs.",
            rich_help_panel=SETTING,
        ),
    ] = None,
    weak_convexity: Annotated[
        float | None,
        typer.Option(
            help="ρ: losses become convex when (ρ/2)‖θ‖² is added.", rich_help_panel=SETTING
        ),
    ] = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Print the bounds of the design (N, S, Q) term by term, as published and as they hold."""
    expect_output(json, '"convergence": {\n    "distance_term"')
    import numpy as np

    from orderdp_theory import (
        Design,
        LinearPredictors,
        best_population_step_size,
        best_step_size,
        corrected_bound,
        cvar_sandwich,
        epoch_bound,
        martingale_deviation,
        population_bound,
        printed_bound,
        round_robin,
        score_error_bound,
        stale_rate,
        stored_score_counterexample,
        stored_score_penalty,
        surrogate_deviation,
        surrogate_fluctuation,
        transfer_bound,
    )
    from orderdp_theory.arguments import integer, number, require_steps
    from orderdp_theory.cli.arrays import read_array
    from orderdp_theory.impossibility import SQUARED_DISTANCE, SQUARED_LIPSCHITZ

    design = Design(n, s, q)
    require_steps(steps, "--steps")
    for name, value in (
        ("--lipschitz", lipschitz),
        ("--distance", distance),
        ("--step-size", step_size),
        ("--loss-range", loss_range),
        ("--radius", radius),
        ("--failure", failure),
        ("--weak-convexity", weak_convexity),
    ):
        if value is not None:
            number(name, value)
    for name, value in (("--max-age", max_age), ("--minibatches", minibatches)):
        if value is not None:
            integer(name, value)
    if max_age is not None and rescored is not None:
        raise InputError("--rescored bounds the age by itself: give it or --max-age, not both")
    ages = None if rescored is None else round_robin(design, rescored)
    max_age, mean_age = (max_age, None) if ages is None else (ages.max_age, ages.mean_age)
    count = 1 if minibatches is None else minibatches
    if step_size is None:
        eta = best_step_size(distance, lipschitz, steps) / max(count, 1)
    else:
        eta = step_size
    convergence = epoch_bound(distance, lipschitz, np.full(steps, eta), count)
    penalty, rate = 0.0, None
    if max_age is not None:
        penalty = stored_score_penalty(design, lipschitz, np.full(steps, count * eta), max_age)
        rate = stale_rate(design, distance, lipschitz, steps, max_age, mean_age)
    error = convergence.value + penalty

    rows = None if losses is None else np.atleast_2d(read_array(losses, (1, 2)))
    at_reference = None if reference is None else read_array(reference, (1,))
    printed = printed_bound(design, convergence.as_printed, rows)
    compared = rows[-1] if at_reference is None and rows is not None else at_reference
    transfer = None
    if compared is not None:
        found = None if at_reference is None or rows is None else rows[-1]
        transfer = transfer_bound(compared, design, error, found)
    within = distance if radius is None else radius
    corrected, population, at_best, fluctuation, uniform = None, None, None, None, None
    if loss_range is not None:
        ball = LinearPredictors(lipschitz, within, loss_range)
        corrected = corrected_bound(design, error, ball, failure, rows, at_reference)
        fluctuation = surrogate_fluctuation(design, loss_range, failure)
        complexity = ball.rademacher_term(n) / 2
        uniform = surrogate_deviation(design, complexity, loss_range, failure)
        start, age = loss_range if at_reference is None else at_reference, max_age or 0

        def end_to_end(step: float) -> "PopulationBound":
            step_sizes = np.full(steps, step)
            return population_bound(design, lipschitz, distance, step_sizes, start, count, age)

        best_step = best_population_step_size(design, lipschitz, distance, steps, count, age)
        population, at_best = end_to_end(eta), (best_step, end_to_end(best_step).excess_risk)

    sandwich = None if compared is None else cvar_sandwich(compared, design)
    score_error = None
    if scores is not None:
        if rows is None:
            raise InputError("--scores are compared with the last row of --losses: give that too")
        score_error = score_error_bound(read_array(scores, (1,)), rows[-1], design)

    weakly_convex = None
    if weak_convexity is not None and loss_range is not None:
        weakly_convex = _weakly_convex(
            design, weak_convexity, lipschitz, loss_range, steps, step_size, count, max_age or 0
        )
    write_json(
        json,
        {
            "design": design,
            "step_size": eta,
            "convergence": convergence,
            "stored_score_penalty": penalty,
            "stale_rate": rate,
            "score_error": score_error,
            "optimization_error": error,
            "sandwich": sandwich,
            "transfer": transfer,
            "theorem_4_as_published": printed,
            "linear_predictors": corrected,
            "by_stability": population,
            "surrogate_fluctuation": fluctuation,
            "surrogate_deviation": uniform,
            "weakly_convex": weakly_convex,
        },
    )
    screen = console(json, quiet)
    table = _convergence(convergence, eta, count)
    if rate is not None:
        unit = "steps" if count == 1 else "epochs"
        table.add_row(f"stored scores, at most {max_age} {unit} old", f"{penalty:.6g}")
        best = f"{rate.factor:.4g} D G/√T = {rate.value:.6g}"
        table.add_row("  all of it at its best step size", best)
    if score_error is not None:
        table.add_row("--scores, (s/q) · mean |score − loss|", f"{score_error:.6g}")
    if q < s:
        run = stored_score_counterexample(1, design)
        least = float(run.least_error) / math.sqrt(SQUARED_DISTANCE * SQUARED_LIPSCHITZ)
        can_stay = f"{least * lipschitz * distance:.6g}"
        table.add_row("stored scores of any age: for all T it can stay at", can_stay)
    table.add_row("optimization error", f"{error:.6g}", style="bold")
    deviation = martingale_deviation(2 * within * lipschitz, np.full(steps, eta), failure)
    single = f"  of this run, if projected, with probability {1 - failure:g}"
    table.add_row(single, f"{error + deviation:.6g}")
    screen.print(table)
    point = "last row of --losses" if reference is None else "reference"
    screen.print(_sandwich(sandwich, design, point))
    screen.print(_transfer(transfer, point))
    screen.print(_generalization(printed, corrected, population, at_best, failure))
    screen.print(_surrogate_risk(fluctuation, uniform, failure))
    screen.print(_nonconvex(weakly_convex))


def _table(title: str, *columns: str) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _convergence(bound: "ConvergenceBound", eta: float, minibatches: int) -> "Table":
    table = _table("Theorem 3: E[L_q(average iterate)] − min L_q", "term", "value")
    table.add_row("step size η", f"{eta:.6g}")
    if minibatches > 1:
        table.add_row("one selection an epoch, steps of it: K", f"{minibatches}")
    k = "K" if minibatches > 1 else ""
    table.add_row(f"distance  D²/(2Σ{k}η)", f"{bound.distance_term:.6g}")
    noise = "G²Σ(Kη)²/(2ΣKη)" if k else "G²Ση²/(2Ση)"
    table.add_row(f"gradient noise  {noise}", f"{bound.noise_term:.6g}")
    return table


def _sandwich(sandwich: "CvarSandwich | None", design: "Design", point: str) -> "Table":
    from orderdp_theory import chi, sandwich_width, total_variation

    table = _table("Sandwich: L ≤ L_q ≤ CVaR ≤ L_q + width", "term", "value")
    step = design.s / design.q
    table.add_row("χ ≤ √(s/q − 1)", f"{chi(design):.6g} ≤ {math.sqrt(step - 1):.6g}")
    variation = f"{total_variation(design):.6g} ≤ {1 - 1 / step:.6g}"
    table.add_row("total variation ≤ 1 − q/s", variation)
    table.add_row("width for losses of range 1", f"{sandwich_width(design):.6g}")
    if sandwich is not None:
        table.add_row(f"mean loss L at the {point}", f"{sandwich.mean:.6g}")
        table.add_row("surrogate L_q", f"{sandwich.surrogate:.6g}")
        table.add_row("CVaR, mean of the worst q/s share", f"{sandwich.cvar:.6g}")
        table.add_row("L_q + width", f"{sandwich.surrogate + sandwich.width:.6g}")
    return table


def _transfer(transfer: "Transfer | None", point: str) -> "Table":
    table = _table(f"Transfer: E[L(average iterate)] − L({point})", "term", "value")
    if transfer is None:
        table.add_row("gap L_q − L", "needs --losses or --reference")
        return table
    gap = transfer.gap
    by_chi = f"{gap.chi:.4g} · {gap.std:.4g} = {gap.chi_std:.6g}"
    by_tv = f"{gap.total_variation:.4g} · {gap.range:.4g} = {gap.tv_range:.6g}"
    table.add_row(f"gap L_q − L at the {point}", f"{gap.value:.6g}")
    table.add_row("  at most χ · standard deviation", by_chi)
    table.add_row("  at most total variation · range", by_tv)
    total = gap.value + transfer.optimization_error
    table.add_row("gap + optimization error", f"{total:.6g}", style="bold")
    if point == "reference" and transfer.found_gap:
        table.add_row("gap at the last row of --losses", f"{transfer.found_gap:.6g}")
        excess = transfer.value - transfer.reference
        table.add_row("  less it, if that is the point found", f"{excess:.6g}", style="bold")
    return table


def _generalization(
    printed: "PrintedBound",
    corrected: "CorrectedBound | None",
    population: "PopulationBound | None",
    at_best: tuple[float, float] | None,
    failure: float,
) -> "Table":
    """Terms of the published bound beside those that hold; – for no such term."""
    title = "Theorem 4: population risk R"
    table = _table(title, "term", "as published", "linear class", "by stability")

    def row(term: str, *names: str | None, style: str = "") -> None:
        """Three attributes, with a minus sign if so named, or the input that one of them needs."""
        cells = []
        for source, name, missing in (
            (printed, names[0], "needs --losses"),
            (corrected, names[1], "needs --loss-range"),
            (population, names[2], "needs --loss-range"),
        ):
            sign, attribute = (-1, name[1:]) if name and name[0] == "-" else (1, name)
            value = getattr(source, attribute, math.nan) if attribute else None
            if value is None:
                cells.append("–")
            else:
                cells.append(missing if math.isnan(value) else f"{sign * value + 0.0:.6g}")
        table.add_row(term, *cells, style=style)

    row("C_s = max |n γ/q − 1|", "spectrum_deviation", None, None)
    row("B, smallest over the iterates (as printed)", "largest_loss_inf", None, None)
    row("B, largest over the iterates (as the proof needs)", "largest_loss_sup", None, None)
    row("√((n−s)/(s(n−1)))", "finite_population_factor", None, None)
    row("√2 · C_s · B · √((n−s)/(s(n−1)))", "wasserstein_term", None, None)
    row("−Q_n, smallest gap L_q − L over the iterates", "-gap_inf", "-gap_inf", None)
    row("optimization error", *["optimization_error"] * 3)
    row("gap L_q − L at the reference, or TV · b", None, *["reference_gap"] * 2)
    row("sampling: 2 G · radius / √n", None, "rademacher", None)
    row(f"sampling: b √(ln(2/{failure:g})/(2n))", None, "fluctuation", None)
    row("sampling: G · stability", None, None, "generalization")
    row("bound on R(θ*) − E[L_q(θ^t)]", "value", "risk_above_surrogate", None, style="bold")
    row("  the same for R(θ^t) − L_q(θ^t)", None, "risk_above_surrogate", None)
    term = "bound on E[R(average iterate)] − R(reference)"
    row(term, None, *["excess_risk"] * 2, style="bold")
    if at_best is not None:
        table.add_row(
            f"  at the best step size for it, {at_best[0]:.4g}", "–", "–", f"{at_best[1]:.6g}"
        )
    return table


def _surrogate_risk(
    fluctuation: float | None, uniform: "UniformDeviation | None", failure: float
) -> "Table":
    title = "Generalization of L_q: its population version R_sq"
    table = _table(title, "bound", "value")
    fixed = f"±(L_q − R_sq) at a fixed point, probability {1 - failure:g}"
    if fluctuation is None or uniform is None:
        table.add_row(fixed, "needs --loss-range")
        return table
    table.add_row(fixed, f"{fluctuation:.6g}")
    table.add_row("over linear predictors, (s/q)(2 G r + b)/√n", f"{uniform.expected:.6g}")
    table.add_row("  R_sq − L_q", f"{uniform.expected + uniform.risk_above:.6g}")
    table.add_row("  L_q − R_sq", f"{uniform.expected + uniform.surrogate_above:.6g}")
    return table


def _weakly_convex(
    design: "Design",
    weak_convexity: float,
    lipschitz: float,
    loss_range: float,
    steps: int,
    step_size: float | None,
    minibatches: int,
    max_age: int,
) -> tuple[float, "NonconvexBound"]:
    """The step size, the best one if none is given, and the bound at it."""
    from orderdp_theory import best_nonconvex_step_size, nonconvex_bound, ranking_sensitivity

    eta = step_size
    if eta is None:
        eta = best_nonconvex_step_size(
            design, weak_convexity, lipschitz, loss_range, steps, max_age
        )
        eta /= minibatches
    drift = lipschitz**2 * minibatches * eta * max_age
    shortfall = 2 * ranking_sensitivity(design) * drift
    return eta, nonconvex_bound(
        weak_convexity, lipschitz, loss_range, [eta] * steps, shortfall, minibatches
    )


def _nonconvex(found: "tuple[float, NonconvexBound] | None") -> "Table":
    table = _table("Weakly convex losses: mean E‖∇ envelope of L_q‖²", "term", "value")
    if found is None:
        table.add_row("bound", "needs --weak-convexity and --loss-range")
        return table
    eta, bound = found
    table.add_row("step size η", f"{eta:.6g}")
    table.add_row("start, with φ(θ¹) − min L_q ≤ b", f"{bound.envelope_term:.6g}")
    table.add_row("gradient noise", f"{bound.noise_term:.6g}")
    table.add_row("stored scores", f"{bound.score_term:.6g}")
    table.add_row("bound", f"{bound.value:.6g}", style="bold")
    table.add_row("holds in any case: G²", f"{bound.trivial:.6g}")
    return table
