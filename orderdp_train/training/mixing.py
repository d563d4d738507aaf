"""MixUp and CutMix with per-sample losses that stay well defined."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.training.recipe import Recipe
from orderdp_train.training.text import sequence_losses


def mix(
    images: Shaped[Tensor, "b *sample"], recipe: Recipe, generator: torch.Generator
) -> tuple[Shaped[Tensor, "b *sample"], Float[Tensor, "b b"] | None]:
    """Mix a batch by torchvision's MixUp or CutMix, whichever is on (a coin for both).

    Returns the images `(b, c, h, w)` and the shares `(b, b)`: entry (k, i) is the part of sample i
    in mixed image k, rows summing to one; None if neither is on.
    """
    if not (recipe.mixup or recipe.cutmix):
        return images, None
    if not images.is_floating_point():
        raise InputError("MixUp and CutMix mix images: leave them off for text")
    from torchvision.transforms import v2  # takes seconds, which most trainings can save

    b = len(images)
    kinds = []
    # Mixing the labels 0..b-1 of b classes makes torchvision return just the matrix of shares.
    if recipe.mixup:
        kinds.append(v2.MixUp(alpha=recipe.mixup, num_classes=b))
    if recipe.cutmix:
        kinds.append(v2.CutMix(alpha=recipe.cutmix, num_classes=b))
    # The transforms draw from torch's global generator only: lend it a seed of ours.
    kind, seed = torch.randint(2**62, (2,), generator=generator, device=generator.device).tolist()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return kinds[kind % len(kinds)](images, torch.arange(b, device=images.device))


def sample_losses(
    logits: Float[Tensor, "b *length c"],
    labels: Int64[Tensor, "b *length"],
    shares: Float[Tensor, "b b"] | None,
    label_smoothing: float,
) -> Float[Tensor, "b"]:
    """Cross-entropy of every sample, float32 `(b,)`, from logits `(b, classes)`.

    Of text, with logits `(b, length, classes)`, the mean over a sequence's next tokens.

    A mixed image's loss is credited to its sources: sample i gets, from each mixed image it is part
    of, its share times the cross-entropy against its own label. Cross-entropy is linear in the
    target, so the credits of a batch add up to the usual mixed losses exactly, and a rule's weights
    and scores mean the same with mixing as without.
    """
    if labels.ndim == 2:
        return sequence_losses(logits, labels, label_smoothing=label_smoothing)
    logits = logits.float()
    if shares is None:
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="none")
    images, samples = shares.nonzero(as_tuple=True)
    parts = F.cross_entropy(
        logits[images], labels[samples], label_smoothing=label_smoothing, reduction="none"
    )
    credits = torch.zeros(len(labels), dtype=parts.dtype, device=parts.device)
    return credits.index_add(0, samples, shares[images, samples] * parts)
