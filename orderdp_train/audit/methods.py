"""Audit whole trainings: every method on its own run, at several points of it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import torch

from orderdp_theory import Design
from orderdp_train.audit.checkpoint import DRAWS, FALSE_ALARM, audit, by_class
from orderdp_train.audit.epoch import follow_epoch
from orderdp_train.audit.population import Population
from orderdp_train.audit.result import SAMPLES, Audit
from orderdp_train.checkpoint import milestones
from orderdp_train.data import ImageData
from orderdp_train.mixing import sample_losses
from orderdp_train.models import model_for
from orderdp_train.recipe import Recipe
from orderdp_train.rules import OrderDP, SelectionRule, build_rule
from orderdp_train.train import fresh_scorer, losses_of, train

# The names that figures and tables use, by the name that commands use.
METHODS = {
    "full": "full data",
    "random": "random subset",
    "orderdp-fresh": "OrderDP (fresh scores)",
    "orderdp": "OrderDP (stored scores)",
    "infobatch": "InfoBatch",
    "orderdp-unbiased": "unbiased rule",
    "epsilon-greedy": "ε-greedy",
    "ucb": "UCB",
}
DEFAULT_METHODS = ("full", "random", "orderdp-fresh", "orderdp", "infobatch", "orderdp-unbiased")


@dataclass(frozen=True)
class AuditConfig:
    """All that determines an audit of trainings: the data, the model, the methods, the seeds."""

    data: str = "digits"
    model: str = "cnn"
    methods: tuple[str, ...] = DEFAULT_METHODS
    label_noise: float = 0.2
    explore: float = 0.5
    exploit: float = 0.6
    seed: int = 0
    draws: int = DRAWS
    recipe: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        unknown = [m for m in self.methods if m not in METHODS]
        if unknown or not self.methods:
            known = ", ".join(METHODS)
            raise ValueError(f"unknown rule {(unknown or [''])[0]!r}: choose from {known}")
        if self.draws < 50:
            raise ValueError(f"the test of the rules needs at least 50 draws, got {self.draws}")
        for name in ("explore", "exploit"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in (0, 1], got {getattr(self, name)}")


@dataclass(frozen=True)
class Checkpoint:
    """One method at one point of its training.

    ``training_seconds`` counts selecting and training, not evaluating or auditing. ``never_used``
    samples were in no selection so far; ``never_used_samples`` are their indices, int64 and
    ascending, and not part of the JSON.
    """

    method: str
    epoch: int
    progress: float
    test_accuracy: float
    training_seconds: float
    never_used: int
    never_used_by_class: list[int] | None
    audit: Audit
    never_used_samples: torch.Tensor | None = field(
        default=None, repr=False, compare=False, metadata=SAMPLES
    )


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    packages = {name: version(name) for name in ("orderdp", "torch", "numpy", "scipy")}
    return {"python": platform.python_version(), "machine": platform.machine(), **packages}


def population_of_images(data: ImageData, recipe: Recipe) -> Population:
    """The training images, unaugmented, with the loss that ``recipe`` trains on."""

    def stream(parts: Iterable[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _, images, labels in data.batches(parts):
            yield images, labels

    return Population(
        data.num_train,
        lambda indices: next(stream([indices])),
        lambda outputs, labels: sample_losses(outputs, labels, None, recipe.label_smoothing),
        getattr(data, "train_labels", None),
        stream,
    )


def at_present(rule: SelectionRule, losses: torch.Tensor) -> SelectionRule:
    """``rule`` for use at a fixed model: fresh scores are looked up instead of computed again."""
    if isinstance(rule, OrderDP) and rule.scorer is not None:
        return OrderDP(rule.design, scorer=lambda i: losses[i], device=rule.scores.device)
    return rule


def checkpoint_of(
    method: str,
    epoch: int,
    epochs: int,
    test_accuracy: float,
    seconds: float,
    usage: torch.Tensor,
    population: Population,
    audit: Audit,
) -> Checkpoint:
    """A :class:`Checkpoint`; ``usage`` ``(n,)`` counts how often each sample was used."""
    unused = (usage == 0).cpu().nonzero().flatten()
    return Checkpoint(
        method=method,
        epoch=epoch,
        progress=epoch / epochs,
        test_accuracy=test_accuracy,
        training_seconds=seconds,
        never_used=len(unused),
        never_used_by_class=by_class(unused, population.labels),
        audit=audit,
        never_used_samples=unused,
    )


def audit_trainings(
    data: ImageData, config: AuditConfig, *, on_step: Callable[[str], Any] = lambda _: None
) -> list[Checkpoint]:
    """Train each method from the same start and audit it at 20, 40, 60, 80 and 100 % of its
    training.

    ``on_step`` is told the method after every epoch and every audit: :func:`steps` of them.
    """
    found = []
    moments = milestones(config.recipe.epochs)
    for name in config.methods:
        method = METHODS[name]
        torch.manual_seed(config.seed)
        model = model_for(config.model, data)
        n = data.num_train
        design = Design.from_ratios(n, config.explore, config.exploit)
        scorer = fresh_scorer(model, data, config.recipe)
        keep = 0.5 if name == "infobatch" else design.q / n
        rule = build_rule(name, n, keep, explore=design.s / n, scorer=scorer, device=data.device)
        population = population_of_images(data, config.recipe)
        seconds = 0.0
        for epoch in train(model, data, rule, config.recipe, seed=config.seed):
            seconds += epoch.seconds_selection + epoch.seconds_training
            on_step(method)
            if epoch.number not in moments:
                continue
            state = epoch.state.state_dict()
            followed = follow_epoch(model, data, rule, config.recipe, population, state)
            every = torch.arange(n, device=data.device)
            losses = losses_of(model, data, every, config.recipe)
            result = audit(
                model,
                population,
                {method: at_present(rule, losses)},
                draws=config.draws,
                false_alarm=FALSE_ALARM / (len(moments) * len(config.methods)),
                batch_size=config.recipe.batch_size,
                seed=config.seed + epoch.number,
                followed={method: followed} if followed else None,
            )
            found.append(
                checkpoint_of(
                    method,
                    epoch.number,
                    config.recipe.epochs,
                    epoch.test_accuracy,
                    seconds,
                    epoch.state.usage,
                    population,
                    result,
                )
            )
            on_step(method)
    return found


def steps(config: AuditConfig) -> int:
    """How often :func:`audit_trainings` reports progress."""
    return len(config.methods) * (config.recipe.epochs + len(milestones(config.recipe.epochs)))
