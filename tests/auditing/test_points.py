"""Points of a training: the rule as it stands for the next epoch, in the precision of the run."""

import json
from pathlib import Path

import pytest
import torch

from orderdp_theory.common.command import run as run_command
from orderdp_theory.common.errors import InputError
from orderdp_train.auditing import audit
from orderdp_train.auditing.grid import parse_grid
from orderdp_train.auditing.point import AuditedPoint, Effort, audit_point
from orderdp_train.auditing.stored_run import audit_run
from orderdp_train.auditing.trainings import AuditConfig, audit_trainings, live_points
from orderdp_train.cli.app import app
from orderdp_train.data import DataSet, load_data
from orderdp_train.rules import FullData, RuleConfig
from orderdp_train.runs import RunConfig, run
from orderdp_train.training.recipe import Precision, Recipe

EFFORT = Effort(draws=50, moments=False, monte_carlo=False)


def audits_of(folder: Path, **options: Precision) -> list[AuditedPoint]:
    return audit_run(folder, effort=EFFORT, root=Path(), device="cpu", **options)


def digits() -> DataSet:
    data = load_data("digits")
    assert isinstance(data, DataSet)
    return data


def test_an_annealing_rule_is_audited_as_it_stands_for_the_next_epoch(tmp_path: Path) -> None:
    """In the epochs from which it trains on everything, it keeps everything and scales nothing."""
    rule = RuleConfig("infobatch", {"anneal": 0.5})
    config = RunConfig(rule=rule, recipe=Recipe(epochs=4, batch_size=64, max_lr=0.1))
    list(run(config, tmp_path / "run", device="cpu"))
    live = AuditConfig(label_noise=0.0, rules=(rule,), recipe=config.recipe, effort=EFFORT)
    points = (
        audit_point(point, "it", effort=EFFORT, false_alarm=0.01)
        for point in live_points(digits(), live, rule)
    )
    rows = [*map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())]
    took = [sum(row[f"seconds_{part}"] for part in ("selection", "training")) for row in rows]
    for stored, found in zip(audits_of(tmp_path / "run"), points, strict=True):
        assert stored.training_seconds == pytest.approx(sum(took[: stored.epoch]))
        for point in (stored, found):
            [row] = point.audit.rules
            if point.epoch < 2:
                assert row.kept < 1500
                assert row.scale > 1.1
            else:
                assert row.kept == 1500
                assert row.scale == pytest.approx(1, abs=1e-12)


def test_a_run_in_bfloat16_is_audited_in_bfloat16(tmp_path: Path) -> None:
    """With fresh scores nothing is stale, in the precision that the scores are made in."""
    config = RunConfig(
        rule=RuleConfig("orderdp-fresh"),
        recipe=Recipe(epochs=2, batch_size=64, max_lr=0.1, precision="bf16"),
    )
    list(run(config, tmp_path / "run", device="cpu"))
    lower, higher = audits_of(tmp_path / "run"), audits_of(tmp_path / "run", precision="fp32")
    for a, b in zip(lower, higher, strict=True):
        assert (a.precision, b.precision) == ("bf16", "fp32")
        for point in (a, b):
            assert point.audit.rules[0].parts["staleness"] == 0
        assert a.audit.mean_loss == pytest.approx(b.audit.mean_loss, rel=0.02)
        assert a.audit.mean_loss != b.audit.mean_loss
        assert a.audit.rules[0].bias == pytest.approx(b.audit.rules[0].bias, rel=0.1)


def test_too_few_draws() -> None:
    with pytest.raises(ValueError, match="at least 50 draws"):
        Effort(draws=49)


def test_an_audit_of_impossible_size_is_refused_at_once() -> None:
    """The largest size that is named is accepted."""
    for effort, n, rules in (
        (Effort(draws=10**11), 100, 1),
        (Effort(views=10**12), 100, 1),
        (Effort(replays=10**10), 10**5, 1),
        (Effort(draws=400), 100, 10**9),
    ):
        with pytest.raises(InputError, match=r"must be at most [\d,]+ here, got [\d,]+: more does"):
            effort.expect_room(n, rules)
    with pytest.raises(InputError) as refused:
        Effort(draws=10**11).expect_room(100, 1)
    largest = int(str(refused.value).split("most ")[1].split()[0].replace(",", ""))
    Effort(draws=largest).expect_room(100, 1)
    with pytest.raises(InputError):
        Effort(draws=largest).expect_room(100, 2)
    data, config = digits(), AuditConfig(effort=Effort(draws=10**11))
    with pytest.raises(InputError, match="draws must be at most"):
        audit_trainings(data, config)
    with pytest.raises(InputError, match="draws must be at most"):
        audit(torch.nn.Linear(1, 1), population(), [FullData(2)], draws=10**11)
    with pytest.raises(InputError, match="views must be at most"):
        audit(torch.nn.Linear(1, 1), population(), [FullData(2)], views=10**12)


def test_selections_that_are_kept_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the Monte Carlo gradient an audit keeps what it drew: 16 bytes a selected sample."""
    monkeypatch.setattr("orderdp_theory.common.limits.memory", lambda: 2 * 60 * (500 + 16 * 2))
    model, data = torch.nn.Linear(1, 2), population()
    audit(model, data, [FullData(2)], draws=60)
    with pytest.raises(InputError, match="draws must be at most 60 here, got 61"):
        audit(model, data, [FullData(2)], draws=61)
    audit(model, data, [FullData(2)], draws=61, monte_carlo=False)


def population() -> list[tuple[torch.Tensor, int]]:
    return [(torch.zeros(1), 0), (torch.ones(1), 0)]


@pytest.mark.parametrize(
    ("effort", "why"),
    [
        ({"views": 0}, "views must be at least 1"),
        ({"memory_limit": 0}, "memory limit must be positive"),
        ({"memory_limit": -1}, "memory limit must be positive"),
        ({"replays": 1}, "replays must be 0, or 2"),
        ({"draws": 49}, "at least 50 draws"),
    ],
)
def test_an_effort_that_audits_nothing_is_refused(effort: dict[str, int], why: str) -> None:
    with pytest.raises(InputError, match=why):
        Effort(**effort)


@pytest.mark.parametrize(
    ("grid", "why"),
    [
        ("explore=0.3:1:400000,keep=0.2:0.9:400000", r"at most 10,000, got 160,000,000,000: each"),
        ("explore=1e,keep=0.2", "cannot read 'explore=1e'"),
        (f"explore=0.3:1:{'9' * 5000},keep=0.2", "cannot read 'explore=0.3:1:9999"),
        ("explore=1e-400,keep=0.1", r"must lie in \(0, 1\]"),
        ("explore=0:1:3,keep=0.1", r"must lie in \(0, 1\]"),
        ("explore=1:0:3,keep=0.1", r"must lie in \(0, 1\]"),
        ("explore=1,keep=0.1:1.1:3", r"must lie in \(0, 1\]"),
        ("explore=1:1:0,keep=0.1", r"count of at least 1"),
    ],
)
def test_a_grid_that_no_audit_can_finish_is_refused(grid: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as refused:
        parse_grid(grid, 100)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("limit", ["inf", "nan", "1e300", "-1", "0"])
def test_a_memory_limit_beyond_the_machine_is_refused(
    limit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_command(app, ["audit", f"--out={tmp_path / 'a'}", f"--memory-limit={limit}"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --memory-limit must be positive and at most ")
    assert error.count("\n") == 1
    assert not (tmp_path / "a").exists()
