"""One walk gives every expected gradient exactly, whatever the model, the weights and the order."""

import copy
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from orderdp_theory import Design, inclusion_probabilities
from orderdp_train.auditing import Population, expected_gradients, parts, supervised
from orderdp_train.auditing.layers import Layers, audit_mode
from orderdp_train.auditing.population import population_of_images
from orderdp_train.auditing.walk import TOLERANCE, TOLERANCE_FLOAT64, _Sums, plan
from orderdp_train.data import DataSet, StreamedDataSet, imagenet, load_data
from orderdp_train.models import build_model
from orderdp_train.rules import build_rule
from orderdp_train.runs.folder import milestones
from orderdp_train.training.loop import train
from orderdp_train.training.presets import default_recipe
from orderdp_train.training.recipe import Recipe
from tests.auditing.problem import CLASSES, INPUTS, N, build, small
from tests.auditing.two_processes import audited
from tests.data.formats import write_image_folders
from tests.strategies import designs


class Convolutions(nn.Module):
    """Convolution, both normalisations, an in-place activation and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(2, 2, (3, 2), stride=(1, 2), padding=(0, 3))
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, groups=2, stride=2)
        self.group = nn.GroupNorm(2, 4)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv1(torch.tanh(self.conv0(x)))), inplace=True)
        x = F.relu(self.group(self.conv2(x)))
        return self.head(x.mean((2, 3)))


class Awkward(nn.Module):
    """All that keeps a layer from being contracted on its own: reuse, tying, folding, loose use."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(INPUTS, INPUTS)
        self.tied = nn.Linear(INPUTS, INPUTS, bias=False)
        self.folded = nn.Linear(1, 2)
        self.functional = nn.Linear(INPUTS, INPUTS)
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.unused = nn.Linear(2, 2)
        self.head = nn.Linear(2 * INPUTS, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.twice(torch.tanh(self.twice(x)))) * self.scale
        x = torch.tanh(self.tied(x)) @ self.tied.weight
        x = F.linear(x, self.functional.weight, self.functional.bias)
        x = self.folded(x.reshape(-1, 1)).reshape(len(x), -1)
        return self.head(torch.tanh(x))


def rows_of(n: int, seed: int = 0) -> Tensor:
    """Weights of all kinds: flat, steps, smooth transitions, negative, zero, random."""
    rng = np.random.default_rng(seed)
    rows = [np.full(n, 1 / n), np.zeros(n), rng.normal(size=n), -np.ones(n)]
    for s, q in ((n, n // 3), (n // 2, n // 5), (n // 2, n // 2), (n - 1, 1)):
        rows.append(inclusion_probabilities(Design(n, s, q)) / q)
    return torch.from_numpy(np.array(rows))


@pytest.mark.parametrize("kind", ["linear", "convolutions", "awkward"])
@pytest.mark.parametrize("batch_size", [1, 6, 64])
def test_equals_the_weighted_sum_of_per_sample_gradients(kind: str, batch_size: int) -> None:
    problem = small()
    torch.manual_seed(2)
    if kind == "convolutions":
        problem = build(Convolutions(), 2, 5, 5, n=23)
    elif kind == "awkward":
        problem = build(Awkward(), INPUTS)
    n = len(problem.losses)
    weights, order = rows_of(n), problem.losses.argsort(descending=True)
    found = expected_gradients(
        problem.model, problem.population, weights, order=order, batch_size=batch_size
    )
    torch.testing.assert_close(found, weights @ problem.gradients[order], rtol=1e-9, atol=1e-11)
    # The walk leaves no hook and no mode behind.
    assert not problem.model.training
    assert not any(m._forward_hooks for m in problem.model.modules())


def test_weights_that_are_constant_but_for_rounding() -> None:
    problem = small()
    weights = torch.ones(2, N, dtype=torch.float64)
    weights[0, 3] += 3 * TOLERANCE_FLOAT64
    assert [block.basis.shape for block in plan(weights, 64, TOLERANCE_FLOAT64)] == [(0, N)]
    found = expected_gradients(problem.model, problem.population, weights, batch_size=64)
    torch.testing.assert_close(found, weights @ problem.gradients, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_ordinary_layers_need_no_pass_of_their_own(dtype: torch.dtype) -> None:
    """A contraction that is wrong costs only time: it is seen at once, and autograd steps in."""
    torch.manual_seed(4)
    double = dtype == torch.float64
    model = Convolutions().double() if double else Convolutions()
    parameters = list(model.parameters())
    layers = Layers(model, parameters)
    low = torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)
    inputs = torch.randn(4, 2, 5, 5, dtype=torch.float64 if double else None)

    def losses() -> Tensor:
        return F.cross_entropy(model(inputs), torch.tensor([0, 1, 2, 0]), reduction="none")

    with audit_mode(model), low:
        layers.verify_on(losses)
    assert layers.copied == {model.norm}  # which an activation overwrites
    assert layers.general == []


@given(designs(max_n=60, min_n=2), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_plan_rebuilds_the_weights(design: Design, batch_size: int) -> None:
    """Of rows with directions of their own, and in long batches of more rows than directions."""
    row = torch.from_numpy(inclusion_probabilities(design) / design.q)
    weights = torch.stack([row, row.flip(0), row + row.flip(0)])
    rebuilt = torch.zeros_like(weights)
    for block in plan(weights, batch_size):
        part = torch.from_numpy(block.level)[:, None].repeat(1, block.stop - block.start)
        if block.rows:
            offset, coefficients = block.coefficients[:, :1], block.coefficients[:, 1:]
            alone = coefficients.shape[1] == 0 < len(block.basis)
            part[block.rows] += offset + (block.basis if alone else coefficients @ block.basis)
        rebuilt[:, block.start : block.stop] = part
        constant = (weights[:, block.start : block.stop].diff(dim=1) == 0).all()
        assert not constant or block.basis.shape[0] == 0  # constant weights cost no contraction
    scale = float(weights.max())
    assert float((rebuilt - weights).abs().max()) <= 2 * TOLERANCE * scale * batch_size**0.5


def test_many_designs_need_few_contractions() -> None:
    n = 20_000
    grid = [
        inclusion_probabilities(Design(n, s, int(s * keep))) / (s * keep)
        for s in range(6_000, n + 1, 2_800)
        for keep in (0.2, 0.45, 0.7, 0.9)
    ]
    weights = torch.from_numpy(np.array(grid))
    assert len(weights) == 24
    assert sum(block.basis.shape[0] for block in plan(weights, 128)) < n / 128


def test_float32_error_on_digits_is_below_one_millionth() -> None:
    """What the docstring promises, at every point of a training at which audits look."""
    data = load_data("digits", label_noise=0.2)
    assert isinstance(data, DataSet)
    n, recipe = data.num_train, default_recipe("digits", "cnn")
    weights = rows_of(n)[[0, 4, 5, 6, 7]]
    torch.manual_seed(0)
    model = build_model("cnn", in_channels=1, num_classes=10, image_size=8)

    def images(dtype: torch.dtype) -> Population:
        x = data.normalise(data.train_images).to(dtype)
        return Population(n, lambda i: (x[i], data.train_labels[i]))

    for epoch in train(model, data, build_rule("full", n, 1.0), recipe):
        if epoch.number not in milestones(recipe.epochs):
            continue
        with audit_mode(model):
            order = images(torch.float32).all_losses(model).argsort(descending=True)
        single = expected_gradients(model, images(torch.float32), weights, order=order)
        double = copy.deepcopy(model).double()
        exact = expected_gradients(double, images(torch.float64), weights, order=order)
        error = (single - exact).norm(dim=1) / exact.norm(dim=1)
        assert float(error.max()) <= 1e-6


def test_bfloat16_is_close() -> None:
    problem = small()
    model = nn.Sequential(nn.Linear(INPUTS, 7), nn.Tanh(), nn.Linear(7, CLASSES))
    single = Population(
        N, lambda i: (problem.inputs[i].float(), problem.labels[i]), labels=problem.labels
    )
    weights = rows_of(N)[[0, 5]]
    lower = replace(single, autocast=torch.bfloat16)
    low = expected_gradients(model, lower, weights, batch_size=8)
    high = expected_gradients(model, single, weights, batch_size=8)
    assert float(((low - high).norm(dim=1) / high.norm(dim=1)).max()) < 0.05


def test_images_on_disk_are_read_ahead_by_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One loader for a whole walk, and the same gradients as from images in memory."""
    write_image_folders(tmp_path)
    data = load_data("imagenet", root=tmp_path, num_workers=2)
    assert isinstance(data, StreamedDataSet)
    data = replace(data, image_size=16)
    streamed = population_of_images(data, Recipe(label_smoothing=0.0))
    (_, images, labels), *_ = data.batches([torch.arange(data.num_train)])
    in_memory = Population(data.num_train, lambda i: (images[i], labels[i]))
    torch.manual_seed(0)
    model = build_model("cnn", in_channels=3, num_classes=3, image_size=16)
    weights, order = rows_of(data.num_train), torch.randperm(data.num_train)
    loaders = []
    original = imagenet.DataLoader
    monkeypatch.setattr(
        imagenet, "DataLoader", lambda *a, **k: loaders.append(1) or original(*a, **k)
    )
    found = expected_gradients(model, streamed, weights, order=order, batch_size=5)
    assert len(loaders) == 1  # beside the one that has served a pass already
    plain = expected_gradients(model, in_memory, weights, order=order, batch_size=5)
    torch.testing.assert_close(found, plain, rtol=1e-6, atol=1e-9)
    assert torch.equal(streamed.all_losses(model, 5), in_memory.all_losses(model, 5))


def test_parts_stay_below_the_limit_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = small()
    weights = rows_of(N)
    parameters, sizes = problem.gradients.shape[1], [p.numel() for p in problem.model.parameters()]
    limit = 8 * parameters * 4  # of nine vectors, so that one parameter is cut
    need = 8 * parameters * (len(weights) + 1)
    for allowed in (limit, need - 1):
        with pytest.raises(
            ValueError, match=f"need {need} bytes, .* of {allowed}; .* part by part"
        ):
            expected_gradients(problem.model, problem.population, weights, memory_limit=allowed)
    assert len(parts(len(weights), sizes, need)) == 1
    cuts = parts(len(weights), sizes, limit)
    assert [cut.start for cut in cuts] == [0, *(cut.stop for cut in cuts[:-1])]
    assert cuts[-1].stop == parameters
    assert len(cuts) == 3
    made: list[int] = []
    original = _Sums.__init__

    def counted(self: _Sums, *args: Any) -> None:
        original(self, *args)
        made.append(8 * (self.total.numel() + self.running.numel()))

    monkeypatch.setattr(_Sums, "__init__", counted)
    found = [
        expected_gradients(
            problem.model, problem.population, weights, batch_size=8, part=cut, memory_limit=limit
        )
        for cut in cuts
    ]
    assert max(made) <= limit
    torch.testing.assert_close(
        torch.cat(found, 1), weights @ problem.gradients, rtol=1e-9, atol=1e-11
    )
    with pytest.raises(ValueError, match="raise the limit"):
        parts(8, sizes, 71)


@given(st.lists(st.integers(1, 9), min_size=1), st.integers(1, 30), st.integers(1, 5))
def test_parts_are_few_and_of_whole_parameters_if_possible(
    sizes: list[int], fit: int, rows: int
) -> None:
    found = parts(rows, sizes, 8 * (rows + 1) * fit)
    assert [cut.start for cut in found] == [0, *(cut.stop for cut in found[:-1])]
    assert found[-1].stop == sum(sizes)
    assert max(cut.stop - cut.start for cut in found) <= fit
    assert len(found) == -(-sum(sizes) // fit)
    ends = np.cumsum(sizes)
    for left, cut in zip(range(len(found) - 1, 0, -1), found, strict=False):
        could = [end for end in ends if cut.start < end <= cut.start + fit]
        could = [end for end in could if sum(sizes) - end <= left * fit]
        assert cut.stop == (could[-1] if could else cut.start + fit)


def test_bad_input() -> None:
    problem = small()
    with pytest.raises(ValueError, match="40 columns but the population has 41"):
        expected_gradients(problem.model, problem.population, torch.ones(1, 40))
    for p in (frozen := nn.Linear(INPUTS, CLASSES).double()).parameters():
        p.requires_grad = False
    with pytest.raises(ValueError, match="no trainable parameters"):
        expected_gradients(frozen, problem.population, torch.ones(1, N))
    mean = Population(N, problem.population.batch, supervised(nn.functional.cross_entropy))
    with pytest.raises(ValueError, match="one loss per sample"):
        expected_gradients(problem.model, mean, torch.ones(1, N))


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """All numbers in nested dictionaries and lists, by their place."""
    if not isinstance(value, dict | list):
        return {name: value} if isinstance(value, int | float) else {}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {k: v for key, item in items for k, v in flat(item, f"{name}.{key}").items()}


@pytest.mark.parametrize("batch_size", [6, 64])
def test_two_processes_share_the_walk(tmp_path: Path, batch_size: int) -> None:
    """With 64 samples a batch there is nothing left for the second process."""
    script = Path(__file__).with_name("two_processes.py")
    root = script.parents[2]
    result = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         str(script), str(tmp_path / "found.pt"), str(batch_size)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    problem = small()
    weights = torch.rand(3, len(problem.losses), generator=torch.Generator().manual_seed(0))
    found, whole = torch.load(tmp_path / "found.pt")
    one, two = flat(audited(batch_size).as_dict()), flat(whole)
    assert len(one) > 30
    assert one.pop(".passes") > 2  # of each process its own
    assert two.pop(".passes") > 0
    assert two == pytest.approx(one, rel=1e-6, abs=1e-9)
    torch.testing.assert_close(found, weights.double() @ problem.gradients, rtol=1e-9, atol=1e-11)
