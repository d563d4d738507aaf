"""One small trained-looking problem in float64, and everything about it computed the plain way."""

from functools import cache

import torch
from torch import Tensor, nn

from orderdp_train.auditing.population import Population

N, INPUTS, CLASSES = 41, 5, 3


class Problem:
    """A model, a population, and the per-sample gradients `(n, P)` and losses by one loop."""

    def __init__(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> None:
        self.model, self.inputs, self.labels = model.double().eval(), inputs.double(), labels
        self.population = Population(
            len(inputs), lambda i: (self.inputs[i], self.labels[i]), labels=labels
        )
        rows, losses = [], []
        for x, y in zip(self.inputs, labels, strict=True):
            loss = nn.functional.cross_entropy(self.model(x[None]), y[None])
            grads = torch.autograd.grad(loss, list(self.model.parameters()), materialize_grads=True)
            rows.append(torch.cat([g.flatten() for g in grads]))
            losses.append(loss.detach())
        self.gradients, self.losses = torch.stack(rows), torch.stack(losses)


def build(model: nn.Module, *shape: int, n: int = N) -> Problem:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(n, *shape, generator=generator)
    return Problem(model, inputs, torch.randint(CLASSES, (n,), generator=generator))


@cache
def small() -> Problem:
    """Two linear layers with an in-place activation between them."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(INPUTS, 7), nn.ReLU(inplace=True), nn.Linear(7, CLASSES))
    return build(model, INPUTS)
