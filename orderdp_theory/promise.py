"""What a run may promise: each theorem's assumptions, constants and guarantee for one run.

The proofs are those of the functions that are called. A guarantee is as good as the constants it is
given: a Lipschitz constant that was measured along the path is the largest slope seen, and what
follows from it is an estimate of the guarantee. So is what follows from the gap at the point that
this one run found, where a theorem has its expectation.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked
from orderdp_theory.design import Design
from orderdp_theory.epoch import epoch_bound
from orderdp_theory.high_probability import martingale_deviation
from orderdp_theory.nonconvex import nonconvex_bound
from orderdp_theory.risk import surrogate_deviation, surrogate_fluctuation
from orderdp_theory.sandwich import cvar_sandwich
from orderdp_theory.stability import population_bound, stability_bound
from orderdp_theory.surrogate import surrogate_loss
from orderdp_theory.transfer import transfer_bound


@dataclass(frozen=True, eq=False)
class MeasuredRun:
    """What is known of a run; None for what is not, and no guarantee that needs it is given then.

    Attributes:
        design: n samples, of which each selection draws s and keeps q.
        step_sizes: eta, one per selection, `(T,)`.
        minibatches: K steps a selection.
        losses: per-sample losses at the point that is handed on, `(n,)`.
        initial_losses: those at the first point, `(n,)`.
        reference_losses: those at theta°, the point compared with, chosen before the data.
        loss_range: b, the length of an interval that holds all losses; it starts at 0 if
            `nonnegative`.
        lipschitz: G.
        distance: D >= |theta^1 - theta°|.
        diameter: of the set projected onto.
        weak_convexity: rho.
        rademacher: Rademacher average of the class of losses.
        max_age: each score is a loss at one of the points of this many selections back; 0: current.
        shortfalls: e^t >= L_q(theta^t) - sum_i w^H_i L_i(theta^t), such as `score_error_bound`, a
            number or `(T,)`.
        convex: every loss is.
        plain: steps on the mean of the kept samples' gradients, no momentum, no adaptive scaling.
        averaged: the point handed on is the average, weighted by the step sizes, of those at which
            selections were made.
        failure: probability with which a statement that is not about an expectation may fail.

    Example:
        >>> known = MeasuredRun(
        ...     Design(4, 2, 1), step_sizes=[0.1] * 100, losses=[1.0, 0.5, 0.2, 0.0],
        ...     loss_range=1.0, lipschitz=1.0, distance=1.0, max_age=0, convex=True, plain=True,
        ... )
        >>> [g.theorem for g in promises(known) if not g.unmet][:3]
        ['sandwich', 'convergence, scores by age', 'generalization of L_q, one point']
    """

    design: Design
    step_sizes: ArrayLike
    losses: ArrayLike
    loss_range: float
    lipschitz: float
    minibatches: int = 1
    initial_losses: ArrayLike | None = None
    reference_losses: ArrayLike | None = None
    distance: float | None = None
    diameter: float | None = None
    weak_convexity: float | None = None
    rademacher: float | None = None
    max_age: int | None = None
    shortfalls: ArrayLike | None = None
    nonnegative: bool = True
    convex: bool = False
    plain: bool = False
    averaged: bool = False
    failure: float = 0.05


@dataclass(frozen=True)
class Guarantee:
    """One theorem for one run: `quantity` is at most `value`.

    assumptions: what the theorem asks for, and whether the run met it. constants: what enters.
    value: None if an assumption is not met. trivial: what the quantity cannot exceed anyway.

    Example:
        >>> said = Guarantee("gap", "L_q - L", assumptions={"convex losses": True}, value=0.2)
        >>> said.verdict
        'holds'
        >>> Guarantee("gap", "L_q - L", assumptions={"convex losses": False}).verdict
        'needs convex losses'
    """

    theorem: str
    quantity: str
    assumptions: dict[str, bool]
    constants: dict[str, float] = field(default_factory=dict)
    value: float | None = None
    trivial: float = float("inf")

    @property
    def unmet(self) -> tuple[str, ...]:
        return tuple(name for name, met in self.assumptions.items() if not met)

    @property
    def vacuous(self) -> bool:
        """It says nothing: an assumption is not met, or the value is not below the trivial one."""
        return self.value is None or self.value >= self.trivial

    @property
    def verdict(self) -> str:
        """In words: holds, vacuous, or what it needs."""
        if self.unmet:
            return "needs " + ", ".join(self.unmet)
        return "vacuous" if self.vacuous else "holds"


Known = Any  # a MeasuredRun of which the assumptions say that nothing a theorem needs is None

CONVEX, PLAIN, AVERAGED = "convex losses", "plain steps", "the average handed on"
AGE, ERRORS = "scores of bounded age", "measured score errors"
DISTANCE, PROJECTED = "a distance to θ°", "a bounded set"
INITIAL, WEAK, CLASS = "initial losses >= 0", "weakly convex losses", "a class of known complexity"
REFERENCE = "losses at θ°"


@checked
def promises(run: MeasuredRun) -> tuple[Guarantee, ...]:
    """Every theorem about `run`, in the order of the argument from surrogate to population risk.

    For each theorem which assumptions the run met, the constants, and the guarantee if all are met.
    Values of constants out of range are refused as in the functions called.

    Example:
        >>> known = MeasuredRun(
        ...     Design(4, 2, 1), step_sizes=[0.1] * 100, losses=[1.0, 0.5, 0.2, 0.0],
        ...     loss_range=1.0, lipschitz=1.0,
        ... )
        >>> first, second, *_ = promises(known)
        >>> first.theorem, first.verdict
        ('sandwich', 'holds')
        >>> second.theorem, second.unmet[:2]
        ('convergence, scores by age', ('convex losses', 'plain steps'))
    """
    if not isinstance(run, MeasuredRun):
        raise TypeError(f"run must be a MeasuredRun, got {run!r}")
    return tuple(theorem(run) for theorem in THEOREMS)


def _guarantee(
    theorem: str,
    quantity: str,
    assumptions: dict[str, bool],
    trivial: float,
    compute: Callable[[], tuple[float, dict[str, float]]],
) -> Guarantee:
    if not all(assumptions.values()):
        return Guarantee(theorem, quantity, assumptions, trivial=trivial)
    value, constants = compute()
    return Guarantee(theorem, quantity, assumptions, constants, float(value), trivial)


def _optimization(run: Known) -> dict[str, bool]:
    return {CONVEX: run.convex, PLAIN: run.plain, DISTANCE: run.distance is not None}


def _mean_shortfall(run: Known) -> float:
    eta = np.asarray(run.step_sizes, dtype=np.float64)
    return float(np.average(np.broadcast_to(run.shortfalls, eta.shape), weights=eta))


def _by_age(run: Known) -> float:
    """The optimization error for scores of bounded age."""
    bound = population_bound(
        run.design, run.lipschitz, run.distance, run.step_sizes, 0.0, run.minibatches, run.max_age
    )
    return bound.optimization_error


def _by_errors(run: Known) -> float:
    """The optimization error for scores whose errors were measured."""
    bound = epoch_bound(run.distance, run.lipschitz, run.step_sizes, run.minibatches)
    return bound.value + _mean_shortfall(run)


def _best_error(run: Known) -> float:
    errors = [] if run.max_age is None else [_by_age(run)]
    return min(errors + ([] if run.shortfalls is None else [_by_errors(run)]))


def _sandwich(run: Known) -> Guarantee:
    def compute() -> tuple[float, dict[str, float]]:
        sandwich = cvar_sandwich(run.losses, run.design)
        constants = {"L": sandwich.mean, "L_q": sandwich.surrogate, "CVaR": sandwich.cvar}
        return sandwich.width, constants

    spread = float(np.ptp(np.asarray(run.losses, dtype=np.float64)))
    return _guarantee("sandwich", "CVaR_{q/s} − L_q", {}, spread, compute)


def _convergence(run: Known) -> Guarantee:
    assumptions = _optimization(run) | {AGE: run.max_age is not None}
    return _guarantee(
        "convergence, scores by age",
        "E L_q(average) − L_q(θ°)",
        assumptions,
        run.loss_range,
        lambda: (_by_age(run), {"D": run.distance, "G": run.lipschitz, "age": run.max_age}),
    )


def _convergence_by_errors(run: Known) -> Guarantee:
    def compute() -> tuple[float, dict[str, float]]:
        shortfall = _mean_shortfall(run)
        constants = {"D": run.distance, "G": run.lipschitz, "shortfall": shortfall}
        return _by_errors(run), constants

    assumptions = _optimization(run) | {ERRORS: run.shortfalls is not None}
    return _guarantee(
        "convergence, scores by error",
        "E L_q(average) − L_q(θ°)",
        assumptions,
        run.loss_range,
        compute,
    )


def _single_run(run: Known) -> Guarantee:
    def compute() -> tuple[float, dict[str, float]]:
        size = run.lipschitz * run.diameter
        deviation = martingale_deviation(size, run.step_sizes, run.failure)
        return _by_age(run) + deviation, {"diameter": run.diameter, "deviation": deviation}

    assumptions = _optimization(run) | {
        AGE: run.max_age is not None,
        PROJECTED: run.diameter is not None,
    }
    quantity = "L_q(average) − L_q(θ°), this run"
    return _guarantee("convergence, this run", quantity, assumptions, run.loss_range, compute)


def _nonconvex(run: Known) -> Guarantee:
    def compute() -> tuple[float, dict[str, float]]:
        gap = surrogate_loss(run.initial_losses, run.design)
        bound = nonconvex_bound(
            run.weak_convexity,
            run.lipschitz,
            gap,
            run.step_sizes,
            run.shortfalls,
            run.minibatches,
        )
        return bound.value, {"ρ": run.weak_convexity, "G": run.lipschitz, "Δ": gap}

    assumptions = {
        WEAK: run.weak_convexity is not None,
        PLAIN: run.plain,
        INITIAL: run.initial_losses is not None and run.nonnegative,
        ERRORS: run.shortfalls is not None,
    }
    quantity = "mean E‖∇ envelope of L_q‖²"
    return _guarantee("weakly convex", quantity, assumptions, run.lipschitz**2, compute)


def _transfer(run: Known) -> Guarantee:
    def compute() -> tuple[float, dict[str, float]]:
        error = _best_error(run)
        bound = transfer_bound(run.reference_losses, run.design, error, run.losses)
        constants = {"gap(θ°)": bound.gap.value, "gap": bound.found_gap, "ε": error}
        return bound.value - bound.reference, constants

    assumptions = _optimization(run) | {
        f"{AGE} or {ERRORS}": run.max_age is not None or run.shortfalls is not None,
        AVERAGED: run.averaged,
        REFERENCE: run.reference_losses is not None,
    }
    return _guarantee("transfer", "E L(average) − L(θ°)", assumptions, run.loss_range, compute)


def _fixed_point(run: Known) -> Guarantee:
    def compute() -> tuple[float, dict[str, float]]:
        constants = {"b": run.loss_range, "s/q": run.design.s / run.design.q}
        return surrogate_fluctuation(run.design, run.loss_range, run.failure), constants

    quantity = "R_{s,q} − L_q, a point fixed before the data"
    return _guarantee("generalization of L_q, one point", quantity, {}, run.loss_range, compute)


def _uniform(run: Known) -> Guarantee:
    def compute() -> tuple[float, dict[str, float]]:
        found = surrogate_deviation(run.design, run.rademacher, run.loss_range, run.failure)
        return found.expected + found.risk_above, {"Rad": run.rademacher, "b": run.loss_range}

    return _guarantee(
        "generalization of L_q, uniform",
        "sup (R_{s,q} − L_q)",
        {CLASS: run.rademacher is not None},
        run.loss_range,
        compute,
    )


def _stability(run: Known) -> Guarantee:
    def compute() -> tuple[float, dict[str, float]]:
        bound = stability_bound(
            run.design, run.lipschitz, run.step_sizes, run.minibatches, run.max_age
        )
        constants = {"expansion": bound.expansion, "replacement": bound.replacement}
        return run.lipschitz * bound.average, constants

    assumptions = {CONVEX: run.convex, PLAIN: run.plain, AGE: run.max_age is not None}
    quantity = "E[R − L] at the average"
    return _guarantee("stability", quantity, assumptions, run.loss_range, compute)


def _end_to_end(run: Known) -> Guarantee:
    def compute() -> tuple[float, dict[str, float]]:
        bound = population_bound(
            run.design,
            run.lipschitz,
            run.distance,
            run.step_sizes,
            run.loss_range if run.reference_losses is None else run.reference_losses,
            run.minibatches,
            run.max_age,
            run.losses if run.averaged else None,
        )
        constants = {
            "ε": bound.optimization_error,
            "G·stability": bound.generalization,
            "gap(θ°)": bound.reference_gap,
            "gap": bound.found_gap,
        }
        return bound.excess_risk, constants

    assumptions = _optimization(run) | {AGE: run.max_age is not None}
    quantity = "E R(average) − R(θ°)"
    return _guarantee("end to end", quantity, assumptions, run.loss_range, compute)


THEOREMS = (
    _sandwich,
    _convergence,
    _convergence_by_errors,
    _single_run,
    _nonconvex,
    _transfer,
    _fixed_point,
    _uniform,
    _stability,
    _end_to_end,
)
