"""One point of a training, from wherever it comes, and its audit: `audit_point`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from orderdp_theory import score_error_bound
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_room
from orderdp_train.auditing.agreement import DRAW, LEAST_DRAWS
from orderdp_train.auditing.candidate import by_class
from orderdp_train.auditing.followed import follow_epoch
from orderdp_train.auditing.one_model import DRAWS, VIEW, at_present, audit
from orderdp_train.auditing.population import Population, population_of_images
from orderdp_train.auditing.replay import Begin, replay, unit
from orderdp_train.auditing.result import SAMPLES, Audit, RuleAudit
from orderdp_train.auditing.split import split_scores
from orderdp_train.auditing.walk import MEMORY_LIMIT
from orderdp_train.data import TrainTestData
from orderdp_train.rules import OrderDP, ScoredRule, SelectionRule
from orderdp_train.training.recipe import Recipe

FALSE_ALARM = 0.01  # of all points of an audit together


@dataclass(frozen=True)
class Effort:
    """What an audit spends: the arguments of these names of `orderdp_train.audit`.

    `replays` of a rule that ranks by stored scores split what these do, where it is known how the
    training began; 0 for none, and at least 2 to know their spread.

    Raises `ValueError` for too few draws or replays.

    Example:
        >>> Effort(moments=False, views=2, replays=4).draws
        400
    """

    draws: int = DRAWS
    moments: bool = True
    monte_carlo: bool = True
    views: int | None = None
    memory_limit: int = MEMORY_LIMIT
    replays: int = 0

    def __post_init__(self) -> None:
        if self.draws < LEAST_DRAWS:
            raise InputError(
                f"the test of the rules needs at least {LEAST_DRAWS} draws, got {self.draws}"
            )
        if self.views is not None and self.views < 1:
            raise InputError(f"views must be at least 1, got {self.views}")
        if self.memory_limit < 1:
            raise InputError(f"the memory limit must be positive, got {self.memory_limit} bytes")
        if self.replays < 0 or self.replays == 1:
            raise InputError(f"replays must be 0, or 2 and more for a spread, got {self.replays}")

    def expect_room(self, n: int, rules: int = 1) -> None:
        """`InputError` if what so many rules on n samples leave does not fit into memory."""
        require_room("draws", self.draws, rules * DRAW)
        require_room("views", self.views or 0, VIEW)
        require_room("replays", self.replays, 2 * n * torch.float64.itemsize)


@dataclass(frozen=True)
class Point:
    """A training after an epoch: the model, the rule as it stands for the next one, the rest.

    `state` is what a `TrainState` saves, `training_seconds` counts selecting and training,
    not evaluating or auditing. `steps_per_epoch` is that of
    `orderdp_train.train`. `begin` makes the rule that a training of a given model
    begins with, if that is known.

    Example:
        >>> data, recipe = load_data("digits"), Recipe(epochs=1, batch_size=64, max_lr=0.1)
        >>> rule = OrderDP(Design.from_ratios(data.num_train))
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> (epoch,) = train(model, data, rule, recipe)
        >>> state, seconds = epoch.state.state_dict(), epoch.seconds_training
        >>> Point(model, rule, data, recipe, state, epoch.test_accuracy, seconds, seed=0).epoch
        1
    """

    model: nn.Module
    rule: SelectionRule
    data: TrainTestData
    recipe: Recipe
    state: dict[str, Any]
    test_accuracy: float
    training_seconds: float
    seed: int
    steps_per_epoch: int | None = None
    begin: Begin | None = None

    @property
    def epoch(self) -> int:
        """Epochs trained."""
        return self.state["epoch"]


@dataclass(frozen=True)
class AuditedPoint:
    """What was found at one point of the training named `method`.

    `never_used` samples were in no selection so far; `never_used_samples` are their indices,
    int64 and ascending, and not part of the JSON. `score_error` is (s/q) mean |H − L| of the
    stored scores H, what ranking by them costs of L_q at most; None where it is not known.
    `precision` is that of the losses and gradients.

    Example:
        >>> found = audit_point(point, "OrderDP", effort=Effort(), false_alarm=0.01)
        >>> found.progress, found.precision, found.never_used > 0
        (1.0, 'fp32', True)
    """

    method: str
    epoch: int
    progress: float
    test_accuracy: float
    training_seconds: float
    never_used: int
    never_used_by_class: list[int] | None
    audit: Audit
    score_error: float | None = None
    precision: str | None = None
    never_used_samples: Int64[Tensor, "m"] | None = field(
        default=None, repr=False, compare=False, metadata=SAMPLES
    )


def audit_point(
    point: Point,
    method: str,
    *,
    own: bool = True,
    others: Mapping[str, SelectionRule] | None = None,
    effort: Effort,
    false_alarm: float,
) -> AuditedPoint:
    """Audit the point's `own` rule, under its `method`'s name, and `others` at its model.

    With the own rule goes the epoch that comes next, if each selection is for an epoch: what reuse
    and minibatches add to the bias; not with views, since it is followed on plain images. A grid of
    others is compared without a Monte Carlo gradient.
    So does the split of what its stored scores do. The point is left as it is.

    Example:
        >>> effort = Effort(moments=False, monte_carlo=False, replays=2)
        >>> point = replace(point, begin=lambda _: OrderDP(Design.from_ratios(1500)))
        >>> found = audit_point(point, "OrderDP", effort=effort, false_alarm=0.01)
        >>> list(found.audit["OrderDP"].parts)
        ['ranking', 'score noise', 'survivorship', 'staleness', 'normalisation']
    """
    point.rule.set_epoch(point.epoch)
    population = population_of_images(point.data, point.recipe)
    followed = None
    if (
        own
        and effort.views is None
        and point.steps_per_epoch is None
        and point.epoch < point.recipe.epochs
    ):
        followed = follow_epoch(
            point.model, point.data, point.rule, point.recipe, population, point.state
        )
    result = audit(
        point.model,
        population,
        ({method: point.rule} if own else {}) | dict(others or {}),
        draws=effort.draws,
        false_alarm=false_alarm,
        moments=effort.moments,
        monte_carlo=effort.monte_carlo and not others,
        views=effort.views,
        memory_limit=effort.memory_limit,
        batch_size=point.recipe.batch_size,
        seed=point.seed + point.epoch,
        followed={method: followed} if followed else None,
    )
    if own and effort.replays and point.begin is not None and result.losses is not None:
        rules = [
            with_split(point, rule, result, population, effort) if rule.method == method else rule
            for rule in result.rules
        ]
        result = replace(result, rules=rules)
    unused = (point.state["usage"] == 0).cpu().nonzero().flatten()
    return AuditedPoint(
        method=method,
        epoch=point.epoch,
        progress=point.epoch / point.recipe.epochs,
        test_accuracy=point.test_accuracy,
        training_seconds=point.training_seconds,
        never_used=len(unused),
        never_used_by_class=by_class(unused, population.labels),
        audit=result,
        score_error=score_error(point.rule, result.losses) if own else None,
        precision=point.recipe.precision,
        never_used_samples=unused,
    )


def ranks_by_stored_scores(rule: SelectionRule) -> bool:
    """Whether the losses that a rule has been told decide what it selects next."""
    return isinstance(rule, ScoredRule) and getattr(rule, "scorer", None) is None


def with_split(
    point: Point, audited: RuleAudit, result: Audit, population: Population, effort: Effort
) -> RuleAudit:
    """The audit of the point's rule with what its stored scores do split, if they do anything."""
    rule, losses = point.rule, result.losses
    if point.begin is None or losses is None or not ranks_by_stored_scores(rule):
        return audited
    fresh, stored = unit(rule.expected_weights(losses)), unit(at_present(rule).expected_weights())
    if torch.equal(fresh, stored):
        return audited
    replays = replay(
        *(point.model, point.data, point.recipe, point.begin, point.epoch, effort.replays),
        steps_per_epoch=point.steps_per_epoch,
        trained_by=len(point.state["random"]),
        seed=(point.seed, point.epoch),
    )
    views = range(effort.views or 0)
    return split_scores(
        *(audited, result.gradient_norm, point.model),
        [population.view(k) for k in views] if population.view and views else [population],
        *(fresh, stored, replays),
        order=losses.argsort(descending=True),
        batch_size=point.recipe.batch_size,
        memory_limit=effort.memory_limit,
    )


def score_error(rule: SelectionRule, losses: Float64[Tensor, "{rule.n}"] | None) -> float | None:
    """(s/q) mean |H_i − L_i|, what ranking by the stored scores H costs of L_q at most.

    None unless the rule is random-then-top by stored scores, every sample's being known.
    """
    if losses is None or not isinstance(rule, OrderDP) or not ranks_by_stored_scores(rule):
        return None
    if not bool(rule.scores.isfinite().all()):
        return None
    return score_error_bound(rule.scores.double().cpu().numpy(), losses.numpy(), rule.design)
