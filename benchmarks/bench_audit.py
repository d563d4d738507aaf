"""Audits and walks against one plain pass, and what an audit costs besides passes."""

import math
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common import Ratio, duration, report, seconds
from orderdp_theory import Design, inclusion_probabilities
from orderdp_train.auditing import Audit, Population, audit, expected_gradients, supervised
from orderdp_train.auditing.layers import audit_mode
from orderdp_train.auditing.population import population_of_images
from orderdp_train.auditing.walk import plan
from orderdp_train.data import TextDataSet, load_data
from orderdp_train.models import GPT, build_model
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


@dataclass(frozen=True)
class Case:
    """A model and its data, with threads as the commands have them."""

    what: str
    model: nn.Module
    population: Population
    at_most: float  # of plain passes that an audit takes
    rounds: int


def cnn() -> Case:
    data = load_data("mnist5k")
    limit_threads("cnn")
    model = build_model("cnn", in_channels=1, num_classes=10, image_size=28)
    what = f"`cnn` on mnist5k, n = {data.num_train:,}"
    return Case(what, model, population_of_images(data, Recipe()), 2.5, 15)


def resnet(n: int = 2_048) -> Case:
    images, labels = torch.randn(n, 3, 32, 32), torch.randint(10, (n,))
    model = build_model("resnet18", in_channels=3, num_classes=10, image_size=32)
    population = Population(n, lambda i: (images[i], labels[i]), labels=labels)
    return Case(f"`resnet18`, {n:,} images of 3×32×32", model, population, 2.5, 1)


def transformer(n: int = 2_000) -> Case:
    data = load_data("prose")
    assert isinstance(data, TextDataSet)
    data = replace(data, train_bytes=data.train_bytes[:n])
    model = GPT(data.num_classes, data.length, width=128, depth=4, heads=4)
    what = f"transformer, 4 layers, width 128, {n:,} sequences of {data.length} tokens"
    return Case(what, model, population_of_images(data, Recipe()), 3, 1)


def plain_pass(case: Case) -> list[Tensor]:
    """The gradient of the summed loss as anybody would compute it."""
    parameters = list(case.model.parameters())
    total = [torch.zeros_like(p) for p in parameters]
    with audit_mode(case.model):
        for indices in torch.arange(case.population.n).split(BATCH):
            losses = case.population.losses(case.model, indices)
            grads = torch.autograd.grad(losses.sum(), parameters)
            for part, grad in zip(total, grads, strict=True):
                part += grad
    return total


def contractions(weights: Tensor) -> float:
    """Extra weight-gradient contractions of a walk, the mean over its batches."""
    extra = sum(block.basis.shape[0] for block in plan(weights, BATCH))
    return extra / -(-weights.shape[1] // BATCH)


def walk_against_pass(case: Case, order: Tensor, weights: Tensor) -> Ratio:
    run = partial(expected_gradients, case.model, case.population, weights)
    walk, plain = seconds(
        partial(run, order=order, batch_size=BATCH),
        lambda: plain_pass(case),
        rounds=case.rounds,
    )
    return Ratio(
        f"time for 24 designs, {case.what}, batches of {BATCH}",
        f"one walk {duration(walk)} ({contractions(weights):.2f} contractions more a batch)",
        f"one plain pass {duration(plain)}",
        walk / plain,
        at_most=1.6,
    )


def audit_against_pass(case: Case) -> Iterator[Ratio]:
    """The default audit of one design, and 8 and 24 without the Monte Carlo gradient."""
    run = audits(case)
    *took, plain = seconds(*run.values(), lambda: plain_pass(case), rounds=case.rounds)
    for name, time_taken in zip(run, took, strict=True):
        yield Ratio(
            f"{name}, covariances and test included, {case.what}, batches of {BATCH}",
            duration(time_taken),
            f"one plain pass {duration(plain)}",
            time_taken / plain,
            at_most=case.at_most,
        )


def audits(case: Case) -> dict[str, Callable[[], Audit]]:
    """Of rules whose stored scores are losses with noise, so that the fresh ranking is another."""
    n = case.population.n
    with audit_mode(case.model):
        losses = case.population.all_losses(case.model)
    noise = torch.randn(n, generator=torch.Generator().manual_seed(0))
    scores = losses.argsort().argsort() + 0.1 * n * noise
    designs = {"default": Design.from_ratios(n)}
    for explore in np.linspace(0.3, 1.0, 6):
        for exploit in np.linspace(0.2, 0.9, 4):
            designs[f"{explore} {exploit}"] = Design.from_ratios(n, explore, exploit)
    rules = {name: OrderDP(design) for name, design in designs.items()}
    for rule in rules.values():
        rule.update(torch.arange(n), scores)
    default = {"default": rules.pop("default")}
    some = {name: rules[name] for name in list(rules)[::3]}
    run = partial(audit, case.model, case.population, batch_size=BATCH)
    return {
        "the default audit": partial(run, default),
        "8 designs": partial(run, some, monte_carlo=False),
        "24 designs": partial(run, rules, monte_carlo=False),
    }


def memory(what: str, case: str, n: int) -> Ratio:
    """Peaks beside the model, the data and the sums, each in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        plain, whole = (pool.submit(peak, case, n, audited).result() for audited in (False, True))
    return Ratio(
        f"memory, {what}, batches of {BATCH}",
        f"the default audit {whole / 2**20:.0f} MiB",
        f"one plain pass {plain / 2**20:.0f} MiB",
        whole / plain,
        at_most=1.5,
    )


def peak(name: str, n: int, audited: bool) -> int:
    """Bytes at most, beside what was there before and the sums of gradients."""
    case = {"resnet": resnet, "transformer": transformer}[name](n)
    run = audits(case)["the default audit"]
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    size = sum(p.numel() for p in case.model.parameters())
    if audited:
        run()
        sums = 8 * 6 * size  # full, stored, fresh, drawn, coefficients; and the running one
    else:
        plain_pass(case)
        sums = 4 * size
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before - sums


def ratios() -> Iterator[Ratio]:
    yield overhead()
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    small = cnn()
    n = small.population.n
    with audit_mode(small.model):
        order = small.population.all_losses(small.model).argsort(descending=True)
    yield walk_against_pass(small, order, grid(n))
    yield from audit_against_pass(small)
    torch.set_num_threads(threads)
    yield from audit_against_pass(transformer())
    yield from audit_against_pass(resnet())
    yield memory("transformer", "transformer", 2_000)
    yield memory("`resnet18`", "resnet", 512)

    starts = range(FIRST * BATCH, CIFAR - BATCH, EVERY * BATCH)
    columns = torch.cat([torch.arange(start, start + BATCH) for start in starts])
    weights = grid(CIFAR)
    what = (
        f"`resnet18`, every {EVERY}th batch of {CIFAR:,} 3×32×32 images "
        f"(all: {contractions(weights):.2f} contractions)"
    )
    some = replace(resnet(len(columns)), what=what, rounds=2)
    yield walk_against_pass(some, torch.arange(len(columns)), weights[:, columns])


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
