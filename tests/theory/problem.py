"""A small convex problem whose runs, over all random draws, can be enumerated."""

from collections.abc import Callable, Iterable
from itertools import combinations, permutations

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from orderdp_theory import Design, inclusion_probabilities, surrogate_loss

Array = NDArray[np.float64]
N = 4


class Problem:
    """Losses |a_i·θ − b_i| of four samples in the plane, starting at 0."""

    def __init__(self, seed: int, design: Design):
        rng = np.random.default_rng(seed)
        self.design = design
        self.A, self.b = rng.normal(size=(N, 2)), rng.normal(size=N)
        self.lipschitz = float(np.linalg.norm(self.A, axis=1).max())
        theta = cp.Variable(2)
        losses = cp.abs(self.A @ theta - self.b)
        w = np.append(inclusion_probabilities(design), 0) / design.q
        surrogate = (w[N - 1] - w[N]) * cp.sum(losses) + sum(
            (w[k - 1] - w[k]) * cp.sum_largest(losses, k) for k in range(1, N)
        )
        self.minimum = cp.Problem(cp.Minimize(surrogate)).solve(solver="CLARABEL")
        self.distance = float(np.linalg.norm(theta.value))

    def losses(self, theta: Array) -> Array:
        return np.abs(self.A @ theta - self.b)

    def gradient(self, theta: Array, samples: Iterable[int]) -> Array:
        rows = list(samples)
        signs = np.sign(self.A[rows] @ theta - self.b[rows])
        return (signs[:, None] * self.A[rows]).mean(axis=0)

    def error(self, theta: Array) -> float:
        return surrogate_loss(self.losses(theta), self.design) - self.minimum

    def kept(self, scores: Array) -> list[list[int]]:
        """The kept samples of each candidate set."""
        sets = combinations(range(N), self.design.s)
        return [sorted(drawn, key=lambda i: -scores[i])[: self.design.q] for drawn in sets]

    def expected_errors(
        self,
        step_sizes: Array,
        initial_scores: Array | None = None,
        rescored: Callable[[int], Iterable[int]] = lambda t: (),
    ) -> tuple[Array, float]:
        """E[error(θ^t)] for each t, and of the weighted average, over all C(n, s)^T runs.

        Without initial scores, selection is by the current losses; otherwise by stored ones, of
        which those of the samples `rescored(t)` are renewed before the selection of step t.
        """
        runs = [(np.zeros(2), initial_scores, np.zeros(2))]
        errors = []
        for t, eta in enumerate(step_sizes):
            errors.append(np.mean([self.error(theta) for theta, _, _ in runs]))
            following = []
            for theta, scores, total in runs:
                current = self.losses(theta)
                ranked_by = current if scores is None else scores.copy()
                ranked_by[list(rescored(t))] = current[list(rescored(t))]
                for kept in self.kept(ranked_by):
                    stored = None if scores is None else ranked_by.copy()
                    if stored is not None:
                        stored[kept] = current[kept]
                    moved = theta - eta * self.gradient(theta, kept)
                    following.append((moved, stored, total + eta * theta))
            runs = following
        average = np.mean([self.error(total / step_sizes.sum()) for _, _, total in runs])
        return np.array(errors), float(average)

    def epoch_errors(
        self, step_sizes: Array, size: int, shuffled: bool, age: int = 0
    ) -> tuple[Array, float]:
        """The same with one selection an epoch and steps on minibatches of this size.

        Averaged over all orders of what is kept if `shuffled`, else one order: hardest first.
        Selection is by the losses at the start of the epoch or, if there are so many, `age` before.
        """
        runs = [[np.zeros(2)]]  # where each epoch started
        errors = []
        for eta in step_sizes:
            errors.append(np.mean([self.error(starts[-1]) for starts in runs]))
            following = []
            for starts in runs:
                for kept in self.kept(self.losses(starts[-1 - min(age, len(starts) - 1)])):
                    for order in permutations(kept) if shuffled else [kept]:
                        theta = starts[-1]
                        for first in range(0, len(order), size):
                            batch = order[first : first + size]
                            theta = theta - eta * self.gradient(theta, batch)
                        following.append([*starts, theta])
            runs = following
        weights = step_sizes / step_sizes.sum()
        average = np.mean([self.error(weights @ np.array(starts[:-1])) for starts in runs])
        return np.array(errors), float(average)
