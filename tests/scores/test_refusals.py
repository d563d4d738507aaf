"""Arguments of a wrong kind are a `TypeError` or `ValueError` that says which, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from orderdp_theory import Design, pivotal_joint, poisson_mean_weights, proportional_inclusion
from orderdp_train import (
    UCB,
    FixedSubset,
    FullData,
    OrderDP,
    RHOLoss,
    audit,
    losses_of,
    sequence_losses,
)
from orderdp_train.auditing import Population
from orderdp_train.scores import (
    class_budgets,
    contextual_diversity,
    dataset_pruning,
    deepfool,
    entropy,
    forgetting,
    glister,
    grand,
    influence,
    k_center,
    k_means_prototypes,
    keep_top,
    parameter_influences,
    per_sample_gradient_norms,
)
from tests.scores.oracles import random_layer

NOTHING: Any = None
LAYER = random_layer(4, 2, 1, seed=0)
MODEL = torch.nn.Linear(3, 2)
META = torch.ones(3, device="meta")
ONE = torch.ones(3, 3)
LABELS = torch.tensor([0, 1, 0])
FLAT = torch.nn.Flatten()
ROWS = torch.utils.data.TensorDataset(ONE, LABELS)

CALLS: list[tuple[Callable[[], object], str]] = [
    (lambda: pivotal_joint(torch.ones(3, requires_grad=True)), "inclusion"),
    (lambda: poisson_mean_weights(torch.ones(3) * 1j), "inclusion"),
    (lambda: proportional_inclusion([1j, 0, 0], 1), "sizes"),
    (lambda: class_budgets([1j, 0, 0], 1), "classes"),  # pyright: ignore[reportArgumentType]
    (lambda: entropy(NOTHING), "probabilities"),
    (lambda: forgetting(NOTHING), "correct"),
    (lambda: grand(META), "gradient_norms"),
    (lambda: glister(LAYER, NOTHING, 1, 0.1), "validation"),
    (lambda: influence(NOTHING, LAYER, 0.1), "train"),
    (lambda: parameter_influences(NOTHING, 0.1), "train"),
    (lambda: keep_top([3.0, 1.0], 1, NOTHING), "generator"),  # pyright: ignore[reportArgumentType]
    (lambda: k_center(ONE, 1, NOTHING), "generator"),
    (lambda: k_means_prototypes(ONE, 1, NOTHING), "generator"),
    (lambda: dataset_pruning(ONE, 1, NOTHING), "generator"),
    (lambda: contextual_diversity(ONE / 3, 1, NOTHING), "generator"),
    (lambda: deepfool(NOTHING, ONE), "model"),
    (lambda: deepfool(MODEL, [1.0]), "inputs"),  # pyright: ignore[reportArgumentType]
    (lambda: per_sample_gradient_norms(NOTHING, ONE, torch.arange(3)), "model"),
    (lambda: per_sample_gradient_norms(MODEL, ONE, torch.ones(3)), "targets"),
    (lambda: per_sample_gradient_norms(MODEL, ONE, torch.tensor([0, 1, -1])), r"targets .* 0\.\.1"),
    (lambda: per_sample_gradient_norms(MODEL, ONE, torch.tensor([0, 1, -100])), "targets"),
    (lambda: per_sample_gradient_norms(MODEL, ONE, torch.tensor([0, 1, 2])), "targets"),
    (lambda: per_sample_gradient_norms(MODEL, ONE[:0], torch.arange(0)), "inputs"),
    (lambda: per_sample_gradient_norms(MODEL, ONE[0, 0], torch.arange(0)), "inputs"),
    (lambda: per_sample_gradient_norms(MODEL, ONE, LABELS, chunk_size=0), "chunk_size"),
    (lambda: per_sample_gradient_norms(FLAT, ONE, LABELS), "trainable"),
    (lambda: deepfool(MODEL, ONE, chunk_size=True), "chunk_size"),
    (lambda: sequence_losses([1.0], [1]), "logits"),  # pyright: ignore[reportArgumentType]
    (lambda: losses_of(MODEL, NOTHING, torch.arange(3), NOTHING), "recipe"),
    (lambda: audit(NOTHING, [], []), "model"),
    (lambda: audit(MODEL, ROWS, [FullData(3)], autocast=torch.int64), "autocast .* torch.int64"),
    (lambda: audit(MODEL, ROWS, [FullData(3)], autocast=torch.float64), "autocast"),
    (lambda: audit(MODEL, ROWS, [FullData(3)], autocast="bf16"), "autocast"),  # pyright: ignore[reportArgumentType]
    (lambda: Population(3, ROWS.__getitem__, autocast=torch.float32), "autocast"),
    (lambda: OrderDP(Design(3, 2, 1), initial_score=1e200), "initial score"),
    (lambda: OrderDP(Design(3, 2, 1), initial_score=NOTHING), "initial score"),
    (lambda: OrderDP(Design(3, 2, 1)).expected_weights(META), "scores"),
    (lambda: UCB(2**53, 1), "n must be at most"),
    (lambda: FixedSubset(3, META), "indices"),
    (lambda: RHOLoss(Design(3, 2, 1), NOTHING), "holdout_losses"),
]


@pytest.mark.parametrize(("call", "name"), CALLS)
def test_a_wrong_argument_is_named(call: Callable[[], object], name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        call()


def test_scores_with_a_gradient_count_by_their_values() -> None:
    scores = torch.tensor([3.0, 2.0, 1.0], requires_grad=True)
    weights = OrderDP(Design(3, 3, 1)).expected_weights(scores)
    assert weights.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("damping", [1e-320, 1e-25])
def test_a_damping_that_rounding_swallows_is_refused(damping: float) -> None:
    layer = type(LAYER)(torch.zeros(4, 2), torch.ones(4, 1), torch.tensor([0, 1, 0, 1]))
    with pytest.raises(ValueError, match="damping must be larger"):
        parameter_influences(layer, damping)


@pytest.mark.filterwarnings("error")
def test_more_prototypes_than_points_are_no_warning() -> None:
    found = k_means_prototypes(ONE, 2, torch.Generator())
    assert found.tolist() == pytest.approx([0.0] * 3)
