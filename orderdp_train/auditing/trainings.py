"""Points of live trainings: every method on its own run, from one start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from orderdp_theory.common.errors import InputError
from orderdp_train.auditing.grid import grid_rules, parse_grid
from orderdp_train.auditing.point import FALSE_ALARM, AuditedPoint, Effort, Point, audit_point
from orderdp_train.auditing.replay import beginning
from orderdp_train.data import TrainTestData
from orderdp_train.models import model_for
from orderdp_train.rules import RuleConfig
from orderdp_train.runs.folder import milestones
from orderdp_train.runs.recording import RECORDINGS, rule_of
from orderdp_train.training.loop import fresh_scorer, train
from orderdp_train.training.recipe import Recipe
from orderdp_train.training.state import check_seed

DEFAULT_RULES = tuple(
    RuleConfig(name)
    for name in ("full", "random", "orderdp-fresh", "orderdp", "infobatch", "orderdp-unbiased")
)


@dataclass(frozen=True)
class AuditConfig:
    """All that determines an audit of trainings: the data, the model, the rules, the seeds."""

    data: str = "digits"
    model: str = "cnn"
    rules: tuple[RuleConfig, ...] = DEFAULT_RULES
    label_noise: float = 0.2
    seed: int = 0
    effort: Effort = field(default_factory=Effort)
    recipe: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if not self.rules:
            raise InputError("there is no rule to audit: name at least one")
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise InputError("a rule is named twice: name each once")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "rules": [rule.to_json() for rule in self.rules]}


def live_points(
    data: TrainTestData,
    config: AuditConfig,
    rule: RuleConfig,
    on_epoch: Callable[[], Any] = lambda: None,
    *,
    recordings: Path = RECORDINGS,
) -> Iterator[Point]:
    """Train a method and stop at 20, 40, 60, 80 and 100 % of its training.

    `recordings` is where a static method's proxies are kept.
    """
    torch.manual_seed(config.seed)
    model = model_for(config.model, data, config.recipe.drop_path)
    recipe, seconds = config.recipe, 0.0
    scorer = fresh_scorer(model, data, recipe)
    built = rule_of(config, rule, data, scorer, recordings, show_progress=False)
    built.prepare()
    rule.score_first(built, scorer)
    stops = milestones(recipe.epochs)
    for epoch in train(model, data, built, recipe, seed=config.seed):
        seconds += epoch.seconds_selection + epoch.seconds_training
        on_epoch()
        if epoch.number in stops:
            state = epoch.state.state_dict()
            yield Point(
                *(model, built, data, recipe, state, epoch.test_accuracy, seconds, config.seed),
                begin=beginning(rule, data, recipe),
            )


def audit_trainings(
    data: TrainTestData,
    config: AuditConfig,
    *,
    grid: str | None = None,
    recordings: Path = RECORDINGS,
    on_step: Callable[[str], Any] = lambda _: None,
) -> list[AuditedPoint]:
    """Audit each method at five points of its own training.

    With a `grid` instead: every design of it, with fresh scores, along one training on full data.
    `on_step` is told the method after every epoch and every audit: `steps` of them.
    """
    designs = 1 if grid is None else len(parse_grid(grid, data.num_train))
    config.effort.expect_room(data.num_train, designs)
    found = []
    stops = len(milestones(config.recipe.epochs))
    rules = config.rules if grid is None else (RuleConfig("full"),)
    for rule in rules:
        method = rule.rule.label
        points = live_points(data, config, rule, partial(on_step, method), recordings=recordings)
        for point in points:
            others = None if grid is None else grid_rules(grid, point)
            found.append(
                audit_point(
                    point,
                    method,
                    own=grid is None,
                    others=others,
                    effort=config.effort,
                    false_alarm=FALSE_ALARM / (stops * len(rules)),
                )
            )
            on_step(method)
    return found


def steps(config: AuditConfig, grid: str | None) -> int:
    """How often `audit_trainings` reports progress."""
    trainings = len(config.rules) if grid is None else 1
    return trainings * (config.recipe.epochs + len(milestones(config.recipe.epochs)))
