"""Many designs at one model: a grid of them, and the checkpoints of a run."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from orderdp_theory import Design
from orderdp_train.audit.checkpoint import FALSE_ALARM, audit
from orderdp_train.audit.epoch import follow_epoch
from orderdp_train.audit.methods import (
    METHODS,
    AuditConfig,
    Checkpoint,
    at_present,
    checkpoint_of,
    population_of_images,
)
from orderdp_train.checkpoint import kept_checkpoints, load_checkpoint, milestones
from orderdp_train.data import ImageData, load_data
from orderdp_train.models import model_for
from orderdp_train.rules import OrderDP, SelectionRule, build_rule
from orderdp_train.rules.base import ScoredRule
from orderdp_train.run import RunConfig, read_config, rule_of_run
from orderdp_train.train import fresh_scorer, losses_of, train

AXIS = re.compile(r"(explore|keep|exploit)=([0-9.eE+-]+)(?::([0-9.eE+-]+):([0-9]+))?")
MOST_DESIGNS = 10_000


def parse_grid(text: str, n: int) -> list[Design]:
    """Designs over ``n`` samples from text such as ``explore=0.3:1.0:8,keep=0.2:0.9:8``.

    An axis is ``name=value`` or ``name=first:last:count``. ``explore`` is s/n; give it and either
    ``keep``, q/n, or ``exploit``, q/s. Combinations that keep more than they explore are left out.
    Raises ``ValueError`` for anything else, and if no design is left.
    """
    axes: dict[str, Any] = {}
    for part in text.split(","):
        match = AXIS.fullmatch(part.strip())
        if match is None or match[1] in axes:
            raise ValueError(
                f"cannot read {part!r} of the grid; write explore=0.3:1.0:8,keep=0.2:0.9:8, each "
                "axis as first:last:count or one value"
            )
        first, last, count = float(match[2]), float(match[3] or match[2]), int(match[4] or 1)
        if count < 1 or not (0 < first <= 1 and 0 < last <= 1):
            raise ValueError(f"the grid's {match[1]} must lie in (0, 1] with a count of at least 1")
        axes[match[1]] = np.linspace(first, last, count)
    if set(axes) not in ({"explore", "keep"}, {"explore", "exploit"}):
        raise ValueError("a grid has two axes: explore, and either keep or exploit")
    other = "keep" if "keep" in axes else "exploit"
    if len(axes["explore"]) * len(axes[other]) > MOST_DESIGNS:
        raise ValueError(f"the grid has more than {MOST_DESIGNS} designs; take fewer")
    designs: dict[Design, None] = {}
    for explore in axes["explore"]:
        for value in axes[other]:
            s = max(int(explore * n + 1e-9), 1)
            q = max(int(value * (n if other == "keep" else s) + 1e-9), 1)
            if q <= s:
                designs[Design(n, s, q)] = None
    if not designs:
        raise ValueError("every design of the grid keeps more than it explores; raise explore")
    return list(designs)


def grid_rules(
    designs: Sequence[Design], losses: Tensor, scores: Tensor | None
) -> dict[str, SelectionRule]:
    """An OrderDP rule a design, ranking by ``scores``, or by the current ``losses`` if None."""
    rules: dict[str, SelectionRule] = {}
    for design in designs:
        name = f"s/n={design.s / design.n:.3f} q/n={design.q / design.n:.3f}"
        rule = OrderDP(design, scorer=None if scores is not None else lambda i: losses[i])
        if scores is not None:
            rule.scores = scores.clone()
        rules[name] = rule
    return rules


def audit_grid(
    data: ImageData,
    config: AuditConfig,
    grid: str,
    *,
    on_step: Callable[[str], Any] = lambda _: None,
) -> list[Checkpoint]:
    """Train on full data and audit every design of ``grid``, with fresh scores, along the way.

    ``on_step`` is told after every epoch and every audit.
    """
    designs = parse_grid(grid, data.num_train)
    moments = milestones(config.recipe.epochs)
    torch.manual_seed(config.seed)
    model = model_for(config.model, data)
    population = population_of_images(data, config.recipe)
    rule = build_rule("full", data.num_train, 1.0)
    found, seconds = [], 0.0
    for epoch in train(model, data, rule, config.recipe, seed=config.seed):
        seconds += epoch.seconds_selection + epoch.seconds_training
        on_step("training")
        if epoch.number not in moments:
            continue
        losses = losses_of(model, data, torch.arange(data.num_train), config.recipe)
        result = audit(
            model,
            population,
            grid_rules(designs, losses, None),
            draws=config.draws,
            false_alarm=FALSE_ALARM / len(moments),
            monte_carlo=False,
            batch_size=config.recipe.batch_size,
            seed=config.seed + epoch.number,
        )
        found.append(
            checkpoint_of(
                METHODS["full"],
                epoch.number,
                config.recipe.epochs,
                epoch.test_accuracy,
                seconds,
                epoch.state.usage,
                population,
                result,
            )
        )
        on_step(f"{len(designs)} designs")
    return found


def audit_run(
    folder: Path,
    *,
    grid: str | None = None,
    draws: int,
    root: Path,
    device: torch.device,
    on_step: Callable[[str], Any] = lambda _: None,
) -> list[Checkpoint]:
    """Audit a run where it is, at each checkpoint that its folder keeps: its own rule, and the
    designs of ``grid`` at the scores that it had stored by then.

    The folder is only read. ``on_step`` is told after every checkpoint. Raises ``ValueError`` if it
    holds no run, or none that has finished an epoch.
    """
    config = read_config(folder)
    paths = kept_checkpoints(folder)
    data = load_data(
        config.data, label_noise=config.label_noise, seed=config.seed, device=device, root=root
    )
    found = []
    for path in paths:
        found.append(_audit_stored(load_checkpoint(path), config, data, grid, draws, len(paths)))
        on_step(METHODS[config.rule])
    return found


def _audit_stored(
    stored: dict[str, Any],
    config: RunConfig,
    data: ImageData,
    grid: str | None,
    draws: int,
    checkpoints: int,
) -> Checkpoint:
    """One of a run's ``checkpoints``; all of them together keep the false-alarm rate."""
    state, recipe, device = stored["state"], config.recipe, data.device
    model = model_for(config.model, data)
    model.load_state_dict(state["model"])
    rule, steps = rule_of_run(config, data.num_train, fresh_scorer(model, data, recipe), device)
    rule.load_state_dict(state["rule"])
    recipe = replace(recipe, steps_per_epoch=steps)
    population = population_of_images(data, recipe)
    losses = losses_of(model, data, torch.arange(data.num_train, device=device), recipe)
    name = METHODS[config.rule]
    rules = {name: at_present(rule, losses)}
    if grid is not None:
        scores = rule.scores if isinstance(rule, ScoredRule) else None
        rules |= grid_rules(parse_grid(grid, data.num_train), losses, scores)
    followed = None
    if steps is None:
        followed = follow_epoch(model, data, rule, recipe, population, state)
    result = audit(
        model,
        population,
        rules,
        draws=draws,
        false_alarm=FALSE_ALARM / checkpoints,
        monte_carlo=grid is None,
        batch_size=recipe.batch_size,
        seed=config.seed + state["epoch"],
        followed={name: followed} if followed else None,
    )
    rows = stored["metrics"]
    seconds = sum(row["seconds_selection"] + row["seconds_training"] for row in rows)
    return checkpoint_of(
        name,
        state["epoch"],
        recipe.epochs,
        rows[-1]["test_accuracy"],
        seconds,
        state["usage"],
        population,
        result,
    )
