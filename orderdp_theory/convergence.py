"""Convergence of OrderDP on convex Lipschitz losses: ranked by current losses, by stored scores.

Statements and proofs: proofs/convergence.md. Distances are Euclidean; theta^1 ... theta^T are the
points at which the T selections are made, eta^1 ... eta^T the step sizes.
"""

import operator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orderdp_theory.arguments import double_array
from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities


@dataclass(frozen=True)
class ConvergenceBound:
    """Bound on E[L_q(average iterate) - min L_q], and on min_t E[L_q(theta^t) - min L_q].

    distance_term: D^2 / (2 sum eta). noise_term: G^2 sum eta^2 / (2 sum eta).
    step_ratio: eta_max / eta_min, a factor of the paper's Eq. 6 that is not needed.
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
    """
    eta = _checked_steps(step_sizes)
    _check_not_negative(distance=distance, lipschitz=lipschitz)
    total = float(eta.sum())
    return ConvergenceBound(
        distance_term=distance**2 / (2 * total),
        noise_term=lipschitz**2 * float(eta @ eta) / (2 * total),
        step_ratio=float(eta.max() / eta.min()),
    )


def best_step_size(distance: float, lipschitz: float, steps: int) -> float:
    """D / (G sqrt(T)), the constant step size that minimizes the bound over all step sizes."""
    if not (distance > 0 and lipschitz > 0 and steps >= 1):
        raise ValueError(
            "distance and lipschitz must be positive and steps at least 1, "
            f"got {distance=}, {lipschitz=}, {steps=}"
        )
    return distance / (lipschitz * steps**0.5)


def ranking_sensitivity(design: Design) -> float:
    """kappa = TV(gamma/q, gamma/q reversed) = (1/2) sum_j |gamma_j - gamma_{n+1-j}| / q, at most 1.

    What wrong scores can cost: weights w^H ranked by scores H with |H_i - L_i| <= delta for all i
    satisfy L_q - 2 kappa delta <= sum_i w^H_i L_i <= L_q, and both ends are attained. Zero exactly
    for uniform weights (q = s).
    """
    gamma = inclusion_probabilities(design)
    return float(np.abs(gamma - gamma[::-1]).sum()) / (2 * design.q)


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
    """
    eta, max_age = _checked_steps(step_sizes), operator.index(max_age)
    _check_not_negative(lipschitz=lipschitz, max_age=max_age, initial_error=initial_error)
    path = np.concatenate([[0.0], np.cumsum(eta)[:-1]])
    steps = np.arange(len(eta))
    error = lipschitz**2 * (path - path[np.maximum(steps - max_age, 0)])
    error += np.where(steps <= max_age, initial_error, 0.0)
    return 2 * ranking_sensitivity(design) * float(eta @ error / eta.sum())


@dataclass(frozen=True)
class StoredScoreRun:
    """A run of Algorithm 1 in rational arithmetic, beside the bound of Theorem 3 for it.

    trajectory: theta^1 ... theta^T. errors: L_q(theta^t) - min L_q. average_error: that of the mean
    iterate. bound: the right-hand side of Eq. 18, and of Eq. 6 as the step size is constant.
    """

    design: Design
    step_size: Fraction
    trajectory: tuple[tuple[Fraction, ...], ...]
    errors: tuple[Fraction, ...]
    average_error: Fraction
    bound: Fraction


def stored_score_counterexample(
    steps: int = 19,
    dimension: Literal[1, 2] = 2,
    scores: Literal["stored", "current"] = "stored",
) -> StoredScoreRun:
    """Two convex samples on which Algorithm 1 as printed violates Theorem 3.

    Design (2, 2, 1), so nothing is random; losses, 5-Lipschitz in theta = (x, y),

        L_1 = 1 + 5 max(0, 1 - x),   L_2 = max(0, 4 x - 3 y),

    theta^1 = 0, initial scores the losses there, (6, 0), step size 1/15. The minimum of
    L_q = max(L_1, L_2) is 1, attained at (1, 1). Sample 1 is kept in every step because its loss
    stays >= 1 and the stored score of sample 2 stays 0 while its loss rises to 4: from step 4 on
    the error is 3, and no earlier one is below 5/3. The bound is smaller from T = 19 on and tends
    to 5/6.

    n = 2 is the smallest possible, as one sample has one ranking. With `dimension` 1 (y = 0 fixed,
    minimum 8/3 at x = 2/3) the bound for the average fails from T = 23 on, but the path goes
    through the minimizer, so that the bound for the best iterate holds. `scores="current"` ranks by
    the current losses instead, for comparison.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    step_size = Fraction(1, 15)
    minimum, squared_distance = {
        1: (Fraction(8, 3), Fraction(4, 9)),
        2: (Fraction(1), Fraction(2)),
    }[dimension]

    def losses(theta: tuple[Fraction, ...]) -> tuple[Fraction, Fraction]:
        x, y = (*theta, Fraction(0))[:2]
        return 1 + 5 * max(Fraction(0), 1 - x), max(Fraction(0), 4 * x - 3 * y)

    def subgradient(sample: int, theta: tuple[Fraction, ...]) -> tuple[int, ...]:
        above_floor = losses(theta)[sample] > (1, 0)[sample]
        return ((-5, 0), (4, -3))[sample][:dimension] if above_floor else (0, 0)[:dimension]

    theta = (Fraction(0),) * dimension
    stored = list(losses(theta))
    trajectory = []
    for _ in range(steps):
        trajectory.append(theta)
        ranked_by = stored if scores == "stored" else losses(theta)
        kept = 0 if ranked_by[0] >= ranked_by[1] else 1
        stored[kept] = losses(theta)[kept]
        gradient = subgradient(kept, theta)
        theta = tuple(c - step_size * g for c, g in zip(theta, gradient, strict=True))
    mean = tuple(sum(c, Fraction(0)) / steps for c in zip(*trajectory, strict=True))
    total = steps * step_size
    return StoredScoreRun(
        design=Design(2, 2, 1),
        step_size=step_size,
        trajectory=tuple(trajectory),
        errors=tuple(max(losses(point)) - minimum for point in trajectory),
        average_error=max(losses(mean)) - minimum,
        bound=(squared_distance + 25 * steps * step_size**2) / (2 * total),
    )


def _checked_steps(step_sizes: ArrayLike) -> NDArray[np.float64]:
    eta = double_array(step_sizes, "step_sizes")
    if eta.ndim != 1 or eta.size == 0:
        raise ValueError(f"step_sizes must be a vector, one per step, got shape {eta.shape}")
    if not np.all(np.isfinite(eta) & (eta > 0)):
        raise ValueError("step_sizes must be positive and finite")
    return eta


def _check_not_negative(**numbers: float) -> None:
    for name, value in numbers.items():
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be finite and >= 0, got {value!r}")
