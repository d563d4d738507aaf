"""Audit any number of selection rules at one model: `audit`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import stdev
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn
from torch.utils.data import default_collate

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
from orderdp_theory.arguments import integer
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_room
from orderdp_train.auditing.agreement import (
    DRAW,
    Draws,
    agreement,
    contrasts,
    drawn_of,
    mean_weights,
    ranks,
    selections,
)
from orderdp_train.auditing.covariance import Products, covariance_trace, products, sequence_trace
from orderdp_train.auditing.followed import EPOCH_CAUSES, FollowedEpoch
from orderdp_train.auditing.inner import Inner, pieces
from orderdp_train.auditing.layers import FEW, audit_mode, contraction
from orderdp_train.auditing.moments import RankedMoments
from orderdp_train.auditing.population import (
    FORWARD_BATCH,
    Loss,
    Population,
    counted,
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
from orderdp_train.auditing.sequence import SequenceMoments
from orderdp_train.auditing.split import CAUSES, split_bias
from orderdp_train.auditing.walk import (
    MEMORY_LIMIT,
    TOLERANCE,
    TOLERANCE_FLOAT64,
    expected_gradients,
    parts,
    trainable,
)
from orderdp_train.rules import OrderDP, SelectionRule
from orderdp_train.rules.base import ScoredRule, finite
from orderdp_train.rules.pairs import RankPairs, SecondOrder, SequencePairs, second_order
from orderdp_train.training.processes import world_size

DRAWS = 400
FALSE_ALARM = 0.01
PROJECTIONS = 4
FAILURE = 0.05  # of the corrected bound on the population risk, over the draw of the data
SELECTED = 12  # bytes of memory of a selected sample, which the Monte Carlo gradient keeps
VIEW = 2000  # bytes of memory of a view, however small its data


def audit(
    model: nn.Module,
    dataset: Any,
    rules: Mapping[str, SelectionRule] | Iterable[SelectionRule],
    *,
    loss: Loss = cross_entropy,
    collate: Callable[[list[Any]], Any] = default_collate,
    draws: int = DRAWS,
    false_alarm: float = FALSE_ALARM,
    moments: bool = True,
    monte_carlo: bool = True,
    views: int | None = None,
    batch_size: int = 128,
    seed: int = 0,
    autocast: torch.dtype | None = None,
    memory_limit: int = MEMORY_LIMIT,
    on_batch: Callable[[int], None] | None = None,
    followed: Mapping[str, FollowedEpoch] | None = None,
) -> Audit:
    """Which gradient does each rule follow in expectation, and how far is it from the full one?

    Args:
        model: any module; audited on the device of its parameters, those that require gradients,
            with normalisation and dropout in eval mode, since otherwise the loss of a sample
            depends on the others.
        dataset: a map-style dataset, or a `Population`, which has its own loss and batches.
        rules: by name, or in a sequence (named by their classes); anything with the interface of
            `orderdp_train.SelectionRule`, at its present scores.
        loss: `(model, batch) -> (B,)`, one loss a sample; for batches of inputs and targets,
            `supervised((outputs, targets) -> (B,))`.
        collate: makes a batch of a list of samples: tensors, tuples, dictionaries, nested or not.
        draws: calls of every rule's `select` for the test of its stated expectation; 0 for none.
        false_alarm: chance that the test alarms for any rule if all of them are right.
        moments: also stream per-sample gradients, for covariances and for projections in the test.
        monte_carlo: also the gradient of what was drawn, at a third of a pass over the data a rule.
        views: gradients of augmented samples instead of plain ones, the mean over so many redraws
            of the augmentation, the same for the full data and for every rule; biases come with
            their uncertainty over them. Fresh scores are of plain samples still; covariances, which
            one view would not tell, are left out.
        batch_size: samples a forward-backward pass.
        seed: of the selections drawn and of the random projections.
        autocast: precision of forward and backward (`torch.bfloat16`); sums stay float64.
        memory_limit: bytes for vectors as long as the parameters; what does not fit at once, for
            many rules or for one, is done in parts of the parameters, a walk each.
        on_batch: told the number of samples after each batch of the walk, for progress bars.
        followed: by rule name, what `follow_epoch` of `auditing.followed` recorded
            from here on, on plain samples, to split the bias of a whole epoch too.

    Raises:
        ValueError: wrong sizes, more draws or views than fit into memory, non-finite losses,
            weights or gradients, a full-data gradient of 0.
        TypeError: a dataset that cannot be indexed.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> x, y = torch.randn(40, 3), torch.arange(40) % 2
        >>> model, data = torch.nn.Linear(3, 2), torch.utils.data.TensorDataset(x, y)
        >>> losses = torch.nn.functional.cross_entropy(model(x), y, reduction="none").detach()
        >>> rule = OrderDP(Design(40, 20, 12))
        >>> rule.update(range(40), losses)
        >>> found = audit(model, data, [rule, RandomSubset(40, 20)])
        >>> [(rule.method, rule.bias < 1e-6, rule.unreachable) for rule in found.rules]
        [('OrderDP', False, 8), ('RandomSubset', True, 0)]
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a module, got {model!r}")
    seed = integer("seed", seed)
    named = {name: at_present(rule) for name, rule in _named(rules).items()}
    kept = sum(getattr(rule, "budget", None) or rule.n for rule in named.values())
    require_room("draws", draws, len(named) * DRAW + (SELECTED * kept if monte_carlo else 0))
    require_room("views", views or 0, VIEW)
    device = next(iter(model.parameters())).device
    population = population_of(dataset, device=device, loss=loss, collate=collate)
    if autocast is not None:
        population = replace(population, autocast=autocast)
    for name, rule in named.items():
        if rule.n != population.n:
            raise InputError(f"{name} selects from {rule.n} samples, the data has {population.n}")
    looks = [population]
    if views is not None:
        if views < 1 or population.view is None:
            raise InputError("views need at least one redraw, of a data set that is augmented")
        if followed:
            raise InputError("an epoch is followed on plain samples: leave views out with it")
        looks = [replace(population.view(k), autocast=population.autocast) for k in range(views)]
        moments = False
    read: list[int] = []
    population, *looks = (counted(samples, read.append) for samples in (population, *looks))
    generator = torch.Generator().manual_seed(seed)
    with audit_mode(model):
        losses = population.all_losses(model, max(batch_size, FORWARD_BATCH))
    shared = _Pass(model, population, losses, generator, draws, moments, memory_limit)
    level = false_alarm / len(named)
    candidates = [
        _Candidate(name, rule, shared, draws, level, monte_carlo, (followed or {}).get(name))
        for name, rule in named.items()
    ]
    walks = _walks(candidates, shared, batch_size)
    size = sum(shared.sizes)
    rows = len(looks) * sum(len(walk.rows) for walk in walks) + moments
    rows += sum(seen.weighted for walk in walks for seen in walk.moments)
    for part in parts(rows, size, memory_limit):
        gradients: list[dict[str, Tensor]] = []
        for look in looks:
            gradients.append({})
            for walk in walks:
                found = expected_gradients(
                    model,
                    look,
                    walk.weights(),
                    order=walk.order,
                    batch_size=batch_size,
                    part=part,
                    memory_limit=memory_limit,
                    on_batch=on_batch,
                    on_general=shared.general.add,
                    moments=walk.moments,
                )
                gradients[-1].update(zip(walk.rows, found, strict=True))
                del found
        _add(gradients, part, candidates, shared)
        gradients.clear()  # before the next part takes as much
    seen = [seen for walk in walks for seen in walk.moments]
    shared.finish([moments for moments in seen if isinstance(moments, RankedMoments)])
    norm = math.sqrt(shared.inner.total("full"))
    if not (math.isfinite(norm) and norm > 0):
        raise InputError(
            f"the full-data gradient has norm {norm}, so nothing can be measured relative to it"
        )
    results = [candidate.result(norm) for candidate in candidates]
    return Audit(
        n=population.n,
        parameters=size,
        mean_loss=float(losses.mean()),
        loss_std=shared.loss_std,
        loss_range=shared.loss_range,
        gradient_norm=norm,
        rules=results,
        slow=shared.slow(),
        views=views,
        largest_gradient=shared.largest_gradient,
        losses=losses,
        passes=sum(read) / population.n,
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
        uniform = _uniform(a)
        ranked = self._ranked(design.pairs.ranking, None if uniform else a)
        scale = float(a[0]) ** 2 if uniform else 1.0
        return replace(base, between=ranked.between * scale, within=ranked.within * scale)

    def _ranked(self, ranking: Ranking, coefficient: Tensor | None) -> Products:
        for known, its, found in self._found:
            if _same(known, ranking) and _alike(its, coefficient):
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

    def contraction(self) -> float:
        """What another row of weights costs in every batch, in plain passes."""
        few = torch.arange(min(FEW, self.population.n))
        losses = partial(self.population.losses, self.model, few, self.population.batch(few))
        return contraction(self.model, losses, each=self.moments)

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
        self.selections: Iterable[tuple[Tensor, Tensor]]
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
            if _monotone(self.stored.take(order)):
                return order
        return self.shared.ranking(self.stored)[1]

    def rows(self) -> dict[str, Tensor]:
        """Weights whose gradients are needed, by what they are for."""
        rows = {"stored": self.stored}
        if self.fresh is not self.stored and not torch.equal(self.stored, self.fresh):
            rows["fresh"] = self.fresh
        if self.drawn is not None:
            rows["drawn"] = self.drawn
        if self.design is not None:
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
            whole = piece[f"{self.name}/sum"]
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


def _add(
    gradients: list[dict[str, Tensor]], part: slice, candidates: list[_Candidate], shared: _Pass
) -> None:
    """Give all candidates the gradients on a part of the parameters, those of each view."""
    for layer, at, here in pieces(part, shared.sizes):
        views = [{row: vector[at] for row, vector in view.items()} for view in gradients]
        piece = views[0]
        if len(views) > 1:
            piece = {row: torch.stack([view[row] for view in views]).mean(0) for row in piece}
        shared.inner.add(layer, full=(piece["full"], piece["full"]))
        for candidate in candidates:
            candidate.add(layer, piece, here, views)


def by_class(samples: Int64[Tensor, "m"], labels: Int64[Tensor, "n"] | None) -> list[int] | None:
    """How many of `samples` (indices) each class has; None without `labels` `(n,)`."""
    if labels is None:
        return None
    labels = labels.cpu()
    return torch.bincount(labels[samples], minlength=int(labels.max()) + 1).tolist()


@dataclass
class _Walk:
    """An order, rows of weights in it by their names, and what looks at single samples."""

    order: Tensor
    rows: dict[str, Tensor]
    moments: list[RankedMoments | SequenceMoments] = field(default_factory=list)

    def weights(self) -> Float64[Tensor, "rows n"]:
        """Its rows, if it has any."""
        n = len(self.order)
        return torch.stack([torch.zeros(n, dtype=torch.float64), *self.rows.values()])[1:]


def _walks(candidates: list[_Candidate], shared: _Pass, batch_size: int) -> list[_Walk]:
    """The walks that give everything.

    Covariances need one in the order of each ranking; else one in the order of the current
    losses does. A row that is not constant over long stretches of it costs a contraction a batch.
    Rows that share another order in which they are, are worth a walk if there are many.
    """
    n = shared.population.n
    walks: list[_Walk] = []
    sequences = _sequences(candidates, shared, batch_size)
    for seen in (*_moments(candidates, shared, batch_size), *sequences):
        same = [walk for walk in walks if torch.equal(walk.order, seen.order)]
        walks += [] if same else [_Walk(seen.order, {})]
        (same or walks[-1:])[0].moments.append(seen)
    walks = walks or [_Walk(shared.order, {})]
    walks[0].rows["full"] = torch.full((n,), 1 / n, dtype=torch.float64)
    others: list[_Walk] = []
    for candidate in candidates:
        for row, weights in candidate.rows().items():
            name = f"{candidate.name}/{row}"
            fits = [walk for walk in walks if _monotone(weights.take(walk.order))]
            if fits or row not in ("stored", "fresh"):
                chosen = fits[0] if fits else walks[0]
            else:
                order = candidate.order if row == "stored" else shared.order
                same = [walk for walk in others if walk.order is order]
                chosen = same[0] if same else _Walk(order, {})
                others += [] if same else [chosen]
            chosen.rows[name] = weights.take(chosen.order)
    # A row costs less than a pass, so that one alone is not worth a walk.
    cost = shared.contraction() if any(len(walk.rows) > 1 for walk in others) else 0.0
    for walk in others:
        if len(walk.rows) * cost >= 1:
            walks.append(walk)
        else:
            back = torch.empty_like(walk.order)
            back[walk.order] = torch.arange(n)
            walks[0].rows |= {k: w.take(back).take(walks[0].order) for k, w in walk.rows.items()}
    return [walk for walk in walks if walk.rows or walk.moments]


def _moments(candidates: list[_Candidate], shared: _Pass, batch_size: int) -> list[RankedMoments]:
    """One for each ranking and coefficients with pair probabilities.

    If there is none, one in the order of a sequence, or else of the current losses.
    """
    if not shared.moments or world_size() > 1:
        return []
    wanted: list[tuple[Ranking, Tensor | None, list[RankPairs]]] = []
    for design in (candidate.design for candidate in candidates):
        if design is None or design.pairs is None:
            continue
        a = None if _uniform(design.coefficient) else design.coefficient
        for known, its, alike in wanted:
            if _same(known, design.pairs.ranking) and _alike(its, a):
                alike.append(design.pairs)
                break
        else:
            wanted.append((design.pairs.ranking, a, [design.pairs]))
    if not wanted:
        orders = [c.design.sequence.order for c in candidates if c.design and c.design.sequence]
        scores = orders[0].argsort().double().neg() if orders else shared.losses
        wanted = [(shared.ranking(scores)[0], None, [])]
    return [
        RankedMoments(
            ranking,
            shared.sizes,
            pairs,
            batch_size=batch_size,
            tolerance=shared.tolerance,
            directions=() if k else shared.directions,
            coefficient=coefficient,
            device=shared.device,
        )
        for k, (ranking, coefficient, pairs) in enumerate(wanted)
    ]


def _sequences(
    candidates: list[_Candidate], shared: _Pass, batch_size: int
) -> list[SequenceMoments]:
    """One for each rule that samples in a sequence."""
    found = []
    for candidate in candidates:
        design = candidate.design
        if design is not None and design.sequence is not None and world_size() == 1:
            candidate.sequence = SequenceMoments(
                design.sequence,
                design.coefficient,
                shared.sizes,
                batch_size=batch_size,
                device=shared.device,
            )
            found.append(candidate.sequence)
    return found


def _alike(a: Tensor | None, b: Tensor | None) -> bool:
    return a is b or (a is not None and b is not None and torch.equal(a, b))


def _uniform(coefficient: Tensor) -> bool:
    return bool((coefficient == coefficient[0]).all())


def _same(a: Ranking, b: Ranking) -> bool:
    return a is b or (np.array_equal(a.order, b.order) and np.array_equal(a.starts, b.starts))


def _monotone(weights: Tensor) -> bool:
    steps = weights.diff()
    return bool((steps <= 0).all()) or bool((steps >= 0).all())


def _surrogate(unit: Tensor, shared: _Pass) -> Surrogate:
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


def _theorem_four(rule: SelectionRule, here: Surrogate, shared: _Pass) -> TheoremFour | None:
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
