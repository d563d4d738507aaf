"""Points of a training: the rule as it stands for the next epoch, in the precision of the run."""

from pathlib import Path

import pytest

from orderdp_train.auditing.point import AuditedPoint, Effort, audit_point
from orderdp_train.auditing.stored_run import audit_run
from orderdp_train.auditing.trainings import AuditConfig, live_points
from orderdp_train.data import DataSet, load_data
from orderdp_train.rules import RuleConfig
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
    for stored, found in zip(audits_of(tmp_path / "run"), points, strict=True):
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
