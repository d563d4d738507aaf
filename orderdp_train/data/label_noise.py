"""Symmetric label noise: wrong labels keep per-sample losses spread."""

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from orderdp_theory.common.errors import InputError


def flip_labels(
    labels: Int64[Tensor, "n"], fraction: float, num_classes: int, generator: torch.Generator
) -> tuple[Int64[Tensor, "n"], Bool[Tensor, "n"]]:
    """Replace the labels of `round(fraction * n)` uniformly drawn samples by a *different* class.

    The new class is uniform over the other `num_classes - 1`. Returns `(noisy, flipped)`: int64
    `(n,)` and bool `(n,)`; the input is left alone. Raises `ValueError` for a fraction
    outside [0, 1], and for a positive one with fewer than two classes.
    """
    if not 0 <= fraction <= 1:
        raise InputError(f"the label-noise fraction must lie in [0, 1], got {fraction}")
    if fraction > 0 and num_classes < 2:
        raise InputError("label noise needs at least two classes to have a wrong one")
    count = round(fraction * len(labels))
    chosen = torch.randperm(len(labels), generator=generator)[:count].to(labels.device)
    flipped = torch.zeros_like(labels, dtype=torch.bool)
    flipped[chosen] = True
    noisy = labels.clone()
    if count:
        shifts = torch.randint(1, num_classes, (count,), generator=generator).to(labels.device)
        noisy[chosen] = (labels[chosen] + shifts) % num_classes
    return noisy, flipped
