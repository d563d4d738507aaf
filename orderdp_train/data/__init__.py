"""Images and text: small sets whole on the training device, ImageNet streamed."""

from dataclasses import replace
from pathlib import Path

import torch

from orderdp_theory.arguments import integer
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import PROCESS, require_room
from orderdp_train.data import cifar, digits, elpv, imagenet, mnist5k, prose, synthetic
from orderdp_train.data.augment import Augmentation
from orderdp_train.data.dataset import DataSet, Pictures, TrainTestData
from orderdp_train.data.identity import fingerprint
from orderdp_train.data.imagenet import StreamedDataSet
from orderdp_train.data.label_noise import flip_labels
from orderdp_train.data.policy import Policy
from orderdp_train.data.prose import TextDataSet

__all__ = [
    "DATA_SETS",
    "Augmentation",
    "DataSet",
    "Pictures",
    "Policy",
    "StreamedDataSet",
    "TextDataSet",
    "TrainTestData",
    "fingerprint",
    "flip_labels",
    "load_data",
]

DATA_SETS = ("digits", "mnist5k", "cifar10", "cifar100", "imagenet", "synthetic", "prose", "elpv")


def load_data(
    name: str,
    *,
    label_noise: float = 0.0,
    seed: int = 0,
    device: torch.device | str = "cpu",
    root: Path | str = "data",
    download: bool = False,
    num_workers: int = 2,
) -> DataSet | StreamedDataSet | TextDataSet:
    """Load a data set by name, one of `DATA_SETS`, onto `device`.

    `label_noise` is the fraction of training labels replaced by a different class, drawn with a
    generator of its own seeded by `seed`; `flipped` says which. `root` is where CIFAR and
    ImageNet lie, `download` fetches CIFAR first, and `num_workers` decode ImageNet.

    Raises:
        ValueError: an unknown name, a fraction outside [0, 1], more workers than fit into memory,
            or damaged files.
        OSError: files are missing or cannot be fetched.

    Example:
        >>> data = load_data("digits", label_noise=0.2)
        >>> data.train_images.shape, data.train_images.dtype
        (torch.Size([1500, 1, 8, 8]), torch.uint8)
        >>> round(data.flipped.double().mean().item(), 3)
        0.2
    """
    if integer("num_workers", num_workers) < 0:
        raise InputError(f"the number of workers must be at least 0, got {num_workers}")
    require_room("the number of workers", num_workers, PROCESS)
    folder = Path(root)
    match name:
        case "digits":
            data = digits.load()
        case "mnist5k":
            data = mnist5k.load()
        case "elpv":
            data = elpv.load()
        case "cifar10":
            data = cifar.load(cifar.CIFAR10, folder, download)
        case "cifar100":
            data = cifar.load(cifar.CIFAR100, folder, download)
        case "imagenet":
            data = imagenet.load(folder, num_workers)
        case "synthetic":
            data = synthetic.load()
        case "prose":
            if label_noise:
                raise InputError("prose has no classes to mislabel: leave label noise at 0")
            return prose.load().to(device)
        case _:
            raise InputError(f"unknown data set {name!r}: choose one of {', '.join(DATA_SETS)}")
    generator = torch.Generator().manual_seed(seed)
    labels, flipped = flip_labels(data.train_labels, label_noise, data.num_classes, generator)
    return replace(data, train_labels=labels, flipped=flipped).to(device)
