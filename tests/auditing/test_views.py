"""Gradients of augmented samples: every rule and the full data look at the same redraws."""

import math
from dataclasses import replace
from pathlib import Path
from statistics import stdev

import pytest
import torch
from torch import Tensor, nn

from orderdp_theory import Design
from orderdp_train.auditing import Audit, audit
from orderdp_train.auditing.population import population_of, population_of_images
from orderdp_train.data import Augmentation, DataSet, StreamedDataSet, load_data
from orderdp_train.models import model_for
from orderdp_train.rules import OrderDP, RandomSubset, SelectionRule
from orderdp_train.training.recipe import Recipe
from tests.data.formats import write_image_folders

N, VIEWS = 40, 3
RECIPE = Recipe(batch_size=16, label_smoothing=0.1)


def images(augmentation: Augmentation) -> DataSet:
    data = load_data("digits")
    assert isinstance(data, DataSet)
    kept = {name: getattr(data, name)[:N] for name in ("train_images", "train_labels", "flipped")}
    return replace(data, augmentation=augmentation, **kept)


def model_of(data: DataSet) -> nn.Module:
    torch.manual_seed(0)
    return model_for("cnn", data)


def rules() -> dict[str, SelectionRule]:
    stored = OrderDP(Design(N, 20, 9))
    stored.update(torch.arange(N), torch.rand(N, generator=torch.Generator().manual_seed(1)))
    return {"stored": stored, "random": RandomSubset(N, 9)}


def audited(data: DataSet, views: int | None, memory_limit: int = 2**30) -> Audit:
    population = population_of_images(data, RECIPE)
    model = model_of(data)
    return audit(model, population, rules(), draws=0, views=views, memory_limit=memory_limit)


def losses_of(data: DataSet) -> Tensor:
    return population_of_images(data, RECIPE).all_losses(model_of(data).eval())


def gradients(data: DataSet, view: int) -> Tensor:
    """One sample at a time, in an order of their own: a view does not depend on the batch."""
    model, rows = model_of(data).eval(), torch.zeros(N, 0)
    for i in reversed(range(N)):
        [(_, image, label)] = data.batches([torch.tensor([i])], view=view)
        smooth = RECIPE.label_smoothing
        loss = nn.functional.cross_entropy(model(image), label, label_smoothing=smooth)
        grads = torch.autograd.grad(loss, list(model.parameters()))
        row = torch.cat([g.flatten() for g in grads]).double()
        rows = rows if rows.numel() else torch.zeros(N, len(row), dtype=torch.float64)
        rows[i] = row
    return rows


def test_biases_are_means_over_the_views() -> None:
    data = images(Augmentation(padding=2, flip=True))
    found = audited(data, VIEWS)
    views = [gradients(data, view) for view in range(VIEWS)]
    assert not torch.equal(views[0], views[1])
    weights = rules()["stored"].expected_weights()
    fulls = torch.stack([g.mean(0) for g in views])
    biases = torch.stack([weights @ g - g.mean(0) for g in views])
    full, bias = fulls.mean(0), biases.mean(0)
    norm, length = float(full.norm()), float(bias.norm())
    row = found["stored"]
    assert found.views == VIEWS
    assert found.gradient_norm == pytest.approx(norm, rel=1e-5)
    assert row.bias == pytest.approx(length / norm, rel=1e-5)
    error = stdev((biases @ bias / length).tolist()) / math.sqrt(VIEWS) / norm
    assert row.bias_error == pytest.approx(error, rel=1e-4)
    fresh = rules()["stored"].expected_weights(losses_of(data))
    rankings = torch.stack([fresh @ g - g.mean(0) for g in views])
    staleness = torch.stack([(weights - fresh) @ g for g in views])
    for name, vectors in {"ranking": rankings, "staleness": staleness}.items():
        length = float(vectors.mean(0).norm())
        error = stdev((vectors @ vectors.mean(0) / length).tolist()) / math.sqrt(VIEWS) / norm
        assert row.parts[name] == pytest.approx(length / norm, rel=1e-4)
        assert row.part_errors[name] == pytest.approx(error, rel=1e-3)
    assert row.part_errors["normalisation"] < 1e-9
    assert row.parts_residual < 1e-9
    assert row.variance is None
    # An unbiased rule has no bias in any view, so there is nothing between views either.
    assert found["random"].bias < 1e-9
    assert abs(found["random"].bias_error or 0) < 1e-9
    little = audited(data, VIEWS, 8 * found.parameters * 6)
    assert little["stored"].bias == pytest.approx(row.bias, rel=1e-9)
    assert little["stored"].bias_error == pytest.approx(row.bias_error, rel=1e-6)


def test_without_augmentation_views_are_the_plain_images() -> None:
    data = images(Augmentation())
    plain, found = audited(data, None), audited(data, 2)
    assert plain.views is None
    assert plain["stored"].bias_error is None
    assert plain["stored"].part_errors == {}
    # The pass that takes covariances too adds float32 gradients in another order: 1e-6 each.
    assert found["stored"].bias == pytest.approx(plain["stored"].bias, rel=2e-6)
    assert found["stored"].bias_error == pytest.approx(0, abs=1e-9)
    assert audited(data, 1)["stored"].bias_error is None


class Noisy(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """A transform that draws from the global generator."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return index + torch.randn(4), index % 3


def test_a_view_of_any_dataset_gives_each_sample_one_look() -> None:
    population = population_of(Noisy(), device=torch.device("cpu"))
    assert population.view is not None
    before = torch.get_rng_state()
    first, second = population.view(0), population.view(1)
    whole, _ = first.batch(torch.arange(N))
    part, _ = first.batch(torch.tensor([7, 3]))
    assert torch.equal(part, whole[[7, 3]])
    assert not torch.equal(second.batch(torch.tensor([7]))[0][0], whole[7])
    assert torch.equal(torch.get_rng_state(), before)
    found = audit(nn.Linear(4, 3), Noisy(), rules(), draws=0, views=2)
    assert found["random"].bias < 1e-6


def test_a_view_of_images_on_disk_gives_each_one_look(tmp_path: Path) -> None:
    write_image_folders(tmp_path)
    data = load_data("imagenet", root=tmp_path, num_workers=0)
    assert isinstance(data, StreamedDataSet)
    data = replace(data, image_size=16)

    def look(view: int | None, *batches: list[int]) -> Tensor:
        found = data.batches([torch.tensor(b) for b in batches], view=view)
        return torch.cat([images for _, images, _ in found])

    whole = look(1, list(range(data.num_train)))
    assert torch.equal(look(1, [2], [0, 3]), whole[[2, 0, 3]])
    assert not torch.equal(look(2, [2]), whole[[2]])
    assert not torch.equal(look(None, [2]), whole[[2]])


def test_bad_views() -> None:
    data = images(Augmentation())
    with pytest.raises(ValueError, match="at least one redraw"):
        audited(data, 0)
    population = replace(population_of_images(data, RECIPE), view=None)
    with pytest.raises(ValueError, match="a data set that is augmented"):
        audit(model_of(data), population, rules(), views=2)
