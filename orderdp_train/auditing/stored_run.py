"""Points of a run, from the checkpoints that its folder keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orderdp_theory.common.errors import InputError
from orderdp_train.auditing.grid import grid_rules, parse_grid
from orderdp_train.auditing.point import FALSE_ALARM, AuditedPoint, Effort, Point, audit_point
from orderdp_train.auditing.replay import beginning
from orderdp_train.data import TrainTestData, fingerprint, load_data
from orderdp_train.models import model_for
from orderdp_train.runs import RunConfig, RunFolder
from orderdp_train.training.loop import fresh_scorer
from orderdp_train.training.recipe import Precision

REPLAYS = 4  # unless told otherwise


def stored_point(stored: dict[str, Any], config: RunConfig, data: TrainTestData) -> Point:
    """The point that a checkpoint is."""
    state, recipe, n = stored["state"], config.recipe, data.num_train
    model = model_for(config.model, data, config.recipe.drop_path)
    model.load_state_dict(state["model"])
    per_step, steps = config.per_step(n)
    scorer = fresh_scorer(model, data, recipe)
    rule = per_step.build(
        n, scorer=scorer, epochs=recipe.epochs, seed=config.seed, device=data.device
    )
    rule.load_state_dict(state["rule"])
    rows = stored["metrics"]
    seconds = sum(row["seconds_selection"] + row["seconds_training"] for row in rows)
    return Point(
        model,
        rule,
        data,
        recipe,
        state,
        test_accuracy=rows[-1]["test_accuracy"],
        training_seconds=seconds,
        seed=config.seed,
        steps_per_epoch=steps,
        begin=beginning(per_step, data, recipe),
    )


def audit_run(
    folder: Path,
    *,
    grid: str | None = None,
    effort: Effort,
    root: Path,
    device: Any,
    precision: Precision | None = None,
    workers: int = 2,
    done: Sequence[AuditedPoint] = (),
    on_point: Callable[[AuditedPoint], Any] = lambda _: None,
    on_step: Callable[[str], Any] = lambda _: None,
) -> list[AuditedPoint]:
    """Audit a run where it is, at each checkpoint that its folder keeps: its own rule, and the
    designs of `grid` at the scores that it had stored by then.

    The folder is only read. `precision` is that of the run unless given. Points that are `done`
    are not audited again; `on_point` is told each that is audited, `on_step` is told after
    every checkpoint. Raises `InputError` if the folder holds no run, or none that has finished an
    epoch.
    """
    place = RunFolder(folder)
    config, paths = place.config(), place.checkpoints()
    data = load_data(
        config.data,
        label_noise=config.label_noise,
        seed=config.seed,
        device=device,
        root=root,
        num_workers=workers,
    )
    content = fingerprint(data)
    designs = 0 if grid is None else len(parse_grid(grid, data.num_train))
    effort.expect_room(data.num_train, 1 + designs)
    method = config.rule.rule.label
    level = FALSE_ALARM / len(paths)
    ready = {point.epoch: point for point in done}
    found = []
    for path in paths:
        stored = place.load(path)
        assert stored is not None  # listed a moment ago
        if stored.get("data", content) != content:
            raise InputError(
                f"{path} is of other data of the name {config.data}: give --root the files that "
                "the run was trained on"
            )
        epoch = stored["state"]["epoch"]
        if epoch not in ready:
            own = config if precision is None else with_precision(config, precision)
            point = stored_point(stored, own, data)
            others = None if grid is None else grid_rules(grid, point, stored=True)
            ready[epoch] = audit_point(
                point, method, others=others, effort=effort, false_alarm=level
            )
            on_point(ready[epoch])
        found.append(ready[epoch])
        on_step(method)
    return found


def with_precision(config: RunConfig, precision: Precision) -> RunConfig:
    """The configuration of the same run in another precision."""
    return replace(config, recipe=replace(config.recipe, precision=precision))
