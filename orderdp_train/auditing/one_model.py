"""Audit any number of selection rules at one model: :func:`audit`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from orderdp_theory import (
    LinearPredictors,
    PrintedBound,
    Ranking,
    chi,
    effective_sample_size,
    spectrum_deviation,
    surrogate_weights,
    total_variation,
)
from orderdp_theory.common.errors import InputError
from orderdp_train.auditing.agreement import Agreement, Draws, agreement, contrasts, draw
from orderdp_train.auditing.covariance import (
    Products,
    covariance_trace,
    products,
    sequence_trace,
)
from orderdp_train.auditing.followed import FollowedEpoch
from orderdp_train.auditing.population import (
    FORWARD_BATCH,
    Losses,
    Population,
    cross_entropy,
    population_of,
)
from orderdp_train.auditing.result import (
    Audit,
    FollowedParts,
    Layer,
    RuleAudit,
    Surrogate,
    TheoremFour,
)
from orderdp_train.auditing.split import split_bias
from orderdp_train.auditing.walk import (
    MEMORY_LIMIT,
    audit_mode,
    expected_gradients,
    group_size,
    trainable,
)
from orderdp_train.rules import OrderDP, SelectionRule
from orderdp_train.rules.base import ScoredRule, finite
from orderdp_train.rules.pairs import SecondOrder, second_order

DRAWS = 400
FALSE_ALARM = 0.01
PROJECTIONS = 4
FAILURE = 0.05  # of the corrected bound on the population risk, over the draw of the data
# A rule needs its expected gradient, fresh and stored, a Monte Carlo estimate, the sum of all a_i
# g_i.
ROWS_PER_RULE = 4
# A contraction costs up to half of a pass.
WORTH_A_WALK = 3


def audit(
    model: nn.Module,
    dataset: Any,
    rules: Mapping[str, SelectionRule] | Iterable[SelectionRule],
    *,
    loss: Losses = cross_entropy,
    draws: int = DRAWS,
    false_alarm: float = FALSE_ALARM,
    moments: bool = True,
    monte_carlo: bool = True,
    batch_size: int = 128,
    seed: int = 0,
    autocast: torch.dtype | None = None,
    memory_limit: int = MEMORY_LIMIT,
    on_batch: Callable[[int], None] | None = None,
    followed: Mapping[str, FollowedEpoch] | None = None,
) -> Audit:
    """Which gradient does each rule follow in expectation, and how far is it from the full one?

    Args:
        model: any module; audited on the device of its parameters, with normalisation and dropout
            in eval mode, since otherwise the loss of a sample depends on the others.
        dataset: a map-style dataset of ``(input, target)`` pairs, or a :class:`Population`.
        rules: by name, or in a sequence (named by their classes); anything with the interface of
            :class:`~orderdp_train.rules.SelectionRule`, at its present scores.
        loss: ``(outputs, targets) -> (B,)``, one loss a sample.
        draws: calls of every rule's ``select`` for the test of its stated expectation; 0 for none.
        false_alarm: chance that the test alarms for any rule if all of them are right.
        moments: also stream per-sample gradients, for covariances and for projections in the test.
        monte_carlo: also the gradient of what was drawn, at a third of a pass over the data a rule.
        batch_size: samples a forward-backward pass.
        seed: of the selections drawn and of the random projections.
        autocast: precision of forward and backward (``torch.bfloat16``); sums stay float64.
        memory_limit: bytes for expected gradients; more rules than fit are done in groups.
        on_batch: told the number of samples after each batch of the walk, for progress bars.
        followed: by rule name, what :func:`~orderdp_train.auditing.followed.follow_epoch` recorded
            from here on, to split the bias of a whole epoch too.

    Raises:
        ValueError: wrong sizes, non-finite losses, weights or gradients, a full-data gradient of 0.
        TypeError: a dataset that cannot be indexed.
    """
    named = {name: at_present(rule) for name, rule in _named(rules).items()}
    device = next(iter(model.parameters())).device
    population = population_of(dataset, device=device, loss=loss)
    for name, rule in named.items():
        if rule.n != population.n:
            raise InputError(f"{name} selects from {rule.n} samples, the data has {population.n}")
    generator = torch.Generator().manual_seed(seed)
    with audit_mode(model):
        losses = population.all_losses(model, max(batch_size, FORWARD_BATCH))
    designs = (second_order(rule) for rule in named.values()) if moments else ()
    first = next((d.pairs.ranking for d in designs if d and d.pairs), None)
    shared = _Pass(model, population, losses, generator, first, draws, moments)

    size = sum(p.numel() for _, p in trainable(model))
    most = max(
        1, (group_size(ROWS_PER_RULE * len(named) + 1, size, memory_limit) - 1) // ROWS_PER_RULE
    )
    found: list[RuleAudit] = []
    norm = math.nan
    names = list(named)
    for group in (names[i : i + most] for i in range(0, len(names), most)):
        candidates = [
            _Candidate(name, named[name], shared, draws, false_alarm / len(named), monte_carlo)
            for name in group
        ]
        gradients = _walk(candidates, shared, batch_size, autocast, memory_limit, on_batch)
        full = gradients["full"]
        norm = float(full.norm())
        if not (math.isfinite(norm) and norm > 0):
            raise InputError(
                f"the full-data gradient has norm {norm}, so nothing can be measured relative to it"
            )
        epochs = followed or {}
        found += [c.result(gradients, full, epochs.get(c.name)) for c in candidates]
    return Audit(
        n=population.n,
        parameters=size,
        mean_loss=float(losses.mean()),
        loss_std=shared.loss_std,
        loss_range=shared.loss_range,
        gradient_norm=norm,
        rules=found,
    )


def at_present(rule: SelectionRule) -> SelectionRule:
    """The rule with present losses looked up, where it can do that."""
    return rule.at_present() if hasattr(rule, "at_present") else rule


def _named(
    rules: Mapping[str, SelectionRule] | Iterable[SelectionRule],
) -> dict[str, SelectionRule]:
    if isinstance(rules, Mapping):
        named = {str(name): rule for name, rule in rules.items()}
    else:
        listed = list(rules)
        named = {type(rule).__name__: rule for rule in listed}
        if len(named) < len(listed):
            raise InputError("two rules of one class need names: pass a dictionary name -> rule")
    if not named:
        raise InputError("there is no rule to audit; pass at least one")
    for name, rule in named.items():
        missing = [part for part in ("n", "select", "expected_weights") if not hasattr(rule, part)]
        if missing:
            raise TypeError(
                f"{name} has no {' and no '.join(missing)}: a rule to audit needs n, "
                "select(generator) and expected_weights(scores)"
            )
    return named


class _Pass:
    """What all rules share: losses, the fresh ranking, per-sample products by ranking."""

    def __init__(
        self,
        model: nn.Module,
        population: Population,
        losses: Tensor,
        generator: torch.Generator,
        first: Ranking | None,
        draws: int,
        moments: bool,
    ) -> None:
        self.model, self.population, self.losses = model, population, losses
        self.loss_std = float(losses.std(correction=0))
        smallest, largest = float(losses.min()), float(losses.max())
        self.loss_range = largest - smallest
        self.largest_loss = max(abs(smallest), abs(largest))
        self.generator = generator
        self.names, parameters = zip(*trainable(model), strict=True)
        self.sizes = [p.numel() for p in parameters]
        self._rankings: list[tuple[Tensor, Ranking, Tensor]] = []
        self._latest: tuple[object, Tensor] = None, losses
        fresh, self.order = self.ranking(losses)
        self.moments = moments
        self.features = contrasts(self.order, generator if draws else None)
        self._by_ranking: list[tuple[Ranking, Products]] = []
        if moments:
            first = first or fresh
            directions = torch.randn(PROJECTIONS, sum(self.sizes), generator=generator)
            ones = torch.ones(population.n, dtype=torch.float64)
            base = products(model, population, first, ones, directions)
            self._by_ranking.append((first, base))
            self.features = torch.cat([self.features, base.projections], 1)

    def ranking(self, scores: Tensor) -> tuple[Ranking, Tensor]:
        """The ranking of ``scores`` and its order, the same objects for the same scores."""
        scores = finite(scores).cpu()
        for known, ranking, order in self._rankings:
            if torch.equal(known, scores):
                return ranking, order
        ranking = Ranking.of(scores.numpy())
        order = torch.from_numpy(ranking.order)
        self._rankings.append((scores, ranking, order))
        return ranking, order

    def expected_weights(self, rule: SelectionRule, scores: Tensor | None = None) -> Tensor:
        """``rule.expected_weights(scores)``, without a sort of its own for every OrderDP design."""
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
        uniform = bool((a == a[0]).all())
        pairs = design.pairs
        if pairs is not None and not uniform:
            return products(self.model, self.population, pairs.ranking, a)
        base = self._by_ranking[0][1]
        if pairs is not None:
            base = self._ranked(pairs.ranking)
        square = (a * a)[:, None]
        return Products(
            base.squares * square,
            base.between * square[0],
            base.within * square[0],
            base.projections,
        )

    def _ranked(self, ranking: Ranking) -> Products:
        for known, found in self._by_ranking:
            same = np.array_equal(known.order, ranking.order)
            if same and np.array_equal(known.starts, ranking.starts):
                return found
        ones = torch.ones(self.population.n, dtype=torch.float64)
        found = products(self.model, self.population, ranking, ones)
        self._by_ranking.append((ranking, found))
        return found


class _Candidate:
    """One rule on its way through an audit: its weights, then its gradients, then the result."""

    def __init__(
        self,
        name: str,
        rule: SelectionRule,
        shared: _Pass,
        draws: int,
        level: float,
        monte_carlo: bool,
    ) -> None:
        self.monte_carlo = monte_carlo and draws > 0
        self.name, self.rule, self.shared = name, rule, shared
        stored = shared.expected_weights(rule)
        fresh = shared.expected_weights(rule, shared.losses)
        self.stored = self._weights(stored)
        self.fresh = self.stored if fresh is stored else self._weights(fresh)
        self.draws: Draws | None = None
        self.agreement: Agreement | None = None
        if draws:
            self.draws = draw(rule, shared.features, draws, shared.generator)
            self.agreement = agreement(self.draws, shared.features, self.stored, level)
        self.design = second_order(rule) if shared.moments else None

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
            if _monotone(self.stored.take(order)):
                return order
        return self.shared.ranking(self.stored)[1]

    def rows(self) -> dict[str, Tensor]:
        """Weights whose gradients are needed, by what they are for."""
        rows = {"stored": self.stored}
        if self.fresh is not self.stored and not torch.equal(self.stored, self.fresh):
            rows["fresh"] = self.fresh
        if self.draws is not None and self.monte_carlo:
            rows["drawn"] = self.draws.weights
        if self.design is not None:
            rows["sum"] = self.design.coefficient
        return rows

    def result(
        self, gradients: dict[str, Tensor], full: Tensor, followed: FollowedEpoch | None
    ) -> RuleAudit:
        def gradient(row: str) -> Tensor:
            return gradients[f"{self.name}/{row}"]

        norm = float(full.norm())
        stored = gradient("stored")
        fresh = gradients.get(f"{self.name}/fresh", stored)
        bias = stored - full
        total = float(self.stored.sum())
        parts = split_bias(full, fresh, stored, float(self.fresh.sum()), total)
        residual = float((sum(parts.values(), torch.zeros_like(bias)) - bias).norm())

        surrogate = _surrogate(self.stored / total, self.shared)
        unreachable = torch.from_numpy(np.flatnonzero(self.stored.numpy() == 0))
        trace: Tensor | None = None
        if self.design is not None:
            trace = covariance_trace(
                self.design,
                self.shared.products(self.design),
                stored,
                gradient("sum"),
                self.shared.sizes,
            )
            if self.design.sequence is not None:
                trace += sequence_trace(
                    self.shared.model,
                    self.shared.population,
                    self.design.sequence,
                    self.design.coefficient,
                )
            trace.clamp_min_(0)
        variance = None if trace is None else float(trace.sum())
        drawn = float((gradient("drawn") - stored).norm()) if self.monte_carlo else None
        expected = None
        if variance is not None and self.draws is not None and drawn is not None:
            expected = math.sqrt(variance / len(self.draws.statistics)) / norm
        return RuleAudit(
            method=self.name,
            kept=self._kept(),
            kept_fraction=self._kept() / self.rule.n,
            cosine=_cosine(stored, full),
            scale=float(stored.norm()) / norm,
            scale_predicted=self.rule.n * float(self.stored.max()),
            bias=float(bias.norm()) / norm,
            parts={cause: float(v.norm()) / norm for cause, v in parts.items()},
            parts_residual=residual / norm,
            variance=None if variance is None else variance / norm**2,
            bias_to_variance=_ratio(float(bias.norm()) ** 2, variance),
            agreement=self.agreement,
            monte_carlo=None if drawn is None else drawn / norm,
            monte_carlo_expected=expected,
            surrogate=surrogate,
            unreachable=len(unreachable),
            unreachable_by_class=by_class(unreachable, self.shared.population.labels),
            layers=self._layers(stored, full, trace),
            theorem_four=_theorem_four(
                self.rule,
                surrogate
                if self.fresh is self.stored
                else _surrogate(self.fresh / self.fresh.sum(), self.shared),
                self.shared,
            ),
            epoch=None if followed is None else _epoch(followed, parts, full, stored),
            unreachable_samples=unreachable,
        )

    def _kept(self) -> float:
        budget = getattr(self.rule, "budget", None)
        if budget is not None:
            return float(budget)
        if self.draws is not None:
            return self.draws.kept
        return float(len(self.rule.select(self.shared.generator)[0]))

    def _layers(self, stored: Tensor, full: Tensor, trace: Tensor | None) -> list[Layer]:
        sizes = self.shared.sizes
        layers = []
        for i, (name, mine, whole) in enumerate(
            zip(self.shared.names, stored.split(sizes), full.split(sizes), strict=True)
        ):
            norm = float(whole.norm())
            if norm == 0:
                continue
            layers.append(
                Layer(
                    name=name,
                    cosine=_cosine(mine, whole),
                    scale=float(mine.norm()) / norm,
                    bias=float((mine - whole).norm()) / norm,
                    variance=None if trace is None else float(trace[i]) / norm**2,
                )
            )
        return layers


def by_class(samples: Tensor, labels: Tensor | None) -> list[int] | None:
    """How many of ``samples`` (indices) each class has; None without ``labels`` ``(n,)``."""
    if labels is None:
        return None
    labels = labels.cpu()
    return torch.bincount(labels[samples], minlength=int(labels.max()) + 1).tolist()


def _walk(
    candidates: list[_Candidate],
    shared: _Pass,
    batch_size: int,
    autocast: torch.dtype | None,
    memory_limit: int,
    on_batch: Callable[[int], None] | None,
) -> dict[str, Tensor]:
    """All gradients that the candidates need."""
    gradients: dict[str, Tensor] = {}
    for order, rows in _walks(candidates, shared):
        weights = torch.stack(list(rows.values()))
        found = expected_gradients(
            shared.model,
            shared.population,
            weights,
            order=order,
            batch_size=batch_size,
            autocast=autocast,
            memory_limit=memory_limit,
            on_batch=on_batch,
        )
        gradients.update(zip(rows, found, strict=True))
    return gradients


def _walks(candidates: list[_Candidate], shared: _Pass) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """The orders in which to walk, each with the weights in that order by their names.

    One walk, in the order of the current losses, does for all. A row that is not constant over
    long stretches of it costs a contraction a batch there. Rows of designs that rank by the same
    stored scores share another order in which they are, and if they are many it is worth a walk.
    """
    n = shared.population.n
    first = {"full": torch.full((n,), 1 / n, dtype=torch.float64)}
    others: list[tuple[Tensor, dict[str, Tensor]]] = []
    for candidate in candidates:
        for row, weights in candidate.rows().items():
            name, ordered = f"{candidate.name}/{row}", weights.take(shared.order)
            if row == "stored" and not _monotone(ordered):
                order = candidate.order
                alike = next((rows for known, rows in others if known is order), None)
                if alike is None:
                    others.append((order, alike := {}))
                alike[name] = weights
            else:
                first[name] = ordered
    walks = [(shared.order, first)]
    for order, rows in others:
        if len(rows) >= WORTH_A_WALK:
            walks.append((order, {name: weights.take(order) for name, weights in rows.items()}))
        else:
            first |= {name: weights.take(shared.order) for name, weights in rows.items()}
    return walks


def _monotone(weights: Tensor) -> bool:
    steps = weights.diff()
    return bool((steps <= 0).all()) or bool((steps >= 0).all())


def _surrogate(unit: Tensor, shared: _Pass) -> Surrogate:
    """``unit`` are weights that add up to 1."""
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


def _theorem_four(rule: SelectionRule, here: Surrogate, shared: _Pass) -> TheoremFour | None:
    """The terms at this model; ``here`` is L_q as the current losses rank the samples."""
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


def _epoch(
    followed: FollowedEpoch, parts: dict[str, Tensor], full: Tensor, stored: Tensor
) -> FollowedParts:
    norm = float(full.norm())
    parts = parts | followed.split(full, stored)
    bias = followed.followed - full
    return FollowedParts(
        bias=float(bias.norm()) / norm,
        cosine=_cosine(followed.followed, full),
        scale=float(followed.followed.norm()) / norm,
        parts={cause: float(v.norm()) / norm for cause, v in parts.items()},
        residual=float((sum(parts.values(), torch.zeros_like(bias)) - bias).norm()) / norm,
    )


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()).clamp_min(1e-300))


def _ratio(numerator: float, denominator: float | None) -> float | None:
    if denominator is None or denominator <= 1e-20 * numerator or denominator == 0:
        return None
    return numerator / denominator
