"""scikit-learn's digits: 1,797 real 8×8 images that ship with the package."""

import torch

from orderdp_train.data.dataset import DataSet
from orderdp_train.data.split import stratified

NUM_TRAIN = 1500


def load() -> DataSet:
    """1,500 training and 297 test images `(1, 8, 8)` of ten classes."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = torch.from_numpy(images * (255 / 16)).round().to(torch.uint8).view(-1, 1, 8, 8)
    return stratified("digits", pixels, torch.from_numpy(labels).long(), NUM_TRAIN)
