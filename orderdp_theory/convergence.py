"""Convergence of OrderDP on convex Lipschitz losses: ranked by current losses, by older ones.

Statements and proofs: proofs/convergence.md. Distances are Euclidean; theta^1 ... theta^T are the
points at which the T selections are made, eta^1 ... eta^T the step sizes.
"""

import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked, require_not_negative, step_array
from orderdp_theory.common.errors import InputError
from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities


@dataclass(frozen=True)
class ConvergenceBound:
    """Bound on E[L_q(average iterate) - min L_q], and on min_t E[L_q(theta^t) - min L_q].

    distance_term: D^2 / (2 sum eta). noise_term: G^2 sum eta^2 / (2 sum eta).
    step_ratio: eta_max / eta_min, a factor of the paper's Eq. 6 that is not needed.

    Example:
        >>> bound = convergence_bound(distance=1.0, lipschitz=2.0, step_sizes=[0.05, 0.1])
        >>> bound.step_ratio, round(bound.value, 3), round(bound.as_printed, 3)
        (2.0, 3.5, 7.0)
    """

    distance_term: float
    noise_term: float
    step_ratio: float

    @property
    def value(self) -> float:
        return self.distance_term + self.noise_term

    @property
    def as_printed(self) -> float:
        """The right-hand side of Eq. 6."""
        return self.step_ratio * self.value


@checked
def convergence_bound(distance: float, lipschitz: float, step_sizes: ArrayLike) -> ConvergenceBound:
    """Theorem 3 for ranking by current losses: (D^2 + G^2 sum eta^2) / (2 sum eta).

    Holds for convex G-Lipschitz losses, D >= |theta^1 - theta*| for some minimizer theta* of L_q,
    for the average of the iterates weighted by the step sizes and for the best iterate alike; also
    with a projection onto a convex set that holds theta*. At eta = D / (G sqrt(T)) it is
    D G / sqrt(T), and then no smaller bound holds, whatever the design.

    Args:
        distance: D >= 0.
        lipschitz: G >= 0.
        step_sizes: eta, positive and finite, `(T,)`. Anything else is a `ValueError`.

    Example:
        >>> step = best_step_size(distance=1.0, lipschitz=2.0, steps=100)
        >>> round(convergence_bound(1.0, 2.0, [step] * 100).value, 12)  # D G / sqrt(T)
        0.2
    """
    eta = step_array(step_sizes)
    require_not_negative(distance=distance, lipschitz=lipschitz)
    total = float(eta.sum())
    return ConvergenceBound(
        distance_term=distance**2 / (2 * total),
        noise_term=lipschitz**2 * float(eta @ eta) / (2 * total),
        step_ratio=float(eta.max() / eta.min()),
    )


@checked
def best_step_size(distance: float, lipschitz: float, steps: int) -> float:
    """D / (G sqrt(T)), the constant step size that minimizes the bound over all step sizes.

    Example:
        >>> round(best_step_size(distance=1.0, lipschitz=2.0, steps=100), 12)
        0.05
    """
    if not (distance > 0 and lipschitz > 0 and steps >= 1):
        raise InputError(
            "distance and lipschitz must be positive and steps at least 1, "
            f"got {distance=}, {lipschitz=}, {steps=}"
        )
    return distance / (lipschitz * steps**0.5)


@checked
def ranking_sensitivity(design: Design) -> float:
    """kappa = TV(gamma/q, gamma/q reversed) = (1/2) sum_j |gamma_j - gamma_{n+1-j}| / q, at most 1.

    What wrong scores can cost: weights w^H ranked by scores H with |H_i - L_i| <= delta for all i
    satisfy L_q - 2 kappa delta <= sum_i w^H_i L_i <= L_q, and both ends are attained. Zero exactly
    for uniform weights (q = s).

    Example:
        >>> round(ranking_sensitivity(Design(4, 4, 1)), 12)  # the top one of all
        1.0
        >>> round(ranking_sensitivity(Design(4, 2, 2)), 12)  # nothing is ranked
        0.0
    """
    gamma = inclusion_probabilities(design)
    return float(np.abs(gamma - gamma[::-1]).sum()) / (2 * design.q)


@checked
def stored_score_penalty(
    design: Design,
    lipschitz: float,
    step_sizes: ArrayLike,
    max_age: int,
    initial_error: float = 0.0,
) -> float:
    """What to add to `convergence_bound` if ranking is by scores at most `max_age` steps old.

    2 kappa sum_t eta^t delta^t / sum_t eta^t, where
    delta^t = G^2 (eta^{t-tau} + ... + eta^{t-1}) + [t <= tau + 1] delta_1 bounds how far a score
    used in step t is from the loss. At most 2 kappa G^2 eta_max tau if delta_1 = 0. Without such a
    condition the error need not fall at all: see `stored_score_counterexample`.

    Args:
        design: enters by kappa = `ranking_sensitivity`.
        lipschitz, step_sizes: as for `convergence_bound`.
        max_age: tau: in step t each score is a loss at one of theta^{t-tau}, ..., theta^t, or, for
            t <= tau + 1, an initial score. (Algorithm 1 stores the loss before the step, so a
            sample used in every step has age 1.)
        initial_error: delta_1 >= |H_i - L_i(theta^1)| for the initial scores H_i; 0 if they are
            losses.

    Example:
        >>> design, steps = Design(4, 4, 1), [0.1] * 100
        >>> round(stored_score_penalty(design, lipschitz=1.0, step_sizes=steps, max_age=0), 12)
        0.0
        >>> round(stored_score_penalty(design, lipschitz=1.0, step_sizes=steps, max_age=2), 3)
        0.394
    """
    eta, max_age = step_array(step_sizes), operator.index(max_age)
    require_not_negative(lipschitz=lipschitz, max_age=max_age, initial_error=initial_error)
    path = np.concatenate([[0.0], np.cumsum(eta)[:-1]])
    steps = np.arange(len(eta))
    error = lipschitz**2 * (path - path[np.maximum(steps - max_age, 0)])
    error += np.where(steps <= max_age, initial_error, 0.0)
    return 2 * ranking_sensitivity(design) * float(eta @ error / eta.sum())
