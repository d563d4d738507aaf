"""What rests on the last layer's gradients, against autograd, dense algebra and retraining."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from orderdp_train.scores import (
    LastLayer,
    class_budgets,
    glister,
    influence,
    parameter_influences,
)
from tests.scores.oracles import generator, random_layer, weights_of


def loss(weights: Tensor, layer: LastLayer, rows: Tensor | slice = slice(None)) -> Tensor:
    """Mean cross entropy of some of the samples at weights `(c, h + 1)`, bias last."""
    return F.cross_entropy(layer.inputs[rows] @ weights.T, layer.targets[rows])


def sample_gradients(weights: Tensor, layer: LastLayer) -> Tensor:
    """Autograd, one sample at a time, `(n, c, h + 1)`."""
    return torch.stack(
        [torch.func.grad(loss)(weights, layer, torch.tensor([i])) for i in range(len(layer))]
    )


def fitted(layer: LastLayer, damping: float, rows: Tensor, start: Tensor) -> Tensor:
    """The minimiser of the rows' sum of losses / n + damping |.|^2 / 2, by Newton's method."""
    n, shape = len(layer), start.shape

    def objective(flat: Tensor) -> Tensor:
        total = loss(flat.view(shape), layer, rows) * len(rows) / n
        return total + damping * flat.square().sum() / 2

    flat = start.flatten()
    for _ in range(5):
        step = torch.linalg.solve(
            torch.func.hessian(objective)(flat), torch.func.grad(objective)(flat)
        )
        flat = flat - step
    assert step.norm() < 1e-10
    return flat.view(shape)


def at(weights: Tensor, layer: LastLayer) -> LastLayer:
    """The same samples under other weights."""
    return LastLayer(layer.inputs @ weights.T, layer.features, layer.targets)


def test_gradients_are_those_of_each_samples_own_loss():
    layer = random_layer(12, 4, 5, seed=1)
    expected = sample_gradients(weights_of(layer), layer)
    np.testing.assert_allclose(layer.gradients(), expected.flatten(1), atol=1e-13)
    np.testing.assert_allclose(layer.gradient_norms(), expected.flatten(1).norm(dim=1), rtol=1e-12)
    np.testing.assert_allclose(layer.logit_gradients(), expected[:, :, -1], atol=1e-13)


def test_a_layer_reads_off_probabilities_and_what_is_right():
    layer = LastLayer(np.log([[0.25, 0.75], [0.5, 0.5]]), np.zeros((2, 3)), np.array([1, 1]))
    np.testing.assert_allclose(layer.probabilities, [[0.25, 0.75], [0.5, 0.5]], rtol=1e-15)
    assert layer.correct.tolist() == [True, False]
    assert len(layer) == 2


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((3, 2), (4, 1), 3), "3 samples have logits and 4"),
        (((3, 2), (3, 1), 2), "one a sample"),
        (((3,), (3, 1), 3), "logits must have shape"),
    ],
)
def test_layers_that_do_not_fit_are_refused(shapes, message):
    logits, features, n = shapes
    with pytest.raises(ValueError, match=message):
        LastLayer(np.zeros(logits), np.zeros(features), np.zeros(n, dtype=int))


def dense_hessian(layer: LastLayer, damping: float) -> Tensor:
    weights = weights_of(layer)

    def flat_loss(flat: Tensor) -> Tensor:
        return loss(flat.view_as(weights), layer) + damping * flat.square().sum() / 2

    return torch.func.hessian(flat_loss)(weights.flatten())


def test_influence_is_the_bilinear_form_in_the_inverse_hessian():
    train, validation = random_layer(30, 3, 4, seed=1), random_layer(11, 3, 4, seed=2)
    target = torch.func.grad(loss)(weights_of(validation), validation).flatten()
    solved = torch.linalg.solve(dense_hessian(train, 0.01), target)
    # Condition 1e3 at most, residual 1e-10.
    np.testing.assert_allclose(
        influence(train, validation, 0.01), train.gradients() @ solved, rtol=1e-6, atol=1e-8
    )


def test_parameter_influences_are_solutions_of_the_dense_system():
    train = random_layer(20, 3, 4, seed=1)
    expected = torch.linalg.solve(dense_hessian(train, 0.05), train.gradients().T).T / 20
    np.testing.assert_allclose(parameter_influences(train, 0.05), expected, rtol=1e-9, atol=1e-12)


def test_influences_foretell_leaving_one_out():
    """Leave-one-out training, exactly: the error of first order falls with the sample's share."""
    layer, validation = random_layer(60, 3, 2, seed=3), random_layer(50, 3, 2, seed=4)
    everything = torch.arange(60)
    weights = fitted(layer, 0.1, everything, torch.zeros(3, 3, dtype=torch.float64))
    train, test = at(weights, layer), at(weights, validation)
    rises, moves = [], []
    for i in range(60):
        without = fitted(layer, 0.1, everything[everything != i], weights)
        rises.append(60 * float(loss(without, validation) - loss(weights, validation)))
        moves.append((without - weights).flatten())
    scores = influence(train, test, 0.1)
    assert np.corrcoef(scores, rises)[0, 1] > 0.99
    large = np.abs(rises) > 0.1 * np.abs(rises).max()
    assert (np.sign(scores.numpy()) == np.sign(rises))[large].all()
    expected = torch.stack(moves)
    error = (parameter_influences(train, 0.1) - expected).norm() / expected.norm()
    assert error < 0.1


def naive_glister(train, validation, k, eta, labels=None) -> list[int]:
    """The greedy bilevel step by autograd, on gradients of each sample's own loss."""
    start = weights_of(train)
    gradients = sample_gradients(start, train)
    left = (
        dict(zip(*(v.tolist() for v in class_budgets(torch.tensor(labels), k)), strict=True))
        if labels
        else {}
    )
    chosen: list[int] = []
    for _ in range(k):
        weights = start - eta * gradients[chosen].sum(0)
        slope = torch.func.grad(loss)(weights, validation)
        gains = {
            i: float((slope * gradients[i]).sum())
            for i in range(len(train))
            if i not in chosen and (not labels or left[labels[i]])
        }
        chosen.append(max(gains, key=gains.__getitem__))
        if labels:
            left[labels[chosen[-1]]] -= 1
    return chosen


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_glister_is_the_greedy_bilevel_step(seed, balanced):
    train, validation = random_layer(60, 3, 4, seed), random_layer(20, 3, 4, seed + 100)
    labels = train.targets.tolist() if balanced else None
    kept = glister(train, validation, 15, 0.05, classes=train.targets if balanced else None)
    assert kept.tolist() == naive_glister(train, validation, 15, 0.05, labels)


def test_glister_with_a_small_step_begins_with_the_best_sample():
    """By trying every single one: what one step with it leaves of the validation loss."""
    train, validation = random_layer(10, 3, 2, seed=5), random_layer(20, 3, 2, seed=6)
    weights, gradients = weights_of(train), sample_gradients(weights_of(train), train)
    left = [float(loss(weights - 1e-4 * g, validation)) for g in gradients]
    assert glister(train, validation, 1, 1e-4).tolist() == [int(np.argmin(left))]


def test_glister_lowers_the_validation_loss_more_than_nearly_all_subsets():
    """All C(10, 3) subsets: the greedy one is among the best five of 120."""
    train, validation = random_layer(10, 3, 2, seed=5), random_layer(20, 3, 2, seed=6)
    weights, gradients = weights_of(train), sample_gradients(weights_of(train), train)

    def left(subset):
        return float(loss(weights - 0.05 * gradients[list(subset)].sum(0), validation))

    ordered = sorted(left(subset) for subset in itertools.combinations(range(10), 3))
    assert left(glister(train, validation, 3, 0.05).tolist()) <= ordered[4]


def test_the_order_of_samples_does_not_matter():
    train, validation = random_layer(50, 3, 4, seed=1), random_layer(20, 3, 4, seed=2)
    order = torch.randperm(50, generator=generator())
    shuffled = LastLayer(train.logits[order], train.features[order], train.targets[order])
    kept = order[glister(shuffled, validation, 10, 0.1)]
    assert torch.equal(kept, glister(train, validation, 10, 0.1))
    np.testing.assert_allclose(
        influence(shuffled, validation, 0.1), influence(train, validation, 0.1)[order], rtol=1e-8
    )


def test_errors_say_what_is_wrong():
    train, other = random_layer(5, 3, 2, seed=1), random_layer(5, 2, 2, seed=1)
    with pytest.raises(ValueError, match="damping must be positive"):
        influence(train, train, 0.0)
    with pytest.raises(ValueError, match="numbers of classes"):
        influence(train, other, 0.1)
    with pytest.raises(ValueError, match="numbers of classes"):
        glister(train, other, 1, 0.1)
    with pytest.raises(ValueError, match="step size"):
        glister(train, train, 1, 0.0)
    with pytest.raises(ValueError, match="cannot keep 6 of 5"):
        glister(train, train, 6, 0.1)
