"""One function audits a point of a training, with the rule as it stands for the next epoch."""

from collections import Counter

import pytest
import torch
from torch import Tensor

from orderdp_theory import Design
from orderdp_theory.common.command import run as command_line
from orderdp_train import FreshOrderDP, OrderDP, audit, build_rule
from orderdp_train.auditing.grid import parse_grid
from orderdp_train.auditing.point import Effort
from orderdp_train.auditing.stored_run import audit_run
from orderdp_train.cli.rule_options import configured
from orderdp_train.rules import RuleConfig
from orderdp_train.runs import RunConfig, run
from orderdp_train.training.recipe import Recipe
from tests.auditing.problem import N, small

RECIPE = Recipe(epochs=6, batch_size=256, max_lr=0.1)


def test_a_point_audits_the_rule_of_the_next_epoch(tmp_path):
    """InfoBatch that anneals from the fourth of six epochs on: after the third, nothing is left
    out, in the training as in the audit."""
    config = RunConfig(rule=RuleConfig("infobatch", {"anneal": 0.5}), recipe=RECIPE)
    kept = [row["kept"] for row in run(config, tmp_path / "run", device="cpu", checkpoints=6)]
    points = audit_run(
        tmp_path / "run", effort=Effort(draws=50), root=tmp_path, device="cpu"
    )  # after each epoch
    assert [point.epoch for point in points] == [1, 2, 3, 4, 5, 6]
    for point, next_kept in zip(points, kept[1:], strict=False):
        [rule] = point.audit.rules
        assert rule.kept == pytest.approx(next_kept)
    for point in points[2:]:
        assert point.audit.rules[0].kept_fraction == 1
        assert point.audit.rules[0].scale == pytest.approx(1)
    assert points[0].audit.rules[0].kept_fraction < 1


def test_present_losses_are_computed_once():
    problem = small()
    asked: Counter[int] = Counter()

    def scorer(indices: Tensor) -> Tensor:
        asked.update(indices.tolist())
        return problem.losses[indices]

    for rule in (OrderDP(Design(N, 20, 9), scorer=scorer), FreshOrderDP(Design(N, 20, 9))):
        rule.scorer = scorer
        asked.clear()
        audit(problem.model, problem.population, [rule], draws=100, batch_size=16)
        assert set(asked.values()) == {1}
        assert rule.scorer is scorer


def test_what_a_rule_lacks_is_said():
    problem = small()

    class Mine:
        n = N

        def select(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            return torch.arange(N), torch.ones(N)

    with pytest.raises(TypeError, match="Mine has no expected_weights: a rule to audit needs n, "):
        audit(problem.model, problem.population, [Mine()])
    Mine.expected_weights = lambda self, scores=None: torch.full((N,), 1 / N)  # pyright: ignore
    found = audit(problem.model, problem.population, [Mine()])["Mine"]
    assert found.bias == pytest.approx(0, abs=1e-6)
    assert found.kept == N


def test_fractions_are_rounded_in_one_place():
    """`--explore 0.333` means the same in a run, an audit, a grid and in Python."""
    expected = Design(1500, 500, 300)
    assert build_rule("orderdp", 1500, 0.2, explore=0.333).design == expected
    [config] = configured(["orderdp"], {"explore": "0.333", "keep": "0.2"})
    assert config.build(1500).design == expected
    assert parse_grid("explore=0.333,keep=0.2", 1500) == [expected]
    [config] = configured(["orderdp"], {"explore": "0.333", "exploit": "0.6"})
    assert [config.build(1500).design] == parse_grid("explore=0.333,exploit=0.6", 1500)


def test_exploit_says_the_budget_of_rules_with_a_share():
    rules = configured(["orderdp", "random", "infobatch"], {"explore": "0.5", "exploit": "0.4"})
    assert [rule.keep for rule in rules] == [0.2, 0.2, 0.5]
    with pytest.raises(ValueError, match="give one of them"):
        configured(["orderdp"], {"keep": "0.2", "exploit": "0.4"})


def test_an_internal_error_keeps_its_traceback_and_says_how_to_report_it(capsys):
    def broken(**_: object) -> None:
        list(zip([1], [], strict=True))

    with pytest.raises(SystemExit, match="1"):
        command_line(broken, [])
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert "ValueError" in error
    assert "please report" in error
