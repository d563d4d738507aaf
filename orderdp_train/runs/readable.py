"""Images on disk that cannot be decoded are found before a training begins."""

from typing import Literal, get_args

import torch

from orderdp_theory.common.errors import InputError
from orderdp_train.data import DataSet, StreamedDataSet, TextDataSet
from orderdp_train.data.dataset import Split
from orderdp_train.training.processes import gather_objects, shard

Data = DataSet | StreamedDataSet | TextDataSet
Unreadable = Literal["stop", "stand-in", "unchecked"]


def check_readable(data: Data, unreadable: str) -> Data:
    """The data, all of whose images on disk can be decoded; every process tries its share.

    "stop" raises an `InputError` that names the first image that cannot be; "stand-in" puts the
    next image of the same class in its place, so that no index changes; "unchecked" tries none,
    and a training stops when it meets one.
    """
    if unreadable not in get_args(Unreadable):
        known = ", ".join(get_args(Unreadable))
        raise InputError(f"unknown --unreadable {unreadable!r}: choose one of {known}")
    if not isinstance(data, StreamedDataSet) or unreadable == "unchecked":
        return data
    splits: tuple[Split, ...] = ("train", "test")
    for split in splits:
        count = data.num_train if split == "train" else data.num_test
        shares = gather_objects(data.unreadable(split, shard(torch.arange(count))))
        found = {index: why for share in shares for index, why in share.items()}
        if found and unreadable == "stop":
            raise InputError(
                f"{len(found)} of {count} {split} images cannot be decoded, the first: "
                f"{found[min(found)]}, or let others of their class stand in for them: "
                "--unreadable=stand-in"
            )
        data = data.with_stand_ins(split, found)
    return data
