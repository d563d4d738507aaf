"""Points of a run, from the checkpoints that its folder keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from orderdp_theory import Guarantee
from orderdp_train.auditing.grid import grid_rules
from orderdp_train.auditing.point import FALSE_ALARM, AuditedPoint, Point, audit_point
from orderdp_train.auditing.promises import promises_of
from orderdp_train.data import ImageData, load_data
from orderdp_train.models import model_for
from orderdp_train.runs import RunConfig, RunFolder
from orderdp_train.training.loop import fresh_scorer


def stored_point(stored: dict[str, Any], config: RunConfig, data: ImageData) -> Point:
    """The point that a checkpoint is."""
    state, recipe, n = stored["state"], config.recipe, data.num_train
    model = model_for(config.model, data)
    model.load_state_dict(state["model"])
    per_step, steps = config.per_step(n)
    scorer = fresh_scorer(model, data, recipe)
    rule = per_step.build(n, scorer=scorer, epochs=recipe.epochs, device=data.device)
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
    )


def audit_run(
    folder: Path,
    *,
    grid: str | None = None,
    draws: int,
    root: Path,
    device: Any,
    on_step: Callable[[str], Any] = lambda _: None,
) -> list[AuditedPoint]:
    """Audit a run where it is, at each checkpoint that its folder keeps: its own rule, and the
    designs of ``grid`` at the scores that it had stored by then.

    The folder is only read. ``on_step`` is told after every checkpoint. Raises ``InputError`` if it
    holds no run, or none that has finished an epoch.
    """
    place = RunFolder(folder)
    config, paths = place.config(), place.checkpoints()
    data = load_data(
        config.data, label_noise=config.label_noise, seed=config.seed, device=device, root=root
    )
    method = config.rule.rule.label
    found = []
    for path in paths:
        stored = place.load(path)
        assert stored is not None  # listed a moment ago
        point = stored_point(stored, config, data)
        others = None if grid is None else grid_rules(grid, point, stored=True)
        level = FALSE_ALARM / len(paths)
        found.append(audit_point(point, method, others=others, draws=draws, false_alarm=level))
        on_step(method)
    return found


def run_promises(folder: Path, *, root: Path, device: Any) -> tuple[Guarantee, ...]:
    """What the run in ``folder`` may promise at its latest checkpoint."""
    place = RunFolder(folder)
    config, stored = place.config(), place.load()
    if stored is None:
        return ()
    data = load_data(
        config.data, label_noise=config.label_noise, seed=config.seed, device=device, root=root
    )
    return promises_of(stored_point(stored, config, data), config)
