"""The paper's results by command: the right trainings, the right readings, sweeps that survive."""

import csv
import io
import json
import math
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from rich.console import Console
from torch.nn import functional as F

from orderdp_theory import Design
from orderdp_theory.claims.tables import read_table
from orderdp_theory.common import output
from orderdp_theory.common.command import run as run_command
from orderdp_train import reproduce as reproduce_package
from orderdp_train.cli import reproduce as command
from orderdp_train.cli.reproduce import reproduce
from orderdp_train.data import load_data
from orderdp_train.models import model_for
from orderdp_train.reproduce import (
    RESULTS,
    SCALES,
    AtWork,
    Cell,
    Environment,
    sweep,
    with_seeds,
)
from orderdp_train.reproduce.cost import estimate
from orderdp_train.reproduce.figures import draw
from orderdp_train.reproduce.gradients import looked_at, measure_gradients
from orderdp_train.reproduce.outcome import Measured, infobatch_savings, markdown, measure, to_csv
from orderdp_train.reproduce.results import Number, Result
from orderdp_train.reproduce.scales import METHODS, splits
from orderdp_train.reproduce.sweeping import read_history, train_cell
from orderdp_train.rules import RULES, RuleConfig, build_rule
from orderdp_train.runs import RunConfig, RunFolder, driver, measures, run
from orderdp_train.runs.checkpoint import load_checkpoint
from orderdp_train.training.presets import RECIPES, in_words
from orderdp_train.training.recipe import Recipe

PAPER, SMOKE = SCALES["paper"], SCALES["smoke"]
ROOT = Path(__file__).parents[2]
TINY = RunConfig(recipe=Recipe(epochs=2, batch_size=512, max_lr=0.05))
CPU = Environment(device="cpu")


# The grid


@pytest.mark.parametrize("table", [1, 2, 3, 4, 5, 6, 7, 8, 9, 11])
def test_every_printed_number_of_a_table_is_reproduced_once(table):
    numbers = RESULTS[f"table{table}"].numbers(PAPER)
    places = [(n.row, n.column) for n in numbers]
    assert len(set(places)) == len(places)
    values = ("accuracy", "hours", "node_hours", "saved_percent", "jaccard", "mean", "cosine")
    values += ("gap", "original")
    rows = read_table(table)
    printed = [float(row[v]) for row in rows for v in values if row.get(v)]
    assert sorted(printed) == sorted(n.printed for n in numbers if n.printed is not None)
    spreads = [float(row[v]) for row in rows for v in ("accuracy_std", "std") if row.get(v)]
    assert sorted(spreads) == sorted(n.printed_std for n in numbers if n.printed_std is not None)


def test_table_2_trains_what_the_paper_says_it_trained():
    numbers = {(n.row, n.column): n for n in RESULTS["table2"].numbers(PAPER)}
    number = numbers["OrderDP", "CIFAR-100 ResNet-50 70 %"]
    config = number.cell.config
    assert number.printed == 77.9
    assert (config.data, config.model, config.rule.name) == ("cifar100", "resnet50", "orderdp")
    assert config.rule.options == {"keep": 0.3, "explore": 0.5, "initial_score": 3.0}
    recipe = config.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.max_lr) == (200, 128, 0.03)
    assert (recipe.momentum, recipe.weight_decay, recipe.label_smoothing) == (0.9, 5e-4, 0.1)
    assert numbers["UCB", "CIFAR-10 ResNet-18 30 %"].cell.config.recipe.max_lr == 0.2
    assert numbers["InfoBatch", "CIFAR-10 ResNet-18 50 %"].cell.config.rule.keep == 0.5


def test_settings_of_the_text_that_depart_from_the_recipe():
    for name in ("table8", "table9", "table11"):
        assert {c.config.recipe.max_lr for c in RESULTS[name].cells(PAPER)} == {0.03}
    nine = {c.config.rule.name: c.config.rule.keep for c in RESULTS["table9"].cells(PAPER)}
    assert (nine["infobatch"], nine["full"], nine["ucb"]) == (0.01, 1, 0.39)
    three = RESULTS["table3"].cells(PAPER)
    assert {(c.config.data, c.config.recipe.optimizer) for c in three} == {("imagenet", "lars")}
    seven = {c.config.recipe.optimizer for c in RESULTS["table7"].cells(PAPER)}
    assert seven == {"sgd", "adamw", "lars", "lamb"}


def test_published_splits_are_used_where_they_have_the_budget():
    """s/n and q/s as printed: Section 4.2, the README's and the scripts'."""
    three = [c.config.rule for c in RESULTS["table3"].cells(PAPER)]
    assert [(r.keep, r["explore"]) for r in three if r.name == "orderdp"] == [(0.6, 0.75)]
    six = {
        (c.config.data, c.config.model): (c.config.rule.keep, c.config.rule["explore"])
        for c in RESULTS["table6"].cells(PAPER)
        if c.config.rule.name == "orderdp"
    }
    assert six["imagenet", "resnet18"] == (0.727, 0.8)  # the printed saving, not 0.72
    assert six["imagenet", "resnet50"] == (0.602, 0.75)
    assert six["cifar10", "resnet18"][1] == pytest.approx(math.sqrt(0.588), abs=1e-6)
    four = [c.config.rule for c in RESULTS["figure4"].cells(PAPER)]
    assert {0.5, 0.8} <= {r["explore"] for r in four if r.keep == 0.3}
    assert splits(0.3) == [0.5, 0.8]


def test_the_paper_scale_follows_the_papers_recipes():
    for name, result in RESULTS.items():
        for cell in result.cells(PAPER):
            c = cell.config
            if name == "table5":  # whose recipes are others
                continue
            network = f"{c.data.rstrip('01')}-{c.model}"
            assert in_words(c.recipe, c.data, c.model).startswith(f"{network}-paper"), name


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_every_training_is_possible_and_costed(result, scale):
    sizes = {"digits": 1500, "mnist5k": 4000, "imagenet": 1_281_167}
    for cell in result.cells(scale):
        config = cell.config
        n = sizes.get(config.data, 50_000)
        rule = config.rule.build(n, scorer=lambda indices: indices.float())
        if config.rule.name == "orderdp":
            # Raises unless q <= s <= n, and building the rule would silently make it s = q.
            keep, explore = config.rule.keep, float(config.rule["explore"])
            Design(n, round(explore * n), round(keep * n))
            assert rule.budget == round(keep * n)
    cost = estimate(result, scale, 2)
    assert cost.trainings == 2 * len(result.cells(scale))
    assert 0 < cost.hours < 10_000


def test_same_trainings_are_shared_and_different_ones_are_not(tmp_path):
    shared = set(RESULTS["table2"].cells(SMOKE)) & set(RESULTS["figure1"].cells(SMOKE))
    assert len(shared) == 3
    one = set(RESULTS["table1"].cells(SMOKE))
    assert len(one & set(RESULTS["table2"].cells(SMOKE))) == 1 + 3 * 6
    cells = with_seeds([c for r in RESULTS.values() for c in r.cells(SMOKE)], 2)
    assert len({c.folder(tmp_path).path for c in cells}) == len(set(cells)) == len(cells)


# Gradients against plain autograd


@pytest.mark.parametrize("rule", ["infobatch", "orderdp"])
def test_gradients_are_those_of_plain_backward_passes(tmp_path, rule):
    config = replace(TINY, rule=RuleConfig(rule, {"keep": 0.3}))
    data, folder = load_data("digits"), RunFolder(tmp_path)
    for _ in run(config, tmp_path, device="cpu"):
        measure_gradients(folder, data)
    measure_gradients(folder, data)  # a second look changes nothing
    found = folder.gradients()
    assert [c.epoch for c in found] == [1, 2]

    state = load_checkpoint(tmp_path / "checkpoint.pt")["state"]
    model = model_for("cnn", data)
    model.load_state_dict(state["model"])
    ((_, images, labels),) = data.batches([torch.arange(1500)])

    def gradient(weights: torch.Tensor) -> torch.Tensor:
        losses = F.cross_entropy(model(images), labels, label_smoothing=0.1, reduction="none")
        grads = torch.autograd.grad((weights * losses).sum(), list(model.parameters()))
        return torch.cat([g.flatten() for g in grads]).double()

    full = gradient(torch.full((1500,), 1 / 1500))
    again = build_rule(rule, 1500, 0.3)
    again.load_state_dict(state["rule"])
    expected = gradient(again.expected_weights().float())
    assert found[-1].expected == pytest.approx(float(F.cosine_similarity(expected, full, dim=0)))
    # Single precision on both sides, and a bias of the order of the gradient.
    assert found[-1].bias == pytest.approx(float((expected - full).norm() / full.norm()), rel=1e-4)
    # A draw scatters about its expectation; many of them average to it.
    generator = torch.Generator().manual_seed(0)
    drawn = torch.zeros(1500)
    for _ in range(300):
        indices, weights = again.select(generator)
        drawn[indices] += weights / len(indices) / 300
    mean = gradient(drawn)
    assert float(F.cosine_similarity(mean, expected, dim=0)) > 0.99
    assert 0 < found[-1].drawn <= 1


def test_moments_are_spread_over_the_training():
    assert looked_at(10) == set(range(1, 11))
    assert sorted(looked_at(200)) == list(range(10, 201, 10))
    assert max(looked_at(90)) == 90


# Sweeps


def numbers_of(cells: list[Cell], root: Path) -> list[list[tuple]]:
    """All metrics but the clock's."""
    timed = ("seconds", "time")
    return [
        [tuple(v for k, v in row.items() if not k.startswith(timed)) for row in history.rows]
        for history in (read_history(c, root) for c in cells)
    ]


def test_an_interrupted_sweep_continues_and_ends_the_same(tmp_path):
    cells = with_seeds(
        [Cell(TINY), Cell(replace(TINY, rule=RuleConfig("random", {"keep": 0.3})), gradients=True)],
        2,
    )
    for _ in sweep(cells, tmp_path / "whole", CPU, jobs=1):
        pass

    root = tmp_path / "interrupted"
    started = sweep(cells, root, CPU, jobs=1)
    done = next(started)
    started.close()
    assert done == cells[0]
    kept = (done.folder(root).path / "metrics.jsonl").stat().st_mtime_ns
    # The second cell stops after its first epoch, before its gradients are looked at.
    epochs = run(cells[1].config, cells[1].folder(root).path, device="cpu")
    next(epochs)
    epochs.close()
    assert not cells[1].folder(root).gradients()

    assert set(sweep(cells, root, CPU, jobs=1)) == set(cells)
    assert (done.folder(root).path / "metrics.jsonl").stat().st_mtime_ns == kept
    assert numbers_of(cells, root) == numbers_of(cells, tmp_path / "whole")
    for cell in cells:
        looks = [read_history(cell, r).gradients for r in (root, tmp_path / "whole")]
        assert looks[0] == looks[1]
        assert len(looks[0]) == (2 if cell.gradients else 0)
        assert not (cell.folder(root).path / "checkpoint.pt").exists()


def test_a_training_whose_gradients_were_looked_at_is_the_same_training(tmp_path):
    """Static subsets too: what is drawn once is drawn again, by the seed of the training."""
    rules = (RuleConfig("orderdp", {"keep": 0.3}), RuleConfig("static-random", {"keep": 0.3}))
    plain = [Cell(replace(TINY, rule=rule, seed=1)) for rule in rules]
    watched = [replace(cell, gradients=True) for cell in plain]
    for cells, folder in ((plain, "plain"), (watched, "watched")):
        for _ in sweep(cells, tmp_path / folder, CPU, jobs=1):
            pass
    found = numbers_of(plain, tmp_path / "plain")
    assert numbers_of(plain, tmp_path / "watched") == found  # read from the twins
    assert list(sweep(plain, tmp_path / "watched", CPU, jobs=1)) == plain
    assert not any(cell.folder(tmp_path / "watched").exists for cell in plain)


@pytest.fixture
def one_thread():
    """Workers have one thread each, and sums over several round differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_processes_give_the_same_as_one(tmp_path):
    cells = with_seeds([Cell(TINY)], 2)
    for folder, jobs in (("alone", 1), ("shared", 2)):
        assert set(sweep(cells, tmp_path / folder, CPU, jobs)) == set(cells)
    assert numbers_of(cells, tmp_path / "alone") == numbers_of(cells, tmp_path / "shared")


def test_trainings_in_processes_end_with_the_one_that_began_them(tmp_path):
    """Killed, it cannot tell them: those that train clean up, and none waits for more to do."""
    words = [sys.executable, "-m", "tests.reproduce.lasting", str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as process:
        while not all((tmp_path / name).exists() for name in ("long", "longer", "short.over")):
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
        process.communicate(timeout=60)  # the output ends with the last that holds it
    assert len(list(tmp_path.glob("*.over"))) == 3


def test_a_failing_training_is_one_line_and_keeps_the_others(tmp_path):
    diverges = replace(TINY, recipe=replace(TINY.recipe, max_lr=1e20))
    cells = [Cell(TINY), Cell(diverges)]
    started = sweep(cells, tmp_path, CPU, jobs=1)
    assert next(started) == cells[0]
    with pytest.raises(ValueError, match="not finite"):
        next(started)
    assert next(sweep(cells, tmp_path, CPU, jobs=1)) == cells[0]


def test_the_trainings_at_work_are_those_that_have_begun_and_are_not_over(tmp_path):
    cells = with_seeds([Cell(TINY)], 3)
    before = AtWork(cells, tmp_path)
    assert before.lines() == []
    cells[0].folder(tmp_path).note_start()
    begun = run(cells[1].config, cells[1].folder(tmp_path).path, device="cpu")
    next(begun)
    first, second = (cell.folder(tmp_path).path.name for cell in cells[:2])
    lines = [f"{first}: 0 of 2 epochs", f"{second}: 1 of 2 epochs"]
    assert before.lines() == lines
    begun.close()
    before.over(cells[0])
    before.over(cells[2])
    assert before.lines() == lines[1:]
    # The next command knows of no training at work, before one goes on.
    after = AtWork(cells, tmp_path)
    assert after.lines() == []
    train_cell(cells[1], tmp_path, CPU)
    assert after.lines() == [f"{second}: 2 of 2 epochs"]


def test_only_the_first_few_at_work_are_named(tmp_path):
    cells = with_seeds([Cell(TINY)], 11)
    view = AtWork(cells, tmp_path)
    for cell in cells:
        cell.folder(tmp_path).note_start()
    assert view.lines()[8:] == ["and 3 more"]


def test_one_view_shows_what_is_done_left_failed_and_at_work(capsys, tmp_path, monkeypatch):
    """As it is drawn after every epoch, and when all is over."""
    diverges = replace(TINY, recipe=replace(TINY.recipe, max_lr=1e20))
    cells = [Cell(diverges), Cell(TINY)]
    numbers = [
        Number(str(k), "a", "test accuracy (%)", cell, measures.final_accuracy)
        for k, cell in enumerate(cells)
    ]
    monkeypatch.setitem(RESULTS, "mini", Result("mini", "Mini", lambda scale: numbers, seeds=1))
    drawn, bars, epochs = io.StringIO(), [], driver.train
    screen = Console(file=drawn, force_terminal=True, width=150, color_system=None)
    monkeypatch.setattr(output, "status", lambda quiet: screen)

    def kept(*arguments, **options):
        bars.append(output.progress(*arguments, **options))
        return bars[-1]

    def drawing(*arguments, **options):
        for epoch in epochs(*arguments, **options):
            yield epoch
            bars[0].refresh()

    monkeypatch.setattr(command, "progress", kept)
    monkeypatch.setattr(driver, "train", drawing)
    options = ("--seeds", 1, "--jobs", 1, "--device", "cpu", "--out", tmp_path)
    status, _, _ = call(capsys, "mini", *options)
    failed, good = (c.folder(tmp_path / "cells").path.name for c in cells)
    assert status == 2
    view = drawn.getvalue()
    assert f"{failed}: the loss is not finite" in view
    at_work = f"  {good}: 2 of 2 epochs"
    before, after = view.split("2/2", maxsplit=1)
    assert re.search(rf"mini .* 1/2 1 left 1 failed .*\n{at_work}", before)
    assert "0 left 1 failed" in after
    assert at_work not in after


def a_result(tmp_path: Path) -> tuple[Result, list[Measured], int]:
    """A table of two trainings and two seeds, measured."""
    infobatch = Cell(replace(TINY, rule=RuleConfig("infobatch", {"keep": 0.3})))
    numbers = [
        Number("OrderDP", "a", "test accuracy (%)", Cell(TINY), measures.final_accuracy, 95.0, 0.1),
        Number("InfoBatch", "a", "test accuracy (%)", infobatch, measures.final_accuracy),
        Number("InfoBatch", "b", "saved (%)", infobatch, measures.saved, 30.0),
        Number("drop", "b", "saved (%)", infobatch, measures.saved, baseline=Cell(TINY)),
    ]
    result = Result("mini", "Mini", lambda scale: numbers)
    for _ in sweep(with_seeds(result.cells(SMOKE), 2), tmp_path, CPU, jobs=1):
        pass
    return result, measure(result, SMOKE, 2, tmp_path), 2


def test_tables_csv_and_figure_hold_the_measured_and_the_printed_numbers(tmp_path):
    result, measured, seeds = a_result(tmp_path)
    accuracies = []
    for seed in range(seeds):
        folder = Cell(replace(TINY, seed=seed)).folder(tmp_path).path
        last = (folder / "metrics.jsonl").read_text().splitlines()[-1]
        accuracies.append(100 * json.loads(last)["test_accuracy"])
    mean, std = np.mean(accuracies), np.std(accuracies, ddof=1)

    lines = markdown(measured).splitlines()
    assert lines[0] == "|  | a | b |"
    assert lines[2] == f"| OrderDP | {mean:.2f} ± {std:.2f} (95 ± 0.1) |  |"
    assert lines[3].startswith("| InfoBatch | ")
    assert lines[3].endswith(" (30) |")

    rows = list(csv.DictReader(io.StringIO(to_csv(measured))))
    assert [row["rule"] for row in rows] == ["orderdp", "infobatch", "infobatch", "infobatch"]
    assert float(rows[0]["mean"]) == pytest.approx(mean)
    assert float(rows[0]["std"]) == pytest.approx(std)
    assert (rows[0]["paper"], rows[0]["paper_std"], rows[1]["paper"]) == ("95.0", "0.1", "")
    assert [float(v) for v in rows[0]["values"].split()] == pytest.approx(accuracies)

    # OrderDP saves exactly 70 %.
    drops = [float(v) for v in rows[3]["values"].split()]
    assert drops == pytest.approx([70 - float(v) for v in rows[2]["values"].split()])

    sentence = infobatch_savings(result, SMOKE, seeds, tmp_path)
    assert sentence == (
        f"On digits InfoBatch really pruned {measured[2].mean:.0f} % at a probability of 0.7."
    )
    labels = [ax.get_ylabel() for ax in draw(result, measured).axes]
    assert labels == ["test accuracy (%)", "saved (%)"]


def test_a_difference_has_the_standard_error_of_its_mean():
    number = Number("r", "c", "q", Cell(TINY), measures.saved)
    values = (10.0, 12.0, 14.0, 20.0)
    error = np.std(values, ddof=1) / 2
    assert Measured(number, values).spread == pytest.approx(2 * error)
    assert Measured(replace(number, baseline=Cell(TINY)), values).spread == pytest.approx(error)


@pytest.mark.parametrize("name", [f"table{k}" for k in (1, 2, 3, 4, 6, 7, 8, 9, 11)])
def test_survey_sampling_is_in_every_table_at_the_budgets_of_orderdp(name):
    budgets = {"orderdp": [], "survey": []}
    for cell in RESULTS[name].cells(PAPER):
        if (rule := cell.config.rule).name in budgets:
            where = replace(cell.config, rule=RuleConfig("random", {"keep": rule.keep}))
            budgets[rule.name].append((str(where), cell.gradients))
    assert budgets["survey"] == budgets["orderdp"] != []


def test_gradients_of_a_selection_at_every_step_are_those_of_a_steps_design(tmp_path):
    config = replace(TINY, rule=RuleConfig("ordered-sgd", {"keep": 0.02}), selection="iteration")
    config = replace(config, recipe=replace(config.recipe, batch_size=5))
    data, folder = load_data("digits"), RunFolder(tmp_path)
    for _ in run(config, tmp_path, device="cpu"):
        measure_gradients(folder, data)
    model = model_for("cnn", data)
    model.load_state_dict(load_checkpoint(tmp_path / "checkpoint.pt")["state"]["model"])
    ((_, images, labels),) = data.batches([torch.arange(1500)])
    losses = F.cross_entropy(model(images), labels, label_smoothing=0.1, reduction="none")

    def bias(config: RuleConfig) -> float:
        rule = config.build(1500, scorer=losses.detach().__getitem__)
        weights = torch.stack([rule.expected_weights().float(), torch.full((1500,), 1 / 1500)])
        rows = [torch.autograd.grad(w @ losses, [*model.parameters()], retain_graph=True)
                for w in weights]  # fmt: skip
        own, full = (torch.cat([g.flatten() for g in row]).double() for row in rows)
        return float((own - full).norm() / full.norm())

    found = folder.gradients()[-1].bias
    assert found == pytest.approx(bias(config.per_step(1500)[0]), rel=1e-4)
    assert found != pytest.approx(bias(config.rule), rel=1e-3)  # that of an epoch


def test_table_5_prunes_the_pretraining_of_autoencoders_and_all_of_the_other_trainings():
    cells = RESULTS["table5"].cells(PAPER)
    kept: dict[str, dict[str, float]] = {}
    for cell in cells:
        first, last = cell.stages[0], cell.config
        kept.setdefault(first.model, {})[first.rule.name] = first.rule.keep
        if first.model == "mae-base":
            assert (last.model, last.rule.name, len(cell.stages)) == ("vit-base", "full", 2)
            assert (first.recipe.epochs, last.recipe.epochs) == (300, 100)
        else:
            assert cell.stages == [last]
    swin = "swin_tiny_patch4_window7_224"
    assert kept == {
        "resnet50": {"full": 1, "orderdp": 0.702, "survey": 0.702},
        swin: {"full": 1, "orderdp": 0.779, "survey": 0.779},
        "mae-base": {"full": 1, "orderdp": 0.692, "survey": 0.692},
    }
    recipes = {c.stages[0].model: in_words(c.stages[0].recipe, "imagenet", "") for c in cells}
    expected = ("imagenet-resnet50-timm", "imagenet-swin-tiny", "imagenet-mae")
    assert tuple(recipes.values()) == expected


def test_a_pretraining_is_a_part_of_its_training(tmp_path):
    """Interrupted in either stage, it ends as it does without; both leave no checkpoint."""
    short = {"epochs": 2, "batch_size": 500}
    recipes = [replace(RECIPES[name], **short) for name in ("smoke-mae", "smoke-vit")]
    rule = RuleConfig("orderdp", {"keep": 0.3})
    before = RunConfig(model="mae-tiny", rule=rule, recipe=recipes[0])
    cell = Cell(
        replace(before, model="vit-tiny", rule=RuleConfig("full"), recipe=recipes[1]),
        pretraining=before,
    )
    [other] = with_seeds([cell], 2)[1:]
    assert [stage.seed for stage in other.stages] == [1, 1]
    assert len({c.folder(tmp_path).path for c in (cell, other, Cell(cell.config))}) == 3
    for name in ("whole", "interrupted"):
        root = tmp_path / name
        if name == "interrupted":
            stopped = run(before, Cell(before).folder(root).path, device="cpu")
            next(stopped)
            stopped.close()
        assert list(sweep([cell], root, CPU, jobs=1)) == [cell]
        assert not list(root.rglob("checkpoint.pt"))
    whole, again = (numbers_of([cell], tmp_path / n) for n in ("whole", "interrupted"))
    assert whole == again
    plain = Cell(cell.config)
    list(sweep([plain], tmp_path / "whole", CPU, jobs=1))
    # Another sweep, that looked before they were finished, comes to them now: as they were.
    files = [p for p in (tmp_path / "whole").rglob("*") if p.suffix in (".jsonl", ".npy", ".pt")]
    found = {path: path.read_bytes() for path in files}
    for late in (cell, plain):
        train_cell(late, tmp_path / "whole", CPU)
    again = [p for p in (tmp_path / "whole").rglob("*") if p.suffix in (".jsonl", ".npy", ".pt")]
    assert {path: path.read_bytes() for path in again} == found
    assert numbers_of([plain], tmp_path / "whole") != whole
    number = Number("r", "c", "q", cell, measures.final_accuracy)
    (row,) = csv.DictReader(io.StringIO(to_csv([Measured(number, (1.0,))])))
    assert (row["rule"], row["keep"], row["model"]) == ("orderdp", "0.3", "vit-tiny")
    assert row["recipe"].startswith("smoke-mae, ")
    assert ", then smoke-vit, " in row["recipe"]
    alone = Result("a", "A", lambda scale: [replace(number, cell=plain)])
    both = Result("b", "B", lambda scale: [number])
    assert estimate(both, SMOKE, 1).hours > estimate(alone, SMOKE, 1).hours


def test_table_1_has_every_static_method_and_shares_their_proxies():
    cells = RESULTS["table1"].cells(SMOKE)
    names = {cell.config.rule.name for cell in cells}
    ours = {n for n, cls in RULES.items() if cls.__module__.startswith("orderdp_train.")}
    assert names == ours - {"fixed-subset"}
    assert names == {cell.config.rule.name for cell in RESULTS["bias"].cells(SMOKE)}
    per_step = {c.config.rule.name for c in cells if c.config.selection == "iteration"}
    assert per_step == {"ordered-sgd", "rho-loss"}
    recipes = {(c.config.data, c.config.model, c.config.recipe) for c in cells}
    assert len(recipes) == 1
    epochs = {c.config.rule["epoch"] for c in cells if c.config.rule.name == "el2n"}
    assert epochs == {2, 20}


def test_static_methods_cost_their_proxies():
    cell = Cell(replace(TINY, rule=RuleConfig("herding", {"keep": 0.3})))
    number = Number("r", "c", "q", cell, measures.saved)
    random = replace(cell.config, rule=RuleConfig("random", {"keep": 0.3}))
    alone = Result("a", "A", lambda scale: [replace(number, cell=Cell(random))])
    static = Result("b", "B", lambda scale: [number, replace(number, column="d")])
    assert estimate(static, SMOKE, 5).hours > estimate(alone, SMOKE, 5).hours
    assert estimate(static, SMOKE, 5).trainings == 5
    fresh = replace(cell.config, rule=RuleConfig("orderdp-fresh", {"keep": 0.3}))
    rho = replace(cell.config, rule=RuleConfig("rho-loss", {"keep": 0.3}))
    one, judged = (
        Result("c", "C", lambda scale, c=c: [replace(number, cell=Cell(c))]) for c in (fresh, rho)
    )
    assert estimate(judged, SMOKE, 5).hours > estimate(one, SMOKE, 5).hours


def test_one_seed_has_no_deviation():
    number = Number("r", "c", "q", Cell(TINY), measures.saved, 50.0)
    alone = Measured(number, (0.5,))
    assert math.isnan(alone.std)
    assert markdown([alone]).splitlines()[2] == "| r | 0.500 (50) |"
    (row,) = csv.DictReader(io.StringIO(to_csv([alone])))
    assert row["std"] == ""


@pytest.mark.parametrize("name", ["figure1", "figure3", "figure4", "figure12", "table9"])
def test_every_kind_of_figure_draws_all_its_series(name):
    result = RESULTS[name]
    rng = np.random.default_rng(0)
    measured = [Measured(n, tuple(rng.uniform(1, 2, 3))) for n in result.numbers(SMOKE)]
    axes = draw(result, measured).axes
    expected = {"figure1": 5, "figure3": 3, "figure4": 2, "figure12": 1, "table9": 2}
    assert len(axes) == expected[name]
    names = {text.get_text() for ax in axes for text in ax.get_legend().get_texts()}
    assert {m.number.row for m in measured} <= names


def test_many_methods_are_lines_of_a_picture():
    result = RESULTS["table1"]
    rng = np.random.default_rng(0)
    measured = [Measured(n, tuple(rng.uniform(1, 2, 3))) for n in result.numbers(SMOKE)]
    (ax,) = draw(result, measured).axes
    rows = dict.fromkeys(m.number.row for m in measured if m.number.baseline is None)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(rows)
    assert ax.get_xlabel() == "test accuracy (%)"


def test_bias_and_accuracy_of_every_method_are_a_numbered_point():
    result = RESULTS["bias"]
    rng = np.random.default_rng(0)
    measured = [Measured(n, tuple(rng.uniform(50, 100, 3))) for n in result.numbers(SMOKE)]
    bias, angle, key = draw(result, measured).axes
    numbers = [str(k + 1) for k in range(len(METHODS))]
    for ax, quantity in ((bias, "relative bias"), (angle, "angle (degrees)")):
        assert [text.get_text() for text in ax.texts] == numbers
        by_place = {(m.number.row, m.number.quantity): m.mean for m in measured}
        for text, method in zip(ax.texts, METHODS, strict=True):
            assert text.xy[0] == by_place[method, quantity]
            assert 100 - text.xy[1] == pytest.approx(by_place[method, "test accuracy (%)"])
    assert [text.get_text().split(maxsplit=1)[1] for text in key.texts] == list(METHODS)


# The command

APP = typer.Typer()
APP.command("reproduce")(reproduce)
APP.callback()(lambda: None)


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        run_command(APP, ["reproduce", *map(str, arguments)])
    captured = capsys.readouterr()
    return int(exit_.value.code or 0), captured.out, captured.err


def test_the_command_writes_table_csv_and_figure(capsys, tmp_path):
    status, out, _ = call(capsys, "figure11", "--seeds", 1, "--jobs", 1, "--out", tmp_path)
    assert status == 0
    assert "never used" in out
    rows = list(csv.DictReader(io.StringIO((tmp_path / "figure11-smoke.csv").read_text())))
    curve = {int(row["column"]): float(row["mean"]) for row in rows[1:]}
    assert sum(curve.values()) == 1500
    assert sum(times * samples for times, samples in curve.items()) == 20 * 15
    assert float(rows[0]["mean"]) == curve[0]
    page = (tmp_path / "figure11-smoke.md").read_text()
    assert "`orderdp-train reproduce figure11 --scale smoke --seeds 1`" in page
    assert "digits for CIFAR-10" in page
    assert (tmp_path / "figure11-smoke.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["csv", "md", "png", "json"])
def test_results_replace_only_those_of_the_same_command(capsys, tmp_path, monkeypatch, kind):
    """The trainings do not matter here: none is done, and all numbers are 1."""
    monkeypatch.setattr(reproduce_package, "sweep", lambda *_, **__: iter(()))
    one = [Measured(n, (1.0,)) for n in RESULTS["figure11"].numbers(SMOKE)]
    monkeypatch.setattr(reproduce_package, "measure", lambda *_: one)
    file = tmp_path / ("figure11-smoke." + kind)
    line = ("figure11", "--seeds", 1, "--out", tmp_path, "--json", tmp_path / "figure11-smoke.json")
    theirs = '{"row": 1, "paper": 2, "smoke": 3, "quantity": "reproduced"}'
    file.write_text(theirs)
    status, said, error = call(capsys, *line)
    assert (status, said) == (2, "")
    assert error.startswith(f"error: {file} exists and is not what this command wrote")
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [file.name]
    assert file.read_text() == theirs
    file.write_text("")
    assert call(capsys, *line)[0] == 0
    first = file.read_bytes()
    assert first
    assert call(capsys, *line)[0] == 0
    assert file.read_bytes() == first


def test_the_json_of_the_list_replaces_only_itself(capsys, tmp_path):
    file = tmp_path / "costs.json"
    file.write_text('{"smoke": 1}')
    assert call(capsys, "--list", "--json", file)[0] == 2
    assert file.read_text() == '{"smoke": 1}'
    file.write_text("")
    for _ in range(2):
        assert call(capsys, "--list", "--json", file)[0] == 0
    assert json.loads(file.read_text()).keys() == RESULTS.keys()


def test_the_list_shows_everything_with_its_cost(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, out, _ = call(capsys, "--list")
    assert status == 0
    for text in (*RESULTS, "trainings", "one CPU core", "one L40 GPU", "min"):
        assert text in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no result was named: choose one of table1, table2"),
        (["table10"], "unknown result 'table10'"),
        (["table2", "--scale", "huge"], "unknown scale 'huge': choose smoke or paper"),
        (["table2", "--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["table2", "--jobs", "-1"], "--jobs must be at least 1, got -1"),
        (["table2", "--seeds", "1000000000000"], "--seeds must be at most"),
        (["table2", "--jobs", "1000000000000"], "--jobs must be at most"),
        (["table2", "--device", "tpu"], "unknown device 'tpu'"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    capsys, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    status, _, err = call(capsys, *arguments)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    status, _, err = call(capsys, "figure11", "--out", tmp_path / "file" / "below")
    assert status == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_missing_data_at_the_paper_scale_is_one_line(capsys, tmp_path):
    options = ("--scale", "paper", "--seeds", 1, "--root", tmp_path / "data", "--jobs", 1)
    status, _, err = call(capsys, "figure9", *options, "--out", tmp_path / "out")
    last = err.strip().splitlines()[-1]
    assert status == 2
    assert last.startswith("error: 1 of 1 trainings failed")
    assert "no cifar10 in" in last
    assert "--download" in last


@pytest.mark.parametrize("name", ["table1", "bias", "table2", "table5", "table8", "table11"])
def test_the_kept_results_are_those_of_the_present_grid(name):
    file = Path(__file__).parents[2] / "docs" / "results" / f"{name}-smoke.csv"
    kept = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    numbers = RESULTS[name].numbers(SMOKE)
    assert [(r["row"], r["column"], r["paper"]) for r in kept] == [
        (n.row, n.column, "" if n.printed is None else str(n.printed)) for n in numbers
    ]
    assert {len(r["values"].split()) for r in kept} == {5}
    recipes = [
        ", then ".join(in_words(c.recipe, c.data, c.model) for c in n.cell.stages) for n in numbers
    ]
    assert [r["recipe"] for r in kept] == recipes
