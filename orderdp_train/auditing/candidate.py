"""One rule on its way through an audit: its weights, then its gradients, then the result."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import stdev

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from orderdp_theory import (
    LinearPredictors,
    PrintedBound,
    chi,
    effective_sample_size,
    spectrum_deviation,
    total_variation,
)
from orderdp_theory.common.errors import InputError
from orderdp_train.auditing.agreement import (
    Drawn,
    Draws,
    agreement,
    drawn_of,
    mean_weights,
    selections,
)
from orderdp_train.auditing.covariance import covariance_trace, sequence_trace
from orderdp_train.auditing.followed import EPOCH_CAUSES, FollowedEpoch
from orderdp_train.auditing.inner import Inner
from orderdp_train.auditing.result import FollowedParts, Layer, RuleAudit, Surrogate, TheoremFour
from orderdp_train.auditing.sequence import SequenceMoments
from orderdp_train.auditing.shared import Shared, is_uniform
from orderdp_train.auditing.split import CAUSES, split_bias
from orderdp_train.rules import OrderDP, SelectionRule
from orderdp_train.rules.base import ScoredRule
from orderdp_train.rules.pairs import SequencePairs, second_order

FAILURE = 0.05  # of the corrected bound on the population risk, over the draw of the data


class Candidate:
    """One rule on its way through an audit: its weights, then its gradients, then the result."""

    def __init__(
        self,
        name: str,
        rule: SelectionRule,
        shared: Shared,
        draws: int,
        level: float,
        monte_carlo: bool,
        followed: FollowedEpoch | None,
    ) -> None:
        self.followed = followed
        self.views = 1
        self.inner = Inner(len(shared.sizes))
        self.name, self.rule, self.shared = name, rule, shared
        stored = shared.expected_weights(rule)
        fresh = shared.expected_weights(rule, shared.losses)
        self.stored = self._weights(stored)
        self.fresh = self.stored if fresh is stored else self._weights(fresh)
        self.level = level
        self.selections: Iterable[Drawn]
        self.selections = selections(rule, draws, shared.generator)
        self.drawn: Tensor | None = None
        if monte_carlo and draws > 0:  # the gradient and the test are of the same selections
            self.selections = list(self.selections)
            self.drawn = mean_weights(rule.n, self.selections)
        self.design = second_order(rule) if shared.moments else None
        self.sequence: SequenceMoments | None = None

    def _weights(self, weights: Tensor) -> Tensor:
        n = self.rule.n
        weights = torch.as_tensor(weights).detach().to("cpu", torch.float64)
        total = float(weights.sum())  # not finite if any of them is not
        if weights.shape != (n,) or not (math.isfinite(total) and total > 0):
            raise InputError(
                f"{self.name}.expected_weights() must be {n} finite weights with a positive sum, "
                f"got shape {tuple(weights.shape)} with sum {total}"
            )
        return weights

    @property
    def order(self) -> Tensor:
        """An order in which the rule's own weights do not increase, of its scores if possible."""
        if isinstance(self.rule, ScoredRule):
            _, order = self.shared.ranking(self.rule.scores)
            if monotone(self.stored.take(order)):
                return order
        return self.shared.ranking(self.stored)[1]

    def rows(self) -> dict[str, Tensor]:
        """Weights whose gradients are needed, by what they are for."""
        rows = {"stored": self.stored}
        if self.fresh is not self.stored and not torch.equal(self.stored, self.fresh):
            rows["fresh"] = self.fresh
        if self.drawn is not None:
            rows["drawn"] = self.drawn
        if self.design is not None and not is_uniform(self.design.coefficient):
            rows["sum"] = self.design.coefficient
        return rows

    def add(
        self, layer: int, piece: dict[str, Tensor], here: slice, views: list[dict[str, Tensor]]
    ) -> None:
        """Take the gradients on a piece of a layer, which is `here` among all parameters.

        They are the means over the views.
        """
        full, stored = piece["full"], piece[f"{self.name}/stored"]
        fresh = piece.get(f"{self.name}/fresh", stored)
        bias = stored - full
        sums = float(self.fresh.sum()), float(self.stored.sum())
        causes = split_bias(full, fresh, stored, *sums)
        add = self.inner.add
        add(layer, stored=(stored, stored), along=(stored, full), full=(full, full))
        add(layer, bias=(bias, bias), **{c: (v, v) for c, v in causes.items()})
        rest = sum(causes.values(), torch.zeros_like(bias)) - bias
        add(layer, residual=(rest, rest))
        self.views = len(views)
        if self.views > 1:
            for k, view in enumerate(views):
                its = view[f"{self.name}/stored"]
                own = split_bias(view["full"], view.get(f"{self.name}/fresh", its), its, *sums)
                add(layer, **{f"view {k} {name}": (v, causes[name]) for name, v in own.items()})
                add(layer, **{f"view {k} bias": (its - view["full"], bias)})
        if self.design is not None:
            whole = piece.get(f"{self.name}/sum")
            if whole is None:  # all coefficients are the same
                whole = full * (self.rule.n * float(self.design.coefficient[0]))
            add(layer, sum=(whole, whole), sum_stored=(whole, stored))
        if self.drawn is not None:
            error = piece[f"{self.name}/drawn"] - stored
            add(layer, drawn=(error, error))
        if self.followed is not None:
            moved = self.followed.at(here)
            more = moved.split(full, stored)
            bias = moved.followed - full
            rest = sum((causes | more).values(), torch.zeros_like(bias)) - bias
            add(layer, followed=(moved.followed, moved.followed), ahead=(moved.followed, full))
            add(layer, epoch_bias=(bias, bias), epoch_residual=(rest, rest))
            add(layer, **{c: (v, v) for c, v in more.items()})

    def result(self, norm: float) -> RuleAudit:
        """`norm` is that of the full-data gradient."""
        tested = None
        draws = drawn_of(self.rule.n, self.selections, self.shared.features)
        if draws is not None:
            tested = agreement(draws, self.shared.features, self.stored, self.level)
        kept = self._kept(draws)
        bias = self.inner.norm("bias")
        scale = self.inner.norm("stored")
        total = float(self.stored.sum())
        parts = {cause: self.inner.norm(cause) / norm for cause in CAUSES}
        surrogate = _surrogate(self.stored / total, self.shared)
        unreachable = torch.from_numpy(np.flatnonzero(self.stored.numpy() == 0))
        trace: Tensor | None = None
        if self.design is not None:
            trace = covariance_trace(
                self.design,
                self.shared.products(self.design),
                self.inner["stored"],
                self.inner["sum"],
                self.inner["sum_stored"],
            )
            if self.design.sequence is not None:
                trace += self._of_sequence(self.design.sequence, self.design.coefficient)
            trace = trace.clamp_min(0)
        variance = None if trace is None else float(trace.sum())
        several = self.views > 1
        drawn = None if self.drawn is None else self.inner.norm("drawn")
        expected = None
        if variance is not None and draws is not None and drawn is not None:
            expected = math.sqrt(variance / len(draws.statistics)) / norm
        return RuleAudit(
            method=self.name,
            kept=kept,
            kept_fraction=kept / self.rule.n,
            cosine=_cosine(self.inner.total("along"), scale, norm),
            scale=scale / norm,
            scale_predicted=self.rule.n * float(self.stored.max()),
            bias=bias / norm,
            parts=parts,
            parts_residual=self.inner.norm("residual") / norm,
            variance=None if variance is None else variance / norm**2,
            bias_to_variance=_ratio(bias**2, variance),
            agreement=tested,
            monte_carlo=None if drawn is None else drawn / norm,
            monte_carlo_expected=expected,
            surrogate=surrogate,
            unreachable=len(unreachable),
            unreachable_by_class=by_class(unreachable, self.shared.population.labels),
            layers=self._layers(trace),
            theorem_four=_theorem_four(
                self.rule,
                surrogate
                if self.fresh is self.stored
                else _surrogate(self.fresh / self.fresh.sum(), self.shared),
                self.shared,
            ),
            epoch=self._epoch(parts, norm),
            bias_error=self._error("bias", norm) if several else None,
            part_errors={cause: self._error(cause, norm) for cause in CAUSES} if several else {},
            unreachable_samples=unreachable,
        )

    def _of_sequence(self, sequence: SequencePairs, coefficient: Tensor) -> Tensor:
        """From the walk; where that saw no single samples, by a mapped pass."""
        if self.sequence is not None and not self.sequence.missing:
            return self.sequence.trace
        return sequence_trace(
            self.shared.model,
            self.shared.population,
            sequence,
            coefficient,
        )

    def _kept(self, draws: Draws | None) -> float:
        budget = getattr(self.rule, "budget", None)
        if budget is not None:
            return float(budget)
        if draws is not None:
            return draws.kept
        return float(len(self.rule.select(self.shared.generator)[0]))

    def _layers(self, trace: Tensor | None) -> list[Layer]:
        names = "full", "stored", "along", "bias"
        layers = []
        for i, (full, stored, along, bias) in enumerate(
            zip(*(self.inner[name].tolist() for name in names), strict=True)
        ):
            if full == 0:
                continue
            layers.append(
                Layer(
                    name=self.shared.names[i],
                    cosine=_cosine(along, math.sqrt(stored), math.sqrt(full)),
                    scale=math.sqrt(stored / full),
                    bias=math.sqrt(bias / full),
                    variance=None if trace is None else float(trace[i]) / full,
                )
            )
        return layers

    def _error(self, name: str, norm: float) -> float:
        """The standard error of a norm over views, from their vectors along its direction."""
        along = [self.inner.total(f"view {k} {name}") for k in range(self.views)]
        return stdev(along) / math.sqrt(self.views) / max(self.inner.norm(name), 1e-300) / norm

    def _epoch(self, parts: dict[str, float], norm: float) -> FollowedParts | None:
        if self.followed is None:
            return None
        length = self.inner.norm("followed")
        more = {cause: self.inner.norm(cause) / norm for cause in EPOCH_CAUSES}
        return FollowedParts(
            bias=self.inner.norm("epoch_bias") / norm,
            cosine=_cosine(self.inner.total("ahead"), length, norm),
            scale=length / norm,
            parts=parts | more,
            residual=self.inner.norm("epoch_residual") / norm,
        )


def by_class(samples: Int64[Tensor, "m"], labels: Int64[Tensor, "n"] | None) -> list[int] | None:
    """How many of `samples` (indices) each class has; None without `labels` `(n,)`."""
    if labels is None:
        return None
    labels = labels.cpu()
    return torch.bincount(labels[samples], minlength=int(labels.max()) + 1).tolist()


def monotone(weights: Tensor) -> bool:
    steps = weights.diff()
    return bool((steps <= 0).all()) or bool((steps >= 0).all())


def _surrogate(unit: Tensor, shared: Shared) -> Surrogate:
    """`unit` are weights that add up to 1."""
    weights = unit.numpy()
    from_uniform, variation = chi(weights), total_variation(weights)
    return Surrogate(
        loss=float(unit @ shared.losses),
        gap=float((unit - 1 / len(unit)) @ shared.losses),
        chi=from_uniform,
        chi_bound=from_uniform * shared.loss_std,
        tv=variation,
        tv_bound=variation * shared.loss_range,
        effective_sample_size=effective_sample_size(weights),
    )


def _theorem_four(rule: SelectionRule, here: Surrogate, shared: Shared) -> TheoremFour | None:
    """The terms at this model; `here` is L_q as the current losses rank the samples."""
    if not isinstance(rule, OrderDP):
        return None
    n, s = rule.n, rule.design.s
    printed = PrintedBound(
        spectrum_deviation=spectrum_deviation(rule.design),
        finite_population_factor=math.sqrt((n - s) / (s * (n - 1))) if n > 1 else 0.0,
        largest_loss_inf=shared.largest_loss,
        largest_loss_sup=shared.largest_loss,
        gap_inf=here.gap,
        optimization_error=math.nan,
    )
    sampling = LinearPredictors(lipschitz=0.0, radius=0.0, loss_range=shared.loss_range)
    return TheoremFour(
        spectrum_deviation=printed.spectrum_deviation,
        finite_population_factor=printed.finite_population_factor,
        largest_loss=printed.largest_loss_inf,
        wasserstein_term=printed.wasserstein_term,
        gap=here.gap,
        tv_range=here.tv_bound,
        fluctuation=sampling.fluctuation_term(n, FAILURE / 2),
    )


def _cosine(product: float, a: float, b: float) -> float:
    return product / max(a * b, 1e-300)


def _ratio(numerator: float, denominator: float | None) -> float | None:
    if denominator is None or denominator <= 1e-20 * numerator or denominator == 0:
        return None
    return numerator / denominator
