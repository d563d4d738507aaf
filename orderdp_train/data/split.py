"""A fixed stratified split for sets that come without one."""

import torch
from torch import Tensor

from orderdp_train.data.dataset import DataSet, pixel_statistics


def stratified(name: str, images: Tensor, labels: Tensor, num_train: int) -> DataSet:
    """Split uint8 images `(n, c, h, w)` and int64 labels `(n,)` of ten classes.

    The same `num_train` images train and the same others test, for everyone and every seed.
    """
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(
        range(len(labels)), train_size=num_train, stratify=labels, random_state=0
    )
    mean, std = pixel_statistics(images[train])
    return DataSet(
        name=name,
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        mean=mean,
        std=std,
        num_classes=10,
        flipped=torch.zeros(num_train, dtype=torch.bool),
    )
