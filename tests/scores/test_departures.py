"""Known errors of implementations that are often copied, each shown not to be made here.

Every test also runs the wrong variant, so that it is seen to fail the same check.
"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from orderdp_train.scores import (
    LastLayer,
    ModelProxy,
    contextual_diversity,
    craig,
    entropy,
    forgetting,
    glister,
    herding,
    k_center,
    keep_top,
    least_confidence,
    margin,
    per_sample_gradient_norms,
)
from tests.scores.allocations import peak_bytes
from tests.scores.oracles import generator, pairwise, random_layer, weights_of


def test_herding_takes_the_nearest_to_the_running_target_not_the_farthest():
    x = np.random.default_rng(0).standard_normal((1000, 10))
    draws = np.random.default_rng(1)

    def farthest(k):
        taken, total = [], np.zeros(10)
        for t in range(k):
            distance = np.linalg.norm((t + 1) * x.mean(0) - total - x, axis=1)
            distance[taken] = -1
            taken.append(int(distance.argmax()))
            total += x[taken[-1]]
        return taken

    def error(kept):
        return np.linalg.norm(x[kept].mean(0) - x.mean(0))

    random = np.mean([error(draws.choice(1000, 50, replace=False)) for _ in range(50)])
    assert error(herding(x, 50).numpy()) < random / 10
    assert error(farthest(50)) > random


def test_glister_updates_its_validation_gradient():
    train, validation = random_layer(100, 3, 4, seed=1), random_layer(50, 3, 4, seed=2)
    start = weights_of(train)
    gradients = train.gradients().view(100, 3, 5)

    def left(kept):
        weights = start - 0.1 * gradients[kept].sum(0)
        return float(F.cross_entropy(validation.inputs @ weights.T, validation.targets))

    slope = (validation.gradients().mean(0) * train.gradients()).sum(1)
    one_shot = slope.topk(20).indices
    greedy = glister(train, validation, 20, 0.1)
    assert greedy[0] == one_shot[0]
    assert set(greedy.tolist()) != set(one_shot.tolist())
    assert left(greedy) < left(one_shot)


def classifier() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def labelled(n: int = 22) -> tuple[torch.Tensor, torch.Tensor]:
    draws = generator(1)
    x = torch.randn(n, 4, generator=draws, dtype=torch.float64)
    return x, torch.randint(3, (n,), generator=draws)


def mean_reduced_logit_gradients(model, x, y, batch_size) -> torch.Tensor:
    """The gradient of each batch's *mean* loss in its logits: what is to be avoided."""
    parts = []
    for rows in torch.arange(len(x)).split(batch_size):
        logits = model(x[rows]).detach().requires_grad_()
        F.cross_entropy(logits, y[rows]).backward()
        parts.append(logits.grad)
    return torch.cat(parts)


def test_gradients_are_per_sample_and_a_smaller_last_batch_does_not_count_more():
    """The last of the batches of 10, 10, 2 would get five times the gradients of the others."""
    model = classifier()
    x, y = labelled()

    def proxy(size):
        return ModelProxy(model, model[2], lambda: zip(x.split(size), y.split(size), strict=True))

    layers = {size: proxy(size).last_layer() for size in (10, 22)}
    norms = {size: proxy(size).gradient_norms() for size in (10, 22)}
    # GraNd
    np.testing.assert_allclose(norms[10], norms[22], rtol=1e-12)
    np.testing.assert_allclose(norms[22], per_sample_gradient_norms(model, x, y), rtol=1e-12)
    # CRAIG and GLISTER, by the gradients that they are given
    np.testing.assert_allclose(
        layers[10].logit_gradients(), layers[22].logit_gradients(), atol=1e-14
    )
    validation = random_layer(10, 3, 8, seed=3)
    for method in (
        lambda layer: craig(layer.logit_gradients(), 8)[0],
        lambda layer: glister(layer, validation, 8, 0.1),
    ):
        assert torch.equal(method(layers[10]), method(layers[22]))
    # The wrong gradients do depend on the batches, and so do subsets that are made of them.
    wrong = {size: mean_reduced_logit_gradients(model, x, y, size) for size in (10, 22)}
    np.testing.assert_allclose(wrong[10][20:] / 11, wrong[22][20:], atol=1e-14)
    np.testing.assert_allclose(wrong[10][:20] / 2.2, wrong[22][:20], atol=1e-14)
    assert not torch.equal(craig(wrong[10], 8)[0], craig(wrong[22], 8)[0])


def test_craig_counts_from_zero():
    x = np.random.default_rng(0).standard_normal((80, 3))
    kept, weights = craig(x, 15)
    nearest = pairwise(x)[:, kept.numpy()].argmin(1)
    from_one = 1 + np.bincount(nearest, minlength=15)
    assert weights.sum() == 80
    assert from_one.sum() == 95
    assert weights.tolist() == (from_one - 1).tolist()


def test_a_sample_that_is_never_learned_is_kept_first():
    correct = np.array([[0, 1, 1], [0, 0, 1], [0, 1, 1]], dtype=bool)
    never, once, always = forgetting(correct).tolist()
    assert never > once > always
    counted = (correct[:-1] & ~correct[1:]).sum(0)
    assert counted[0] < counted[1]  # events alone would drop it first


@pytest.mark.parametrize("score", [least_confidence, entropy, margin])
def test_the_uncertain_are_kept_with_and_without_class_balance(score):
    p = torch.rand(60, 3, generator=generator(), dtype=torch.float64).softmax(1)
    classes = torch.arange(60) % 3
    scores = score(p)
    for labels in (None, classes):
        kept = keep_top(scores, 15, generator(), classes=labels)
        assert scores[kept].mean() > scores.mean()
    assert set(keep_top(scores, 15, generator()).tolist()) == set(scores.topk(15).indices.tolist())
    assert scores[scores.argsort()[:15]].mean() < scores.mean()  # sorted the other way


def test_least_confidence_refuses_logits():
    """On logits the order is another one: a sample may have large logits and be unsure."""
    logits = torch.tensor([[9.0, 9.0], [0.0, 3.0]])
    with pytest.raises(ValueError, match="softmax"):
        least_confidence(logits)
    unsure, sure = least_confidence(logits.softmax(1)).tolist()
    assert unsure > sure
    wrong = 1 - logits.amax(1)
    assert wrong[0] < wrong[1]


def test_zero_probabilities_do_not_make_nan():
    p = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]])
    kept = contextual_diversity(p, 3, generator()).tolist()
    assert len({tuple(p[i].tolist()) for i in kept}) == 3  # not the duplicates
    naive = (p * (p / p[1]).log()).sum(1) + (p[1] * (p[1] / p).log()).sum(1)
    assert naive.isnan().any()


def test_k_center_keeps_no_matrix_of_distances():
    x = torch.randn(2000, 4, generator=generator(), dtype=torch.float64)

    def with_matrix(k):
        distances = torch.full((k, 2000), math.inf, dtype=torch.float64)
        for t in range(k):
            latest = int(distances.amin(0).argmax())
            distances[t] = (x - x[latest]).norm(dim=1)

    matrix = 400 * 2000 * 8
    assert peak_bytes(lambda: k_center(x, 400, generator())) < matrix / 10
    assert peak_bytes(lambda: with_matrix(400)) >= matrix


def test_a_layer_keeps_gradients_of_one_sample_whatever_the_others():
    """Half of a layer is the layer of half of the samples."""
    layer = random_layer(10, 3, 4, seed=0)
    half = LastLayer(layer.logits[:5], layer.features[:5], layer.targets[:5])
    assert torch.equal(half.gradients(), layer.gradients()[:5])
