"""How little one sample matters, and with it the risk of what random-then-top selection finds.

Statements and proofs: proofs/stability.md. Convex G-Lipschitz losses, n i.i.d. samples; theta_bar
is the average, weighted by the step sizes, of the points theta^t at which selections are made.
"""

import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from orderdp_theory.arguments import (
    checked,
    require_design,
    require_not_negative,
    require_steps,
    step_array,
)
from orderdp_theory.common.errors import InputError
from orderdp_theory.convergence import (
    stored_score_penalty,
)
from orderdp_theory.design import Design
from orderdp_theory.deviation import total_variation
from orderdp_theory.epoch import epoch_bound
from orderdp_theory.surrogate_gap import gap


@dataclass(frozen=True)
class StabilityBound:
    """Bounds on sqrt(E |theta - theta'|^2) for two data sets that differ in one sample.

    expansion: what steps on the same nonsmooth losses can add; replacement: what the sample itself
    does. Their sum bounds the distance of the two averages, that of `last_expansion` and
    `last_replacement` the distance after the last step.

    Example:
        >>> bound = StabilityBound(0.1, 0.02, last_expansion=0.2, last_replacement=0.04)
        >>> round(bound.average, 12), round(bound.last, 12)
        (0.12, 0.24)
    """

    expansion: float
    replacement: float
    last_expansion: float
    last_replacement: float

    @property
    def average(self) -> float:
        return self.expansion + self.replacement

    @property
    def last(self) -> float:
        return self.last_expansion + self.last_replacement


@checked
def stability_bound(
    design: Design,
    lipschitz: float,
    step_sizes: ArrayLike,
    minibatches: int = 1,
    max_age: int = 0,
) -> StabilityBound:
    """Uniform stability of random-then-top selection on convex losses, ranked as it may be.

    After T selections with K minibatch steps of size eta each, ranked by scores at most tau
    selections old, sqrt(E |theta - theta'|^2) is at most

        2 G eta sqrt(K (2K - 1 + 2K tau) T) + 2 G K eta T s/(nq),

    for both runs with the same draws. The replaced sample matters only where it is a candidate, in
    s/n of the selections, and then for one of q kept. The second term is attained by linear losses,
    half of the first with K = 1 and tau = 0 by a nonsmooth one. The expected generalization gap
    E[R(theta) - L(theta)] of the true loss is at most G times as much.

    Args:
        lipschitz: G >= 0.
        step_sizes: eta, positive, one per selection, `(T,)`.
        minibatches: K equal parts of a selection, or shuffled ones, with a step on the mean loss of
            each.
        max_age: tau: in selection t each score is a loss at one of the points at which selections
            t - tau, ..., t are made. 0: ranked by current losses.

    Raises:
        ValueError: a number out of its range, or not finite.

    Example:
        >>> design, steps = Design.from_ratios(50_000), [0.001] * 1000
        >>> bound = stability_bound(design, lipschitz=1.0, step_sizes=steps)
        >>> round(bound.last_expansion, 4), round(bound.last_replacement, 6)
        (0.0632, 6.7e-05)
    """
    require_design(design)
    eta, K, max_age = step_array(step_sizes), minibatches, operator.index(max_age)
    require_not_negative(lipschitz=lipschitz, max_age=max_age)
    if K < 1:
        raise InputError(f"minibatches must be at least 1, got {minibatches}")
    path = np.append(0.0, np.cumsum(eta))  # before each selection, and after the last
    steps = np.arange(len(eta))
    recent = path[steps] - path[np.maximum(steps - max_age, 0)]
    squares = K * eta * ((2 * K - 1) * eta + 2 * K * recent)
    expansion = 2 * lipschitz * np.sqrt(np.append(0.0, np.cumsum(squares)))
    replacement = 2 * lipschitz * K * path * (design.s / (design.n * design.q))
    weights = eta / path[-1]
    return StabilityBound(
        expansion=float(weights @ expansion[:-1]),
        replacement=float(weights @ replacement[:-1]),
        last_expansion=float(expansion[-1]),
        last_replacement=float(replacement[-1]),
    )


@dataclass(frozen=True)
class PopulationBound:
    """E[R(theta_bar)] - R(reference) <= excess_risk, term by term.

    optimization_error: E[L_q(theta_bar)] - L_q(reference) at most. generalization: E[R - L] at
    theta_bar at most. reference_gap: E[L_q - L] at the reference, or a bound on it. found_gap:
    E[L_q - L] at theta_bar, or 0, which it is never below.

    Example:
        >>> bound = PopulationBound(0.1, generalization=0.2, reference_gap=0.05, found_gap=0.0)
        >>> round(bound.excess_risk, 12)
        0.35
    """

    optimization_error: float
    generalization: float
    reference_gap: float
    found_gap: float

    @property
    def excess_risk(self) -> float:
        return self.above_surrogate_risk + self.reference_gap

    @property
    def above_surrogate_risk(self) -> float:
        """E[R(theta_bar)] - R_{s,q}(reference), with the population version of L_q, at most."""
        return self.optimization_error + self.generalization - self.found_gap


@checked
def population_bound(
    design: Design,
    lipschitz: float,
    distance: float,
    step_sizes: ArrayLike,
    reference: ArrayLike | float,
    minibatches: int = 1,
    max_age: int = 0,
    found_losses: ArrayLike | None = None,
) -> PopulationBound:
    """End to end: the risk of what is found, beside that of any fixed point theta°.

    E[R(theta_bar)] <= R_{s,q}(theta°) + |theta^1 - theta°|^2/(2 K sum eta)
    + K G^2 sum eta^2/(2 sum eta) + penalty of old scores + G (stability) - E[gap(theta_bar)],
    expectation over data and selections. Dimension-free, and every term of the class of predictors
    is gone. The design enters by R_{s,q}(theta°) - R(theta°), which lies in [0, TV b], and by the
    factor s/q of the part of the stability that the replaced sample has.

    Args:
        distance: D >= |theta^1 - theta°|.
        reference: losses at theta°, `(n,)`, whose gap is an unbiased estimate of
            R_{s,q}(theta°) - R(theta°); or a number b, the length of an interval that holds them.
        found_losses: losses at theta_bar, `(n,)`, if known; the bound is then an estimate, of one
            draw, of a bound on an expectation.
        lipschitz, step_sizes, minibatches, max_age: as for `stability_bound`.

    Example:
        >>> design, steps = Design.from_ratios(50_000), [0.001] * 1000
        >>> bound = population_bound(design, 1.0, distance=1.0, step_sizes=steps, reference=1.0)
        >>> round(bound.optimization_error, 3), round(bound.generalization, 3)
        (0.5, 0.042)
    """
    stability = stability_bound(design, lipschitz, step_sizes, minibatches, max_age)
    error = epoch_bound(distance, lipschitz, step_sizes, minibatches).value
    steps = minibatches * step_array(step_sizes)
    error += stored_score_penalty(design, lipschitz, steps, max_age)
    if isinstance(reference, int | float):
        require_not_negative(reference=reference)
        reference_gap = total_variation(design) * reference
    else:
        reference_gap = gap(reference, design).value
    return PopulationBound(
        optimization_error=error,
        generalization=lipschitz * stability.average,
        reference_gap=reference_gap,
        found_gap=0.0 if found_losses is None else gap(found_losses, design).value,
    )


@checked
def best_population_step_size(
    design: Design,
    lipschitz: float,
    distance: float,
    steps: int,
    minibatches: int = 1,
    max_age: int = 0,
) -> float:
    """The constant step size that minimizes `population_bound`, for T = `steps` selections.

    Smaller than D/(G sqrt(T)), by a factor of order T^(1/4) at least: a bound on the risk has to
    pay for every step. `ValueError` unless distance and lipschitz are positive and T >= 1.

    Example:
        >>> step = best_population_step_size(Design(9, 6, 3), lipschitz=1.0, distance=1.0, steps=50)
        >>> step < best_step_size(distance=1.0, lipschitz=1.0, steps=50)  # a risk pays for steps
        True
    """
    if not (distance > 0 and lipschitz > 0 and steps >= 1):
        raise InputError(
            "distance and lipschitz must be positive and steps at least 1, "
            f"got {distance=}, {lipschitz=}, {steps=}"
        )
    require_steps(steps)
    ones = np.ones(steps)
    falling = epoch_bound(distance, lipschitz, ones, minibatches).distance_term
    bound = population_bound(design, lipschitz, distance, ones, 0.0, minibatches, max_age)
    return (falling / (bound.above_surrogate_risk - falling)) ** 0.5
