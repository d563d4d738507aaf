"""What a run may promise: constants are those of plain sums, assumptions are met or not."""

import pytest
import torch
from torch import nn

from orderdp_theory.common.command import run as command_line
from orderdp_train.auditing import promises as module
from orderdp_train.auditing.point import score_error
from orderdp_train.auditing.population import population_of_images
from orderdp_train.auditing.promises import promises_of
from orderdp_train.auditing.stored_run import stored_point
from orderdp_train.cli.app import app
from orderdp_train.data import load_data
from orderdp_train.rules import RuleConfig
from orderdp_train.runs import RunConfig, RunFolder, run
from orderdp_train.training.loop import losses_of
from orderdp_train.training.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=2000, max_lr=0.1, momentum=0.0, weight_decay=0.0)


def point_of(folder, config):
    list(run(config, folder, device="cpu"))
    data = load_data("digits")
    stored = RunFolder(folder).load()
    assert stored is not None
    return stored_point(stored, config, data)


def test_constants_are_measured_at_the_first_and_the_last_point(tmp_path):
    rule = RuleConfig("orderdp-fresh", {"keep": 0.3})
    config = RunConfig(rule=rule, recipe=RECIPE)
    point = point_of(tmp_path / "run", config)
    found = {g.theorem: g for g in promises_of(point, config)}
    everybody = torch.arange(point.data.num_train)
    losses = losses_of(point.model, point.data, everybody, config.recipe).double()
    assert found["sandwich"].constants["L"] == pytest.approx(float(losses.mean()), rel=1e-6)
    assert found["sandwich"].verdict == "holds"
    convergence = found["convergence, scores by age"]
    assert convergence.value is None
    assert set(convergence.unmet) == {"convex losses", "a distance to θ°"}
    # The CNN is not convex and not weakly convex with a known constant: nothing is claimed.
    assert "needs weakly convex losses" in found["weakly convex"].verdict

    largest = 0.0
    population = population_of_images(point.data, point.recipe)
    for i in range(5):
        point.model.zero_grad()
        population.losses(point.model, torch.tensor([i])).sum().backward()
        norm = sum(float(p.grad.square().sum()) for p in point.model.parameters()) ** 0.5
        largest = max(largest, norm)
    assert module._largest_gradient(point.model, population) >= largest * (1 - 1e-5)


def test_a_linear_model_is_seen_to_be_convex():
    assert module._is_linear(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    assert not module._is_linear(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))


def test_the_error_of_stored_scores_is_their_mean_distance_to_the_losses(tmp_path):
    rule = RuleConfig("orderdp", {"keep": 0.3, "initial_score": "first-pass"})
    config = RunConfig(rule=rule, recipe=RECIPE)
    point = point_of(tmp_path / "run", config)
    everybody = torch.arange(point.data.num_train)
    losses = losses_of(point.model, point.data, everybody, config.recipe).double()
    design, scores = point.rule.design, point.rule.scores.double()
    expected = design.s / design.q * float((scores - losses).abs().mean())
    population = population_of_images(point.data, point.recipe)
    assert score_error(point, population) == pytest.approx(expected, rel=1e-6)
    point.rule.scores[3] = torch.inf
    assert score_error(point, population) is None


def test_the_command_prints_the_table(tmp_path, capsys):
    for rule, shown in (("random", True), ("infobatch", False)):
        folder = tmp_path / rule
        list(run(RunConfig(rule=RuleConfig(rule), recipe=RECIPE), folder, device="cpu"))
        words = ["audit", f"--run={folder}", "--draws=50", f"--out={tmp_path / 'audit'}"]
        with pytest.raises(SystemExit, match="0"):
            command_line(app, [*words, "--device=cpu"])
        assert ("What this run may promise" in capsys.readouterr().out) == shown
