"""Convergence on weakly convex Lipschitz losses, by the gradient of L_q's Moreau envelope.

Statements and proofs: proofs/nonconvex.md. A function f is rho-weakly convex if f + (rho/2)|.|^2 is
convex: smooth losses are, with rho a bound on how negative their curvature gets; ReLU networks in
general are not, for any rho.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked, double_array, require_not_negative, step_array
from orderdp_theory.common.errors import InputError
from orderdp_theory.convergence import ranking_sensitivity
from orderdp_theory.design import Design
from orderdp_theory.high_probability import martingale_deviation


@dataclass(frozen=True)
class NonconvexBound:
    """Bound on sum_t eta^t |grad phi(theta^t)|^2 / sum_t eta^t, phi the Moreau envelope of L_q.

    envelope_term: 2 (phi(theta^1) - min L_q) / sum of steps. noise_term: grows with the step sizes.
    score_term: what ranking by other than current losses costs. deviation_term: 0 for a bound on
    the expectation, else what makes it hold with the probability asked for. trivial: G^2, which
    bounds the same mean whatever was done; a `value` that is not below it says nothing.

    Example:
        >>> NonconvexBound(0.25, 0.125, 0.0, 0.0, trivial=1.0).value
        0.375
        >>> NonconvexBound(1.0, 0.5, 0.0, 0.0, trivial=1.0).vacuous
        True
    """

    envelope_term: float
    noise_term: float
    score_term: float
    deviation_term: float
    trivial: float

    @property
    def value(self) -> float:
        return self.envelope_term + self.noise_term + self.score_term + self.deviation_term

    @property
    def vacuous(self) -> bool:
        return self.value >= self.trivial


@checked
def nonconvex_bound(
    weak_convexity: float,
    lipschitz: float,
    envelope_gap: float,
    step_sizes: ArrayLike,
    shortfalls: ArrayLike = 0.0,
    minibatches: int = 1,
    failure: float | None = None,
) -> NonconvexBound:
    """The rate of random-then-top selection on rho-weakly convex G-Lipschitz losses.

    L_q is rho-weakly convex too. With its envelope phi(x) = min_y L_q(y) + rho |y - x|^2, a small
    |grad phi(theta)| = 2 rho |theta - y| means that theta is near a nearly stationary point y of
    L_q. For one step a selection (K = 1) the mean of |grad phi(theta^t)|^2, weighted by eta, is in
    expectation at most

        (2 Delta + 2 rho G^2 sum (eta^t)^2 + 4 rho sum eta^t e^t) / sum eta^t,

    for every design, also with a projection onto a convex set (which then belongs to the minimum
    that defines phi). For K minibatch steps a selection, theta^t the point of selection, the steps
    are K eta^t long, and the middle term is (3K-1)/(2K) + rho eta^t (K-1)(2K-1)/(6K) times as
    large, at most 3/2 + rho K eta^t / 3. No smaller constant than 1/4 of the bound holds for all T.

    Args:
        weak_convexity: rho > 0. lipschitz: G >= 0.
        envelope_gap: Delta >= phi(theta^1) - min L_q; L_q(theta^1) - min L_q is enough.
        step_sizes: eta, positive, one per selection, `(T,)`.
        shortfalls: e^t >= (expected) L_q(theta^t) - sum_i w^H_i L_i(theta^t), a number or `(T,)`:
            0 if ranked by current losses, 2 kappa delta (`ranking_sensitivity`) if by scores within
            delta of them.
        minibatches: K equal parts of a selection, or shuffled ones, with a step on the mean loss of
            each.
        failure: if given, the bound holds for the run itself with probability 1 - failure over
            the selections (and shuffles), not only in expectation, with e^t the largest shortfalls.

    Raises:
        ValueError: a number out of its range, or not finite.

    Example:
        >>> bound = nonconvex_bound(1.0, 2.0, envelope_gap=0.25, step_sizes=[0.01] * 10_000)
        >>> round(bound.value, 3), bound.vacuous
        (0.085, False)
    """
    eta = step_array(step_sizes)
    require_not_negative(lipschitz=lipschitz, envelope_gap=envelope_gap)
    if not (np.isfinite(weak_convexity) and weak_convexity > 0):
        raise InputError(f"weak_convexity must be finite and > 0, got {weak_convexity!r}")
    if minibatches < 1:
        raise InputError(f"minibatches must be at least 1, got {minibatches}")
    errors = np.broadcast_to(double_array(shortfalls, "shortfalls"), eta.shape)
    if not np.all(np.isfinite(errors) & (errors >= 0)):
        raise InputError("shortfalls must be finite and >= 0")
    rho, K = weak_convexity, minibatches
    drift = (3 * K - 1) / (2 * K) + rho * eta * ((K - 1) * (2 * K - 1) / (6 * K))
    total = float(eta.sum())
    return NonconvexBound(
        envelope_term=2 * envelope_gap / (K * total),
        noise_term=2 * rho * lipschitz**2 * K * float(eta**2 @ drift) / total,
        score_term=4 * rho * float(eta @ errors) / total,
        deviation_term=0.0
        if failure is None
        else 2 * martingale_deviation(lipschitz**2, eta, failure),
        trivial=float(lipschitz**2),
    )


@checked
def best_nonconvex_step_size(
    design: Design,
    weak_convexity: float,
    lipschitz: float,
    envelope_gap: float,
    steps: int,
    max_age: int = 0,
) -> float:
    """sqrt(Delta / (rho G^2 T (1 + 4 kappa tau))), the best constant step size for K = 1.

    For scores at most tau = `max_age` steps old, whose shortfall is at most 2 kappa G^2 eta tau.
    The bound is then 4 G sqrt(rho Delta (1 + 4 kappa tau) / T). `ValueError` unless all but tau are
    positive.

    Example:
        >>> step = best_nonconvex_step_size(Design(4, 2, 1), 1.0, 2.0, envelope_gap=0.25, steps=100)
        >>> round(step, 12), round(nonconvex_bound(1.0, 2.0, 0.25, [step] * 100).value, 12)
        (0.025, 0.4)
    """
    if not (min(weak_convexity, lipschitz, envelope_gap) > 0 and steps >= 1 and max_age >= 0):
        raise InputError(
            "weak_convexity, lipschitz and envelope_gap must be positive, steps at least 1 and "
            f"max_age not negative, got {weak_convexity=}, {lipschitz=}, {envelope_gap=}, "
            f"{steps=}, {max_age=}"
        )
    price = 1 + 4 * ranking_sensitivity(design) * max_age
    return float(np.sqrt(envelope_gap / (weak_convexity * steps * price)) / lipschitz)
