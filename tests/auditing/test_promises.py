"""What a run may promise: constants are those of plain sums, assumptions are met or not."""

import pytest
import torch

from orderdp_theory import Design
from orderdp_theory.common.command import run as command_line
from orderdp_train.auditing import promises as promises_module
from orderdp_train.auditing.point import Effort, score_error
from orderdp_train.auditing.population import population_of_images
from orderdp_train.auditing.promises import promises_of
from orderdp_train.auditing.stored_run import audit_run, stored_point
from orderdp_train.cli.app import app
from orderdp_train.data import load_data
from orderdp_train.rules import RuleConfig, build_rule
from orderdp_train.runs import RunConfig, RunFolder, run
from orderdp_train.training.loop import losses_of
from orderdp_train.training.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=2000, max_lr=0.1, momentum=0.0, weight_decay=0.0)


def trained(folder, config):
    """The latest point of a run, and what its audit found at all of them."""
    list(run(config, folder, device="cpu"))
    data, stored = load_data("digits"), RunFolder(folder).load()
    assert stored is not None
    effort = Effort(draws=50, monte_carlo=False)
    points = audit_run(folder, effort=effort, root=folder, device=torch.device("cpu"))
    return stored_point(stored, config, data), points


def test_constants_are_those_that_the_audit_measured(tmp_path):
    rule = RuleConfig("orderdp-fresh", {"keep": 0.3})
    config = RunConfig(rule=rule, recipe=RECIPE)
    point, points = trained(tmp_path / "run", config)
    found = {g.theorem: g for g in promises_of(config, points)}
    everybody = torch.arange(point.data.num_train)
    losses = losses_of(point.model, point.data, everybody, config.recipe).double()
    assert found["sandwich"].constants["L"] == pytest.approx(float(losses.mean()), rel=1e-6)
    assert found["sandwich"].verdict == "holds"
    convergence = found["convergence, scores by age"]
    assert convergence.value is None
    assert set(convergence.unmet) == {"convex losses", "a distance to θ°"}
    # The CNN is not convex and not weakly convex with a known constant: nothing is claimed.
    assert "needs weakly convex losses" in found["weakly convex"].verdict

    norms = []
    population = population_of_images(point.data, point.recipe)
    for i in everybody:
        point.model.zero_grad()
        population.losses(point.model, i[None]).sum().backward()
        norms.append(sum(float(p.grad.square().sum()) for p in point.model.parameters()) ** 0.5)
    assert points[-1].audit.largest_gradient == pytest.approx(max(norms), rel=1e-5)
    assert found["weakly convex"].trivial == pytest.approx(
        max(p.audit.largest_gradient for p in points) ** 2
    )
    largest = max(float(p.audit.losses.max()) for p in points)
    assert convergence.trivial == pytest.approx(largest)


@pytest.mark.parametrize(("rule", "known"), [("orderdp-fresh", (0, 0.0)), ("orderdp", (None,) * 2)])
def test_only_present_losses_are_known_to_have_no_age_and_no_error(
    rule, known, tmp_path, monkeypatch
):
    config = RunConfig(rule=RuleConfig(rule, {"keep": 0.3}), recipe=RECIPE)
    monkeypatch.setattr(promises_module, "promises", lambda run: run)
    measured = promises_of(config, trained(tmp_path / "run", config)[1])
    assert (measured.max_age, measured.shortfalls) == known


def test_which_rules_have_a_surrogate():
    for name, kept in (("orderdp", (1000, 500, 300)), ("random", (1000, 300, 300))):
        assert build_rule(name, 1000, 0.3).surrogate_design() == Design(*kept)
    assert build_rule("full", 9).surrogate_design() == Design(9, 9, 9)
    for name in ("infobatch", "orderdp-unbiased", "epsilon-greedy", "ucb"):
        assert build_rule(name, 1000, 0.3).surrogate_design() is None


def test_the_error_of_stored_scores_is_their_mean_distance_to_the_losses(tmp_path):
    rule = RuleConfig("orderdp", {"keep": 0.3, "initial_score": "first-pass"})
    config = RunConfig(rule=rule, recipe=RECIPE)
    point, points = trained(tmp_path / "run", config)
    everybody = torch.arange(point.data.num_train)
    losses = losses_of(point.model, point.data, everybody, config.recipe).double()
    design, scores = point.rule.design, point.rule.scores.double()
    expected = design.s / design.q * float((scores - losses).abs().mean())
    assert points[-1].score_error == pytest.approx(expected, rel=1e-6)
    point.rule.scores[3] = torch.inf
    assert score_error(point.rule, losses) is None


def test_the_command_prints_the_table(tmp_path, capsys):
    for rule, shown in (("random", True), ("infobatch", False)):
        folder = tmp_path / rule
        list(run(RunConfig(rule=RuleConfig(rule), recipe=RECIPE), folder, device="cpu"))
        words = ["audit", f"--run={folder}", "--draws=50", f"--out={tmp_path / 'audit'}"]
        with pytest.raises(SystemExit, match="0"):
            command_line(app, [*words, "--device=cpu"])
        assert ("What this run may promise" in capsys.readouterr().out) == shown
