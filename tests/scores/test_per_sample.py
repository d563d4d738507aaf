"""Per-sample gradients and perturbations: each sample's own, in any batch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orderdp_train.scores import deepfool, per_sample_gradient_norms
from tests.scores.oracles import generator


def network() -> nn.Module:
    """Everything that could make samples see each other, and an in-place activation."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(36, 3),
    ).double()
    model(torch.randn(50, 2, 5, 5, dtype=torch.float64))  # running statistics that are not 0 and 1
    return model


def samples(b: int = 23) -> tuple[Tensor, Tensor]:
    draws = generator(1)
    inputs = torch.randn(b, 2, 5, 5, generator=draws, dtype=torch.float64)
    return inputs, torch.randint(3, (b,), generator=draws)


def loop_norms(model: nn.Module, inputs: Tensor, targets: Tensor) -> list[float]:
    model.eval()
    norms = []
    for x, y in zip(inputs, targets, strict=True):
        model.zero_grad()
        F.cross_entropy(model(x[None]), y[None]).backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        norms.append(float(torch.cat([g.flatten() for g in grads]).norm()))
    return norms


def test_gradient_norms_are_those_of_a_loop_over_samples():
    model = network()
    inputs, targets = samples()
    norms = per_sample_gradient_norms(model, inputs, targets)
    np.testing.assert_allclose(norms, loop_norms(model, inputs, targets), rtol=1e-12)


def test_frozen_parameters_do_not_count():
    model = network()
    for p in model[0].parameters():
        p.requires_grad_(False)
    inputs, targets = samples(5)
    norms = per_sample_gradient_norms(model, inputs, targets)
    np.testing.assert_allclose(norms, loop_norms(model, inputs, targets), rtol=1e-12)


@pytest.mark.parametrize("chunk_size", [1, 7, 100])
@pytest.mark.parametrize("measure", ["gradient", "deepfool"])
def test_batches_and_order_do_not_matter(measure, chunk_size):
    model = network()
    inputs, targets = samples()

    def run(rows):
        if measure == "deepfool":
            return deepfool(model, inputs[rows], chunk_size=chunk_size)
        return per_sample_gradient_norms(model, inputs[rows], targets[rows], chunk_size=chunk_size)

    together = run(torch.arange(23))
    parts = torch.cat([run(rows) for rows in torch.arange(23).split(10)])
    order = torch.randperm(23, generator=generator())
    np.testing.assert_allclose(parts, together, rtol=1e-10)
    np.testing.assert_allclose(run(order), together[order], rtol=1e-10)


@pytest.mark.parametrize(
    "call", [lambda m, x, y: per_sample_gradient_norms(m, x, y), lambda m, x, y: deepfool(m, x)]
)
def test_the_model_is_left_as_it_was(call):
    model = network()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    call(model, *samples(5))
    assert [m.training for m in model] == [True, False, True, True, True, True]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_deepfool_of_a_linear_model_is_the_distance_to_the_nearest_hyperplane():
    model = nn.Linear(6, 4).double()
    x = torch.randn(20, 6, generator=generator(), dtype=torch.float64)
    logits, weights = model(x).detach(), model.weight.detach()
    distances = []
    for z in logits:
        a = int(z.argmax())
        others = [c for c in range(4) if c != a]
        distances.append(min((z[a] - z[c]) / (weights[a] - weights[c]).norm() for c in others))
    np.testing.assert_allclose(deepfool(model, x), -np.array(distances), rtol=1e-12)


def naive_deepfool(model: nn.Module, x: Tensor, overshoot: float) -> float:
    """Algorithm 2 of Moosavi-Dezfooli et al., sample by sample."""
    model.eval()
    total = torch.zeros_like(x)
    own = int(model(x[None]).argmax())
    for _ in range(50):
        point = (x + (1 + overshoot) * total).requires_grad_()
        z = model(point[None])[0]
        if int(z.argmax()) != own:
            break
        steps = []
        for c in range(len(z)):
            if c != own:
                (w,) = torch.autograd.grad(z[c] - z[own], point, retain_graph=True)
                gap = float((z[c] - z[own]).detach().abs())
                steps.append((gap / float(w.norm()), gap * w / w.norm() ** 2))
        total = total + min(steps, key=lambda step: step[0])[1]
    return -float(total.norm())


def test_deepfool_of_a_network_is_the_published_iteration():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 4)).double()
    x = torch.randn(30, 5, generator=generator(), dtype=torch.float64)
    expected = [naive_deepfool(model, row, 0.02) for row in x]
    np.testing.assert_allclose(deepfool(model, x), expected, rtol=1e-9)
    one_step = deepfool(model, x, max_steps=1)
    assert (one_step - torch.tensor(expected)).abs().max() > 0.01  # so more steps were taken


def test_a_sample_without_a_boundary_is_kept_last_of_all_finite():
    """A constant classifier has nowhere to go: no step, no NaN."""
    model = nn.Linear(3, 2)
    nn.init.zeros_(model.weight)
    with torch.no_grad():
        model.bias.copy_(torch.tensor([1.0, 0.0]))
    assert deepfool(model, torch.randn(4, 3)).tolist() == [0.0] * 4
