"""CIFAR-shaped images made on the spot: a smooth pattern a class, under pixel noise."""

import torch
import torch.nn.functional as F
from torch import Tensor

from orderdp_train.data.augment import Augmentation
from orderdp_train.data.dataset import DataSet, pixel_statistics


def make(
    num_train: int,
    num_test: int,
    generator: torch.Generator,
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> DataSet:
    """Draw a data set: a class is a random 4×4 pattern, enlarged, and each image adds noise to it.

    Class sizes differ by at most one. Everything comes from `generator` (on the CPU).
    """
    coarse = torch.rand(num_classes, in_channels, 4, 4, generator=generator)
    patterns = F.interpolate(coarse, size=(image_size, image_size), mode="bilinear")

    def draw(count: int) -> tuple[Tensor, Tensor]:
        labels = torch.randperm(count, generator=generator) % num_classes
        noise = torch.randn(count, in_channels, image_size, image_size, generator=generator)
        images = (patterns[labels] + 0.5 * noise).mul_(255).clamp_(0, 255).to(torch.uint8)
        return images, labels

    train_images, train_labels = draw(num_train)
    test_images, test_labels = draw(num_test)
    mean, std = pixel_statistics(train_images)
    return DataSet(
        name="synthetic",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        mean=mean,
        std=std,
        num_classes=num_classes,
        flipped=torch.zeros(num_train, dtype=torch.bool),
        augmentation=Augmentation(padding=4, flip=True),
    )


def load() -> DataSet:
    """5,000 training and 1,000 test images `(3, 32, 32)` of ten classes, always the same."""
    return make(5000, 1000, torch.Generator().manual_seed(0))
