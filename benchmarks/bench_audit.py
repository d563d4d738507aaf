"""One walk for 24 designs against one plain pass, and what an audit costs besides passes."""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import ParamSpec, TypeVar
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common import Ratio, duration, report, seconds
from orderdp_theory import Design, inclusion_probabilities
from orderdp_train.auditing import Population, audit, expected_gradients, supervised
from orderdp_train.auditing.layers import audit_mode
from orderdp_train.auditing.population import population_of_images
from orderdp_train.auditing.walk import plan
from orderdp_train.data import load_data
from orderdp_train.models import build_model
from orderdp_train.rules import OrderDP
from orderdp_train.runs.driver import limit_threads
from orderdp_train.training.recipe import Recipe

P = ParamSpec("P")
T = TypeVar("T")
BATCH = 64
IMAGENET = 1_281_167
# The walk is timed on every 48th of CIFAR's batches, beginning with one that gives them as many
# contractions as all batches have in the mean.
CIFAR, EVERY, FIRST = 50_000, 48, 30


def grid(n: int) -> Tensor:
    """Weights `(24, n)` by rank of the designs explore = 0.3 … 1.0, exploit = 0.2 … 0.9."""
    rows = []
    for explore in np.linspace(0.3, 1.0, 6):
        for exploit in np.linspace(0.2, 0.9, 4):
            design = Design.from_ratios(n, explore, exploit)
            rows.append(inclusion_probabilities(design) / design.q)
    return torch.from_numpy(np.array(rows))


def plain_pass(model: nn.Module, population: Population, order: Tensor) -> list[Tensor]:
    """The gradient of the summed loss as anybody would compute it."""
    parameters = list(model.parameters())
    total = [torch.zeros_like(p) for p in parameters]
    with audit_mode(model):
        for indices in order.split(BATCH):
            grads = torch.autograd.grad(population.losses(model, indices).sum(), parameters)
            for part, grad in zip(total, grads, strict=True):
                part += grad
    return total


def contractions(weights: Tensor) -> float:
    """Extra weight-gradient contractions of a walk, the mean over its batches."""
    extra = sum(block.basis.shape[0] for block in plan(weights, BATCH))
    return extra / -(-weights.shape[1] // BATCH)


def walk_against_pass(
    what: str, model: nn.Module, population: Population, order: Tensor, weights: Tensor, rounds: int
) -> Ratio:
    walk, plain = seconds(
        partial(expected_gradients, model, population, weights, order=order, batch_size=BATCH),
        partial(plain_pass, model, population, order),
        rounds=rounds,
    )
    return Ratio(
        f"time for 24 designs, {what}, batches of {BATCH}",
        f"one walk {duration(walk)} ({contractions(weights):.2f} contractions more a batch)",
        f"one plain pass {duration(plain)}",
        walk / plain,
        at_most=1.6,
    )


def audit_against_pass(
    what: str, model: nn.Module, population: Population, order: Tensor, rounds: int
) -> Iterator[Ratio]:
    """The default audit of one design, and 8 and 24 without the Monte Carlo gradient.

    Their stored scores are losses with noise, so that the fresh ranking is another.
    """
    n = population.n
    scores = -torch.arange(n).float()
    scores += 0.1 * n * torch.randn(n, generator=torch.Generator().manual_seed(0))
    rules = {}
    for explore in np.linspace(0.3, 1.0, 6):
        for exploit in np.linspace(0.2, 0.9, 4):
            rules[f"{explore} {exploit}"] = rule = OrderDP(Design.from_ratios(n, explore, exploit))
            rule.update(order, scores)
    default = OrderDP(Design.from_ratios(n))
    default.update(order, scores)
    some = {name: rules[name] for name in list(rules)[::3]}
    run = partial(audit, model, population, batch_size=BATCH)
    *audits, plain = seconds(
        partial(run, [default]),
        partial(run, some, monte_carlo=False),
        partial(run, rules, monte_carlo=False),
        partial(plain_pass, model, population, order),
        rounds=rounds,
    )
    for name, took in zip(("the default audit", "8 designs", "24 designs"), audits, strict=True):
        yield Ratio(
            f"{name}, covariances and test included, {what}, batches of {BATCH}",
            duration(took),
            f"one plain pass {duration(plain)}",
            took / plain,
            at_most=2.5,
        )


def ratios() -> Iterator[Ratio]:
    yield overhead()
    data = load_data("mnist5k")
    torch.manual_seed(0)
    cnn = build_model("cnn", in_channels=1, num_classes=10, image_size=28)
    population = population_of_images(data, Recipe())
    threads = torch.get_num_threads()
    limit_threads("cnn")  # as the commands do
    with audit_mode(cnn):
        order = population.all_losses(cnn).argsort(descending=True)
    yield walk_against_pass(
        f"`cnn` on mnist5k, n = {data.num_train:,}",
        cnn,
        population,
        order,
        grid(data.num_train),
        rounds=5,
    )
    what = f"`cnn` on mnist5k, n = {data.num_train:,}"
    yield from audit_against_pass(what, cnn, population, order, rounds=3)
    torch.set_num_threads(threads)

    resnet = build_model("resnet18", in_channels=3, num_classes=10, image_size=32)
    starts = range(FIRST * BATCH, CIFAR - BATCH, EVERY * BATCH)
    columns = torch.cat([torch.arange(start, start + BATCH) for start in starts])
    images = torch.randn(len(columns), 3, 32, 32)
    labels = torch.randint(10, (len(columns),))
    weights = grid(CIFAR)
    yield walk_against_pass(
        f"`resnet18`, every {EVERY}th batch of {CIFAR:,} 3×32×32 images "
        f"(all: {contractions(weights):.2f} contractions)",
        resnet,
        Population(len(columns), lambda i: (images[i], labels[i])),
        torch.arange(len(columns)),
        weights[:, columns],
        rounds=2,
    )


class Passes(nn.Module):
    """A model that costs nothing, its data and its loss, and the time that passes through it take.

    One parameter; the loss of a sample is the parameter times its score.
    """

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1))
        self.seconds = 0.0
        self.population = Population(
            len(scores),
            self.timed(lambda i: (scores[i], scores[i])),
            supervised(self.timed(lambda out, _: out)),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.factor

    def __call__(self, inputs: Tensor) -> Tensor:
        return self.timed(super().__call__)(inputs)

    def timed(self, function: Callable[P, T]) -> Callable[P, T]:
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        return wrapped


def overhead() -> Ratio:
    """The time of an audit at ImageNet's size, less what goes into data, model and autograd."""
    losses = torch.rand(IMAGENET, generator=torch.Generator().manual_seed(0))
    rule = OrderDP(Design.from_ratios(IMAGENET), scorer=lambda i: losses[i])
    model = Passes(losses)
    besides, sort = math.inf, math.inf
    with mock.patch("torch.autograd.grad", model.timed(torch.autograd.grad)):
        for _ in range(7):
            model.seconds = 0.0
            (whole,) = seconds(
                partial(
                    audit, model, model.population, [rule], draws=0, moments=False, batch_size=1024
                ),
                rounds=1,
            )
            besides = min(besides, whole - model.seconds)
            sort = min(sort, *seconds(partial(torch.argsort, losses), rounds=1))
    return Ratio(
        f"audit of a design besides forward and backward passes, n = {IMAGENET:,}",
        duration(besides),
        f"`torch.argsort` of the scores {duration(sort)}",
        besides / sort,
        at_most=3,
    )


def main() -> None:
    report(ratios())


if __name__ == "__main__":
    main()
