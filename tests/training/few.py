"""A few of the digits, with augmentation, so that its generator matters."""

from dataclasses import replace

from orderdp_train import load_data
from orderdp_train.data import Augmentation, DataSet


def few_digits(n: int, *, tests: int, label_noise: float = 0.0) -> DataSet:
    digits = load_data("digits", label_noise=label_noise)
    assert isinstance(digits, DataSet)
    return replace(
        digits,
        train_images=digits.train_images[:n],
        train_labels=digits.train_labels[:n],
        flipped=digits.flipped[:n],
        test_images=digits.test_images[:tests],
        test_labels=digits.test_labels[:tests],
        augmentation=Augmentation(padding=1, flip=True),
    )
