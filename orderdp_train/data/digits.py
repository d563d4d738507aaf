"""scikit-learn's digits: 1,797 real 8×8 images that ship with the package."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from orderdp_train.data.dataset import DataSet, pixel_statistics

NUM_TRAIN = 1500


def load() -> DataSet:
    """1,500 training and 297 test images ``(1, 8, 8)`` in one fixed stratified split."""
    images, labels = load_digits(return_X_y=True)
    pixels = torch.from_numpy(images * (255 / 16)).round().to(torch.uint8).view(-1, 1, 8, 8)
    targets = torch.from_numpy(labels).long()
    train, test = train_test_split(
        range(len(labels)), train_size=NUM_TRAIN, stratify=labels, random_state=0
    )
    mean, std = pixel_statistics(pixels[train])
    return DataSet(
        name="digits",
        train_images=pixels[train],
        train_labels=targets[train],
        test_images=pixels[test],
        test_labels=targets[test],
        mean=mean,
        std=std,
        num_classes=10,
        flipped=torch.zeros(len(train), dtype=torch.bool),
    )
