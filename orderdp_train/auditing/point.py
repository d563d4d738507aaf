"""One point of a training, from wherever it comes, and its audit: `audit_point`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float64, Int64
from torch import Tensor, nn

from orderdp_theory import score_error_bound
from orderdp_theory.common.errors import InputError
from orderdp_train.auditing.agreement import LEAST_DRAWS
from orderdp_train.auditing.followed import follow_epoch
from orderdp_train.auditing.one_model import DRAWS, audit, by_class
from orderdp_train.auditing.population import population_of_images
from orderdp_train.auditing.result import SAMPLES, Audit
from orderdp_train.auditing.walk import MEMORY_LIMIT
from orderdp_train.data import TrainTestData
from orderdp_train.rules import OrderDP, SelectionRule
from orderdp_train.training.recipe import Recipe

FALSE_ALARM = 0.01  # of all points of an audit together


@dataclass(frozen=True)
class Effort:
    """What an audit spends: the arguments of these names of `orderdp_train.audit`."""

    draws: int = DRAWS
    moments: bool = True
    monte_carlo: bool = True
    views: int | None = None
    memory_limit: int = MEMORY_LIMIT

    def __post_init__(self) -> None:
        if self.draws < LEAST_DRAWS:
            raise InputError(
                f"the test of the rules needs at least {LEAST_DRAWS} draws, got {self.draws}"
            )


@dataclass(frozen=True)
class Point:
    """A training after an epoch: the model, the rule as it stands for the next one, the rest.

    `state` is what a `TrainState` saves, `training_seconds` counts selecting and training,
    not evaluating or auditing. `steps_per_epoch` is that of
    `orderdp_train.training.loop.train`.
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
    The point is left as it is.
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
        never_used_samples=unused,
    )


def score_error(rule: SelectionRule, losses: Float64[Tensor, "{rule.n}"] | None) -> float | None:
    """(s/q) mean |H_i − L_i|, what ranking by the stored scores H costs of L_q at most.

    None unless the rule is random-then-top by stored scores, every sample's being known.
    """
    if losses is None or not isinstance(rule, OrderDP) or rule.scorer is not None:
        return None
    if not bool(rule.scores.isfinite().all()):
        return None
    return score_error_bound(rule.scores.double().cpu().numpy(), losses.numpy(), rule.design)
