"""Memory is O(n d + n): it neither grows with the budget nor with the square of n."""

import tracemalloc

import numpy as np
import pytest
import torch

from orderdp_train.scores import (
    contextual_diversity,
    craig,
    dataset_pruning,
    glister,
    herding,
    influence,
    k_center,
    k_means_prototypes,
)
from tests.scores.allocations import peak_bytes
from tests.scores.oracles import generator, random_layer

D = 8
BYTES = 8  # of a float64


def features(n: int) -> torch.Tensor:
    return torch.randn(n, D, generator=generator(), dtype=torch.float64)


VALIDATION = random_layer(50, 4, D, seed=1)
METHODS = {
    "herding": lambda n, k: lambda x=features(n): herding(x, k),
    "k_center": lambda n, k: lambda x=features(n): k_center(x, k, generator()),
    "contextual_diversity": lambda n, k: (
        lambda p=features(n).softmax(1): contextual_diversity(p, k, generator())
    ),
    "craig": lambda n, k: lambda x=features(n): craig(x, k),
    "glister": lambda n, k: lambda t=random_layer(n, 4, D, 0): glister(t, VALIDATION, k, 0.1),
    "influence": lambda n, k: lambda t=random_layer(n, 4, D, 0): influence(t, VALIDATION, 0.1),
    "k_means_prototypes": lambda n, k: lambda x=features(n): k_means_prototypes(x, 4, generator()),
}


@pytest.mark.parametrize("name", METHODS)
def test_memory_is_that_of_a_few_copies_of_the_features(name):
    """The same for any budget but for the indices, and at most a block of rows more than n d."""
    n = 1500
    few, many = (peak_bytes(METHODS[name](n, k)) for k in (10, 300))
    assert many <= few + 300 * 4 * BYTES + n
    assert few <= BYTES * n * (6 * D + 3 * 16)
    twice = peak_bytes(METHODS[name](2 * n, 10))
    assert twice <= 2.1 * few


def test_the_count_sees_a_budget_by_n_matrix():
    """What the memory test is for: distances to all samples taken, kept."""

    def wasteful(x, k):
        taken, distances = [0], torch.cdist(x[:1], x)
        while len(taken) < k:
            taken.append(int(distances.amin(0).argmax()))
            distances = torch.cat([distances, torch.cdist(x[taken[-1:]], x)])

    x = features(1500)
    few, many = (peak_bytes(lambda k=k: wasteful(x, k)) for k in (10, 300))
    assert many > few + 300 * 4 * BYTES + 1500
    assert many > BYTES * 1500 * (6 * D + 3 * 16)
    assert peak_bytes(lambda: torch.cdist(x, x)) >= BYTES * 1500**2


def test_annealing_takes_a_few_copies_of_the_influences():
    x = features(2000)
    tracemalloc.start()
    dataset_pruning(x, 500, generator(), sweeps=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= BYTES * (3 * x.numel() + 20 * 1000 * D)
    assert peak < np.square(2000) * BYTES
