"""Training on small convex problems in rational arithmetic, over every random draw at once."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations, permutations
from math import factorial
from typing import Literal

import numpy as np

from orderdp_theory import Design, inclusion_probabilities_exact, stored_score_counterexample

Vector = tuple[Fraction, ...]
Scores = Literal["fresh", "stored"]
Refresh = Literal["before the step", "after the step"]


def vector(*entries: int | Fraction) -> Vector:
    """A rational vector."""
    return tuple(Fraction(entry) for entry in entries)


def dot(a: Vector, b: Vector) -> Fraction:
    """Inner product."""
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def combine(*terms: tuple[Fraction | int, Vector]) -> Vector:
    """A linear combination of vectors."""
    size = len(terms[0][1])
    return tuple(sum((Fraction(c) * v[k] for c, v in terms), Fraction(0)) for k in range(size))


def squared_distance(a: Vector, b: Vector) -> Fraction:
    """Squared Euclidean distance."""
    difference = combine((1, a), (-1, b))
    return dot(difference, difference)


@dataclass(frozen=True)
class Loss:
    """A convex loss max_k (slope_k · θ + offset_k), the general convex piecewise-linear one."""

    pieces: tuple[tuple[Vector, Fraction], ...]

    def __call__(self, theta: Vector) -> Fraction:
        return max(dot(slope, theta) + offset for slope, offset in self.pieces)

    def subgradient(self, theta: Vector) -> Vector:
        """The slope of the first piece that attains the maximum."""
        value = self(theta)
        return next(a for a, b in self.pieces if dot(a, theta) + b == value)

    @property
    def squared_lipschitz(self) -> Fraction:
        """The squared Lipschitz constant."""
        return max(dot(slope, slope) for slope, _ in self.pieces)


def distance_loss(slope: Vector, centre: Fraction | int = 0, floor: Fraction | int = 0) -> Loss:
    """floor + |slope · θ − centre|."""
    c, f = Fraction(centre), Fraction(floor)
    return Loss(((slope, f - c), (tuple(-x for x in slope), f + c)))


@cache
def gamma(design: Design) -> tuple[Fraction, ...]:
    """The exact inclusion probabilities, kept because small designs recur."""
    return tuple(inclusion_probabilities_exact(design))


def factor(s: int, at: int) -> int:
    """s!/((l−1)!(s−l)!)."""
    return factorial(s) // (factorial(at - 1) * factorial(s - at))


def gamma_limit(z: Fraction, s: int, q: int) -> Fraction:
    """γ(z) of Proposition 2 at a rational point."""
    a, b = z.numerator, z.denominator
    total = sum(factor(s, at) * a ** (at - 1) * (b - a) ** (s - at) for at in range(1, q + 1))
    return Fraction(total, b ** (s - 1))


def descending(values: Sequence[Fraction]) -> list[int]:
    """Indices from the largest value down, ties by index."""
    return sorted(range(len(values)), key=lambda i: (-values[i], i))


def values(losses: Sequence[Loss], theta: Vector) -> list[Fraction]:
    """All losses at one point."""
    return [loss(theta) for loss in losses]


def mean_loss(losses: Sequence[Loss], theta: Vector) -> Fraction:
    """The empirical loss L(θ)."""
    return sum(values(losses, theta), Fraction(0)) / len(losses)


def ranked_loss(losses: Sequence[Loss], design: Design, theta: Vector) -> Fraction:
    """The surrogate L_q(θ) of Eq. 3."""
    ordered = sorted(values(losses, theta), reverse=True)
    return sum((g * v for g, v in zip(gamma(design), ordered, strict=True)), Fraction(0)) / design.q


def selections(design: Design, scores: Sequence[Fraction]) -> Iterator[tuple[int, ...]]:
    """The kept set of every equally likely candidate set, highest scores first."""
    order = descending(scores)
    for positions in combinations(range(design.n), design.s):
        yield tuple(order[position] for position in positions[: design.q])


def expected_gradient(
    gradients: Sequence[Vector], design: Design, scores: Sequence[Fraction]
) -> Vector:
    """E[g̃] by enumerating every candidate set."""
    kept = [i for selection in selections(design, scores) for i in selection]
    draws = len(kept) // design.q
    return combine(*((Fraction(1, draws * design.q), gradients[i]) for i in kept))


@dataclass(frozen=True)
class State:
    """Where a run is: parameters, stored scores, and the running sum Σ η θ."""

    theta: Vector
    scores: tuple[Fraction, ...]
    weighted_sum: Vector


def train(
    losses: Sequence[Loss],
    design: Design,
    start: Vector,
    steps: Sequence[Fraction],
    ranking: Scores,
    refresh: Refresh = "before the step",
) -> Iterator[dict[State, Fraction]]:
    """Algorithm 1, exactly: before step t, the distribution over states, for t = 1 … T + 1.

    `ranking` is by the losses at the current parameters ("fresh") or by the stored scores as
    Algorithm 1 prints it; initial scores are the losses at the start. `refresh` says whether the
    loss stored for a kept sample is the one before the step (Algorithm 1) or after it (Eq. 2).
    """
    zero = combine((0, start))
    states = {State(start, tuple(values(losses, start)), zero): Fraction(1)}
    yield states
    for step in steps:
        following: dict[State, Fraction] = defaultdict(Fraction)
        for state, probability in states.items():
            for after, share in _transitions(losses, design, state, step, ranking, refresh):
                following[after] += probability * share
        states = dict(following)
        yield states


def _transitions(
    losses: Sequence[Loss],
    design: Design,
    state: State,
    step: Fraction,
    ranking: Scores,
    refresh: Refresh,
) -> Iterator[tuple[State, Fraction]]:
    theta = state.theta
    current = values(losses, theta)
    kept_sets = list(selections(design, current if ranking == "fresh" else state.scores))
    for kept in kept_sets:
        gradient = combine(*((Fraction(1, design.q), losses[i].subgradient(theta)) for i in kept))
        moved = combine((1, theta), (-step, gradient))
        source = current if refresh == "before the step" else values(losses, moved)
        scores = tuple(source[i] if i in kept else old for i, old in enumerate(state.scores))
        yield (
            State(moved, scores, combine((1, state.weighted_sum), (step, theta))),
            Fraction(1, len(kept_sets)),
        )


def expectation(states: dict[State, Fraction], of: Callable[[State], Fraction]) -> Fraction:
    """Expectation over a distribution of states."""
    return sum((probability * of(state) for state, probability in states.items()), Fraction(0))


def minimum_on_line(losses: Sequence[Loss], objective: Callable[[Vector], Fraction]) -> Fraction:
    """The minimum over θ in R of an objective that is linear between kinks and crossings."""
    return min(map(objective, breakpoints(losses)))


def breakpoints(losses: Sequence[Loss]) -> list[Vector]:
    """Every point of R where two affine pieces of the losses meet; rank changes are among them."""
    pieces = [piece for loss in losses for piece in loss.pieces]
    return sorted(
        {
            vector((d - b) / (a[0] - c[0]))
            for (a, b), (c, d) in combinations(pieces, 2)
            if a[0] != c[0]
        }
    )


def epoch(
    losses: Sequence[Loss], design: Design, start: Vector, step: Fraction, minibatches: int
) -> dict[Vector, Fraction]:
    """One selection and a pass of equal minibatches over it in random order: the law of θ."""
    ends: dict[Vector, Fraction] = defaultdict(Fraction)
    kept_sets = list(selections(design, values(losses, start)))
    size = design.q // minibatches
    for kept in kept_sets:
        orders = list(permutations(kept))
        for order in orders:
            theta = start
            for k in range(minibatches):
                batch = order[k * size : (k + 1) * size]
                gradient = combine(
                    *((Fraction(1, size), losses[i].subgradient(theta)) for i in batch)
                )
                theta = combine((1, theta), (-step, gradient))
            ends[theta] += Fraction(1, len(kept_sets) * len(orders))
    return dict(ends)


def random_vector(rng: np.random.Generator, size: int, largest: int = 4) -> Vector:
    """Integer entries between −largest and largest."""
    return vector(*(int(x) for x in rng.integers(-largest, largest + 1, size)))


def random_losses(rng: np.random.Generator, n: int, dimension: int) -> list[Loss]:
    """Convex piecewise-linear losses of two or three pieces; small integers, so ties are common."""
    return [
        Loss(
            tuple(
                (random_vector(rng, dimension, 2), Fraction(int(rng.integers(-2, 3))))
                for _ in range(int(rng.integers(2, 4)))
            )
        )
        for _ in range(n)
    ]


TWO_SAMPLES = Design(2, 2, 1)


def stale_problem(
    design: Design = TWO_SAMPLES,
) -> tuple[list[Loss], Vector, list[Fraction], Design]:
    """Losses on which stored scores freeze the selection, for any design with q < s.

    n − k samples have the loss 1 + 5 max(0, 1 − x) and k = min(q, s − q) the loss
    max(0, 4x − 3y); start at 0. Stored scores of the latter stay at their initial 0, below all
    others, so none of them is ever kept: x runs to 1, y stays 0. The minimum of L_q is 1, at
    (1, 1). `orderdp_theory.stored_score_counterexample` knows step size and number of steps in
    closed form; here nothing is known of the run, it is enumerated.
    """
    hard = Loss(((vector(0, 0), Fraction(1)), (vector(-5, 0), Fraction(6))))
    easy = Loss(((vector(0, 0), Fraction(0)), (vector(4, -3), Fraction(0))))
    known = stored_score_counterexample(design=design)
    losses = [hard] * (design.n - known.easy) + [easy] * known.easy
    return losses, vector(0, 0), [known.step_size] * len(known.trajectory), design
