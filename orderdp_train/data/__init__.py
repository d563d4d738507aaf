"""Image data: small sets whole on the training device, ImageNet streamed."""

from dataclasses import replace

import torch

from orderdp_train.data import digits
from orderdp_train.data.augment import Augmentation
from orderdp_train.data.dataset import DataSet, ImageData
from orderdp_train.data.label_noise import flip_labels

__all__ = ["DATA_SETS", "Augmentation", "DataSet", "ImageData", "flip_labels", "load_data"]

DATA_SETS = ("digits",)


def load_data(
    name: str,
    *,
    label_noise: float = 0.0,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> DataSet:
    """Load a data set by name, one of ``DATA_SETS``, onto ``device``.

    ``label_noise`` is the fraction of training labels replaced by a different class, drawn with a
    generator of its own seeded by ``seed``; ``DataSet.flipped`` says which. Raises ``ValueError``
    for an unknown name or a fraction outside [0, 1].
    """
    if name not in DATA_SETS:
        raise ValueError(f"unknown data set {name!r}: choose one of {', '.join(DATA_SETS)}")
    data = digits.load()
    labels, flipped = flip_labels(
        data.train_labels, label_noise, data.num_classes, torch.Generator().manual_seed(seed)
    )
    return replace(data, train_labels=labels, flipped=flipped).to(device)
