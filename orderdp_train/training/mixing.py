"""What a recipe does to images; under MixUp and CutMix per-sample losses stay well defined."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.data import Policy, TrainTestData
from orderdp_train.data.policy import lent
from orderdp_train.training.recipe import Recipe
from orderdp_train.training.text import next_token_accuracy, sequence_losses


def augmented(data: TrainTestData, recipe: Recipe) -> TrainTestData:
    """`data` with the recipe's crops, RandAugment and random erasing, in training and in views."""
    policy = Policy(recipe.randaugment, recipe.erasing, recipe.crop)
    return data if policy == Policy() else data.with_policy(policy)


def mix(
    images: Shaped[Tensor, "b *sample"], recipe: Recipe, generator: torch.Generator
) -> tuple[Shaped[Tensor, "b *sample"], float]:
    """Mix a batch by torchvision's MixUp or CutMix, whichever is on (a coin for both).

    Returns the images `(b, c, h, w)` and the share of each that is its own sample; the rest of an
    image is the sample before it, of the first the last. The share is 1 if neither is on.
    """
    if not (recipe.mixup or recipe.cutmix):
        return images, 1.0
    if not images.is_floating_point():
        raise InputError("MixUp and CutMix mix images: leave them off for text")
    from torchvision.transforms import v2  # takes seconds, which most trainings can save

    # Labels of our own, on the CPU, which tell the first image's share without waiting.
    first_alone = torch.zeros(len(images), dtype=torch.int64)
    first_alone[0] = 1
    kinds = []
    if recipe.mixup:
        kinds.append(v2.MixUp(alpha=recipe.mixup, num_classes=2))
    if recipe.cutmix:
        kinds.append(v2.CutMix(alpha=recipe.cutmix, num_classes=2))
    # The transforms draw from torch's global generator only: lend it a seed of ours.
    kind, seed = torch.randint(2**62, (2,), generator=generator, device=generator.device).tolist()
    with lent(seed):
        mixed, labels = kinds[kind % len(kinds)](images, first_alone)
    return mixed, float(labels[0, 1])


def sample_losses(
    outputs: Float[Tensor, "b *outputs"],
    labels: Int64[Tensor, "b *length"],
    label_smoothing: float,
    share: float = 1.0,
) -> Float[Tensor, "b"]:
    """Cross-entropy of every sample, float32 `(b,)`, from logits `(b, classes)`.

    Of text, with logits `(b, length, classes)`, the mean over a sequence's next tokens. Outputs
    `(b,)` are the losses themselves, of a model that has its own.

    A mixed image's loss is credited to its sources: sample i gets, from the two images it is part
    of (see `mix`), its share times the cross-entropy against its own label. Cross-entropy is linear
    in the target, so the credits of a batch add up to the usual mixed losses exactly, and a rule's
    weights and scores mean the same with mixing as without.
    """
    if outputs.ndim == 1:
        if share != 1:
            raise InputError("MixUp and CutMix mix labels, which a masked autoencoder has not")
        return outputs.float()
    if labels.ndim == 2:
        return sequence_losses(outputs, labels, label_smoothing=label_smoothing)
    logits = outputs.float()

    def against_own_label(logits: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="none")

    if share == 1:
        return against_own_label(logits)
    following = logits.roll(-1, 0)  # of the images that have the rest of each sample
    return share * against_own_label(logits) + (1 - share) * against_own_label(following)


def hits(
    outputs: Float[Tensor, "b *outputs"], labels: Int64[Tensor, "b *length"]
) -> Float[Tensor, "b"]:
    """What a test counts of every sample, float32 `(b,)`: 1 if the most likely class is right.

    Of text, the share of next tokens that are right. Of a model that returns its losses, as a
    masked autoencoder, 1 − loss, which may be negative.
    """
    if outputs.ndim == 1:
        return 1 - outputs.float()
    if labels.ndim == 2:
        return next_token_accuracy(outputs, labels)
    return (outputs.argmax(1) == labels).float()
