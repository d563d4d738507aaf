"""A fixed stratified split for sets that come without one."""

from collections.abc import Sequence

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from orderdp_train.data.dataset import DataSet, pixel_statistics


def stratified(
    name: str,
    images: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, "n"],
    num_train: int,
    strata: Sequence[str] | None = None,
) -> DataSet:
    """Split images whose classes are 0 … labels.max().

    The same `num_train` images train and the same others test, for everyone and every seed; both
    have the same shares of the `strata`, the classes if not given.
    """
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(
        range(len(labels)),
        train_size=num_train,
        stratify=labels if strata is None else strata,
        random_state=0,
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
        num_classes=int(labels.max()) + 1,
        flipped=torch.zeros(num_train, dtype=torch.bool),
    )
