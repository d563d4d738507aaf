"""Forgetting events."""

import math

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.rules.base import real_tensor
from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import Array
from orderdp_train.scores.recording import Recording
from orderdp_train.scores.static_rule import ScoreRule


def forgetting(correct: Bool[Array, "epochs n"]) -> Float64[Tensor, "n"]:
    """Number of forgetting events, float64 `(n,)`; infinity for a sample that was never learned.

    A sample is forgotten when it is classified correctly at one presentation and wrongly at the
    next. A sample that was never right is counted as forgotten infinitely often, above all others.

    Args:
        correct: bool `(epochs, n)`, presentations in order of time.

    Source: Toneva et al. (2019), Sections 3 and 4. Cost O(epochs n) time and memory.

    Example:
        >>> correct = np.array([[True, False, True], [False, False, True], [True, False, True]])
        >>> forgetting(correct).tolist()  # forgotten once, never learned, never forgotten
        [1.0, inf, 0.0]
    """
    seen = real_tensor("correct", correct)
    if seen.ndim != 2 or seen.dtype != torch.bool or len(seen) == 0:
        raise InputError(
            f"correct must be bool of shape (epochs, n), got {seen.dtype} {tuple(seen.shape)}"
        )
    events = (seen[:-1] & ~seen[1:]).sum(0).to(torch.float64)
    return events.masked_fill(~seen.any(0), math.inf)


@register
class Forgetting(ScoreRule):
    """`forgetting` of what the proxy got right, epoch by epoch."""

    name, label = "forgetting", "forgetting"

    def scores(self, recording: Recording, generator: torch.Generator) -> Tensor:
        return forgetting(recording.correct)
