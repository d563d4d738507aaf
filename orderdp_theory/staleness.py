"""The rate of convergence under stored scores: by their age, and by their measured error.

Statements and proofs: proofs/staleness.md. A score has age a in step t if it is the loss at
theta^{t-a}; step sizes are constant.
"""

import operator
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked, double_array, require_design
from orderdp_theory.common.errors import InputError
from orderdp_theory.convergence import best_step_size, ranking_sensitivity
from orderdp_theory.design import Design


@dataclass(frozen=True)
class StaleRate:
    """The rate `value` = factor D G / sqrt(T), at `step_size` = D / (factor G sqrt(T)).

    Example:
        >>> rate = stale_rate(Design(4, 4, 1), distance=1.0, lipschitz=1.0, steps=100, max_age=2)
        >>> round(rate.factor, 12), round(rate.step_size, 4), round(rate.value, 4)
        (3.0, 0.0333, 0.3)
    """

    factor: float
    step_size: float
    value: float


@checked
def staleness_factor(design: Design, max_age: int, mean_age: float | None = None) -> float:
    """sqrt(1 + min(4 kappa tau, 2 (s/q) a)): by what factor old scores slow convergence at most.

    max_age: tau, in every step each score has at most this age. mean_age: a, in every step the mean
    age of the n scores is at most this; tau if not given, and then it decides nothing, as
    kappa <= s / (2 q). kappa is `ranking_sensitivity`. `ValueError` for negative ages.

    Example:
        >>> staleness_factor(Design(4, 2, 2), max_age=100)  # nothing is ranked
        1.0
        >>> staleness_factor(Design(4, 4, 1), max_age=2)
        3.0
    """
    max_age = operator.index(max_age)
    mean = float(max_age) if mean_age is None else mean_age
    if not (max_age >= 0 and 0 <= mean <= max_age):
        raise InputError(f"ages must be 0 <= mean_age <= max_age, got {mean_age=}, {max_age=}")
    by_maximum = 4 * ranking_sensitivity(design) * max_age
    return sqrt(1 + min(by_maximum, 2 * design.s / design.q * mean))


@checked
def stale_rate(
    design: Design,
    distance: float,
    lipschitz: float,
    steps: int,
    max_age: int,
    mean_age: float | None = None,
) -> StaleRate:
    """D G sqrt((1 + 4 kappa tau) / T), Theorem 3 for scores at most tau steps old.

    Bounds E[L_q(mean iterate) - min L_q] and min_t E[L_q(theta^t) - min L_q] for convex
    G-Lipschitz losses at the step size given back, the best one for
    D^2 / (2 eta T) + (G^2 eta / 2) (1 + 4 kappa tau). At tau = 0 it is tight for every design; for
    s = n and q = 1 no step size does better than sqrt(T / (T + 2 tau)) / 2 of it.

    distance: D > 0. lipschitz: G > 0. steps: T >= 1. Ages as for `staleness_factor`.

    Example:
        >>> design = Design(50_000, 25_000, 15_000)
        >>> fresh = stale_rate(design, distance=1.0, lipschitz=1.0, steps=10_000, max_age=0)
        >>> stale = stale_rate(design, distance=1.0, lipschitz=1.0, steps=10_000, max_age=100)
        >>> round(fresh.value, 6), round(stale.value, 3)
        (0.01, 0.164)
    """
    factor = staleness_factor(design, max_age, mean_age)
    step_size = best_step_size(distance, lipschitz, steps) / factor
    return StaleRate(factor, step_size, factor * distance * lipschitz / sqrt(steps))


@dataclass(frozen=True)
class RoundRobin:
    """Ages of the scores if r samples are scored before each selection, and what they cost.

    max_age: ceil(n/r) - 1. mean_age: of all n scores, at most half of it. factor: the price in
    convergence, at most sqrt(1 + 4 kappa n / r).

    Example:
        >>> found = round_robin(Design(12, 4, 2), rescored=3)
        >>> found.max_age, found.mean_age
        (3, 1.5)
    """

    max_age: int
    mean_age: float
    factor: float


@checked
def round_robin(design: Design, rescored: int) -> RoundRobin:
    """Algorithm 1 repaired: score `rescored` samples in turn before each selection.

    The initial scores are losses at the first point. Scoring the s candidates instead costs s
    evaluations a step and leaves nothing stale, so this pays for rescored < s only. With one
    selection an epoch, ages count epochs and the factor is that of the rate of `epoch_bound`.
    `ValueError` unless 1 <= rescored <= n, `TypeError` unless it is an integer.

    Example:
        >>> design = Design(50_000, 25_000, 15_000)
        >>> [round(round_robin(design, rescored=r).factor, 2) for r in (500, 5000, 25_000)]
        [12.88, 4.0, 1.63]
    """
    require_design(design)
    n, r = design.n, operator.index(rescored)
    if not 1 <= r <= n:
        raise InputError(f"rescored must lie in 1 ... n = {n}, got {r}")
    max_age = -(-n // r) - 1
    mean_age = max_age * (1 - r * (max_age + 1) / (2 * n))
    return RoundRobin(max_age, mean_age, staleness_factor(design, max_age, mean_age))


@checked
def score_error_bound(scores: ArrayLike, losses: ArrayLike, design: Design) -> float:
    """(s/q) mean_i |H_i - L_i|, at least what ranking by scores H loses: L_q - sum_i w^H_i L_i.

    A statistic that a run can monitor, from a random part of its samples too, where nothing bounds
    the age of its scores: its mean over the steps, weighted by the step sizes, is what to add to
    `convergence_bound`. For q < s no smaller constant will do; for q = s nothing is lost.

    scores, losses: `(n,)`, finite, of the same samples in the same order.

    Example:
        >>> scores, losses, design = [3.0, 2.0, 1.0, 0.0], [3.0, 2.0, 0.0, 1.0], Design(4, 4, 2)
        >>> score_error_bound(scores, losses, design)  # the two that are kept are the right ones
        1.0
    """
    require_design(design)
    difference = np.abs(_vector(scores, "scores", design) - _vector(losses, "losses", design))
    return design.s / design.q * float(difference.mean())


def _vector(values: ArrayLike, name: str, design: Design) -> np.ndarray:
    vector = double_array(values, name)
    if vector.shape != (design.n,) or not np.isfinite(vector).all():
        raise InputError(f"{name} must be {design.n} finite numbers, got shape {vector.shape}")
    return vector
