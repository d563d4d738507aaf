"""Theorem 3 for Algorithm 1 as printed, ranking by stored scores, holds exactly if q = s.

Statement and proof: proofs/impossibility.md. For every q < s <= n, whatever the exploration, there
are convex Lipschitz losses on which the error never falls while the bound does.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from orderdp_theory.arguments import checked, require_design
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_at_most
from orderdp_theory.design import Design

Point = tuple[Fraction, Fraction]
MOST_STEPS = 10**6
SQUARED_DISTANCE, SQUARED_LIPSCHITZ = 2, 25  # D^2 and G^2 of the problem


@dataclass(frozen=True)
class StoredScoreRun:
    """The run of `stored_score_counterexample`, in exact arithmetic; the same for all draws.

    easy: how many samples have the loss L_2. trajectory: theta^1 ... theta^T. errors:
    L_q(theta^t) - min L_q. average_error: that of the mean iterate. least_error: what no point
    that stored scores can reach falls below. bound: the right-hand side of Eq. 18, and of Eq. 6 as
    the step size is constant.

    Example:
        >>> found = stored_score_counterexample(design=Design(4, 2, 1))
        >>> len(found.trajectory), found.errors[-1] >= found.least_error > found.bound
        (23, True)
    """

    design: Design
    easy: int
    step_size: Fraction
    trajectory: tuple[Point, ...]
    errors: tuple[Fraction, ...]
    average_error: Fraction
    least_error: Fraction
    bound: Fraction


@checked
def stored_score_counterexample(
    steps: int | None = None,
    design: Design = Design(2, 2, 1),
    scores: Literal["stored", "current"] = "stored",
) -> StoredScoreRun:
    """Convex losses on which Algorithm 1 as printed violates Theorem 3, for any design with q < s.

    k = min(q, s - q) samples have the loss L_2 and the other n - k the loss L_1,

        L_1 = 1 + 5 max(0, 1 - x),   L_2 = max(0, 4 x - 3 y),

    both 5-Lipschitz in theta = (x, y); theta^1 = 0, initial scores the losses there, 6 and 0. The
    minimum of L_q is 1, attained at (1, 1). Stored scores of L_1 stay >= 1 and those of L_2 stay
    0: whichever s candidates are drawn, at least s - k >= q of them have the loss L_1 and are
    ranked first. So no sample with the loss L_2 is ever kept, y stays 0, and there

        L_q - 1 >= least_error = min(5/3, 3 W),   W = k s / (n q),

    the weight that k largest losses have: at every iterate and at their mean. The step size is
    least_error / 25; the bound tends to half of least_error and is below it from the default number
    of steps on, T = floor(50 / least_error^2) + 1.

    Args:
        steps: T >= 1.
        design: q < s, else `ValueError`: for q = s nothing is ranked, and Theorem 3 holds.
        scores: "current" follows the expected gradient of ranking by current losses, for
            comparison; for s = n that is the algorithm itself.

    Example:
        >>> stored = stored_score_counterexample()
        >>> print(stored.average_error, stored.bound)
        49/19 185/114
        >>> current = stored_score_counterexample(scores="current")
        >>> current.average_error < current.bound
        True
    """
    require_design(design)
    n, s, q = design.n, design.s, design.q
    if q == s:
        raise InputError(f"q must be less than s: for q = s Theorem 3 holds, got {design}")
    easy = min(q, s - q)
    top = Fraction(easy * s, n * q)  # weight of that many largest losses
    least_error = min(Fraction(5, 3), 3 * top)
    step_size = least_error / SQUARED_LIPSCHITZ
    if steps is None:
        steps = int(2 * SQUARED_LIPSCHITZ / least_error**2) + 1
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}")
    require_at_most("steps", steps, MOST_STEPS, "they are made one by one in exact numbers")

    def losses(point: Point) -> tuple[Fraction, Fraction]:
        x, y = point
        return 1 + 5 * max(Fraction(0), 1 - x), max(Fraction(0), 4 * x - 3 * y)

    def error(point: Point) -> Fraction:
        first, second = losses(point)
        return first - 1 + top * max(Fraction(0), second - first)

    x = y = Fraction(0)
    trajectory = []
    for _ in range(steps):
        trajectory.append((x, y))
        first, second = losses((x, y))
        share = top if scores == "current" and second > first else Fraction(0)
        slope = -5 if x < 1 else 0
        x -= step_size * ((1 - share) * slope + share * 4)
        y += step_size * share * 3
    x, y = (sum(coordinate, Fraction(0)) / steps for coordinate in zip(*trajectory, strict=True))
    return StoredScoreRun(
        design=design,
        easy=easy,
        step_size=step_size,
        trajectory=tuple(trajectory),
        errors=tuple(map(error, trajectory)),
        average_error=error((x, y)),
        least_error=least_error,
        bound=SQUARED_DISTANCE / (2 * steps * step_size) + SQUARED_LIPSCHITZ * step_size / 2,
    )
