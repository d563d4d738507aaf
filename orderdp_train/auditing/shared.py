"""What all rules of an audit share: losses, rankings, products of per-sample gradients."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from orderdp_theory import Ranking, surrogate_weights
from orderdp_train.auditing.agreement import contrasts, ranks
from orderdp_train.auditing.covariance import Products, products
from orderdp_train.auditing.inner import Inner
from orderdp_train.auditing.layers import FEW, cost_of_rows
from orderdp_train.auditing.moments import RankedMoments
from orderdp_train.auditing.population import Population
from orderdp_train.auditing.walk import TOLERANCE, TOLERANCE_FLOAT64, trainable
from orderdp_train.rules import OrderDP, SelectionRule
from orderdp_train.rules.base import ScoredRule, finite
from orderdp_train.rules.pairs import SecondOrder

PROJECTIONS = 4


class Shared:
    """What all rules share: losses, the fresh ranking, per-sample products by ranking."""

    def __init__(
        self,
        model: nn.Module,
        population: Population,
        losses: Tensor,
        generator: torch.Generator,
        draws: int,
        moments: bool,
        memory_limit: int,
    ) -> None:
        self.general: set[str] = set()
        self.slow_covariance = ""
        self.memory_limit = memory_limit
        self.model, self.population, self.losses = model, population, losses
        self.loss_std = float(losses.std(correction=0))
        smallest, largest = float(losses.min()), float(losses.max())
        self.loss_range = largest - smallest
        self.largest_loss = max(abs(smallest), abs(largest))
        self.generator = generator
        self.names, parameters = zip(*trainable(model), strict=True)
        self.sizes = [p.numel() for p in parameters]
        self.device = parameters[0].device
        double = parameters[0].dtype == torch.float64
        self.tolerance = TOLERANCE_FLOAT64 if double else TOLERANCE
        self.inner = Inner(len(self.sizes))
        self._rankings: list[tuple[Tensor, Ranking, Tensor]] = []
        self._latest: tuple[object, Tensor] = None, losses
        _, self.order = self.ranking(losses)
        self.moments = moments
        self.features = contrasts(self.order, generator if draws else None)
        self.directions: list[int] = []
        if moments:
            self.directions = torch.randint(2**62, (PROJECTIONS,), generator=generator).tolist()
        self._found: list[tuple[Ranking, Tensor | None, Products]] = []
        self.largest_gradient: float | None = None

    def finish(self, moments: list[RankedMoments]) -> None:
        """Take what walks have seen of single samples, and add what they could not see."""
        if not self.moments:
            return
        for seen in moments:
            found, missing = seen.products(), seen.missing
            if missing:
                directions = None if self._found else self.directions
                slow = self._slowly(seen.ranking, directions, missing, seen.coefficient)
                found = found.replaced(slow, missing)
            self._found.append((seen.ranking, seen.coefficient, found))
        if not self._found:
            _, ranking, _ = self._rankings[0]
            self._found.append((ranking, None, self._slowly(ranking, self.directions)))
        *_, base = self._found[0]
        self.features = torch.cat([self.features, ranks(base.projections)], 1)
        self.largest_gradient = math.sqrt(float(base.squares.sum(1).max()))

    def ranking(self, scores: Tensor) -> tuple[Ranking, Tensor]:
        """The ranking of `scores` and its order, the same objects for the same scores."""
        scores = finite(scores).cpu()
        for known, ranking, order in self._rankings:
            if torch.equal(known, scores):
                return ranking, order
        ranking = Ranking.of(scores.numpy())
        order = torch.from_numpy(ranking.order)
        self._rankings.append((scores, ranking, order))
        return ranking, order

    def expected_weights(self, rule: SelectionRule, scores: Tensor | None = None) -> Tensor:
        """`rule.expected_weights(scores)`, without a sort of its own for every OrderDP design."""
        if not (isinstance(rule, OrderDP) and type(rule).select is OrderDP.select):
            if scores is not None and isinstance(rule, ScoredRule):
                scores = scores.to(rule.scores.device)
            return rule.expected_weights(scores)
        ranking, _ = self.ranking(rule.ranked_by(scores))
        key = id(ranking), rule.design
        if self._latest[0] != key:
            self._latest = key, torch.from_numpy(surrogate_weights(ranking, rule.design))
        return self._latest[1]

    def products(self, design: SecondOrder) -> Products:
        """Products with the design's coefficients, in the order of its ranking if it has one."""
        a = design.coefficient
        *_, base = self._found[0]
        if design.pairs is None:
            return base
        uniform = is_uniform(a)
        ranked = self._ranked(design.pairs.ranking, None if uniform else a)
        scale = float(a[0]) ** 2 if uniform else 1.0
        return replace(base, between=ranked.between * scale, within=ranked.within * scale)

    def _ranked(self, ranking: Ranking, coefficient: Tensor | None) -> Products:
        for known, its, found in self._found:
            if same_ranking(known, ranking) and same_coefficient(its, coefficient):
                return found
        found = self._slowly(ranking, coefficient=coefficient)
        self._found.append((ranking, coefficient, found))
        return found

    def _slowly(
        self,
        ranking: Ranking,
        directions: list[int] | None = None,
        layers: list[int] | None = None,
        coefficient: Tensor | None = None,
    ) -> Products:
        """By a mapped backward pass for each sample, of all or of some parameters."""
        if coefficient is None:
            coefficient = torch.ones(self.population.n, dtype=torch.float64)
        return products(
            self.model,
            self.population,
            ranking,
            coefficient,
            directions,
            self.memory_limit,
            self._because,
            layers,
        )

    def cost_of_rows(self, rows: int, batch_size: int) -> float:
        """What so many more rows of weights cost in every batch, in plain passes."""
        few = torch.arange(min(FEW, self.population.n))
        losses = partial(self.population.losses, self.model, few, self.population.batch(few))
        return cost_of_rows(self.model, losses, rows, batch_size, each=self.moments)

    def slow(self) -> list[str]:
        """In words, where no fast path fitted."""
        found = []
        if self.general:
            names = ", ".join(name for name in self.names if name in self.general)
            found.append(f"a backward pass for each direction of a batch's weights: {names}")
        if self.slow_covariance:
            found.append(f"covariances by a backward pass for each sample: {self.slow_covariance}")
        return found

    def _because(self, reason: str) -> None:
        self.slow_covariance = reason


def same_coefficient(a: Tensor | None, b: Tensor | None) -> bool:
    return a is b or (a is not None and b is not None and torch.equal(a, b))


def is_uniform(coefficient: Tensor) -> bool:
    return bool((coefficient == coefficient[0]).all())


def same_ranking(a: Ranking, b: Ranking) -> bool:
    return a is b or (np.array_equal(a.order, b.order) and np.array_equal(a.starts, b.starts))
