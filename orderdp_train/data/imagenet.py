"""ImageNet, or any set of class folders: decoded by worker processes while training runs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from orderdp_theory.common.errors import InputError
from orderdp_train.data.augment import seed_of
from orderdp_train.data.dataset import Batch, Split, normalise

if TYPE_CHECKING:  # importing torchvision takes seconds, which other data sets need not wait for
    from torchvision.datasets import ImageFolder

CPU = torch.device("cpu")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MOST_ELONGATED = 100  # the ratio of the sides; resized to a shorter side of 256 it is 20 MB
# One item asked of a worker: the image's index and, when it is to be augmented, its own seed.
Request = tuple[int, int | None]


@dataclass(frozen=True)
class StreamedDataSet:
    """A data set whose images stay on disk; the fields are those of `DataSet` with paths.

    Training images are a random resized crop and a flip, test images a resize and a centre crop.
    Each image's augmentation has a seed of its own, so it does not depend on `num_workers`.
    """

    name: str
    train_paths: tuple[str, ...]
    train_labels: Int64[Tensor, "n"]
    test_paths: tuple[str, ...]
    test_labels: Int64[Tensor, "t"]
    mean: Float32[Tensor, "c"]
    std: Float32[Tensor, "c"]
    num_classes: int
    flipped: Bool[Tensor, "n"]
    num_workers: int
    image_size: int = 224
    device: torch.device = CPU

    @property
    def num_train(self) -> int:
        return len(self.train_paths)

    @property
    def num_test(self) -> int:
        return len(self.test_paths)

    @property
    def in_channels(self) -> int:
        return 3

    def to(self, device: torch.device | str) -> "StreamedDataSet":
        """The same data with labels, and the batches to come, on `device`."""
        names = ("train_labels", "test_labels", "mean", "std", "flipped")
        moved = {name: getattr(self, name).to(device) for name in names}
        return replace(self, **moved, device=torch.device(device))

    def batches(
        self,
        index_batches: Iterable[Tensor],
        split: Split = "train",
        generator: torch.Generator | None = None,
        view: int | None = None,
    ) -> Iterator[Batch]:
        """See `TrainTestData.batches`; `ValueError` names the file that cannot be decoded.

        Workers read ahead: up to `2 * num_workers` index tensors are taken before they are due.
        """
        train = split == "train"
        labels = self.train_labels if train else self.test_labels
        loader = DataLoader(
            _Files(self.train_paths if train else self.test_paths, self.image_size),
            batch_sampler=_requests(index_batches, generator, view),
            num_workers=self.num_workers,
            collate_fn=_collate,
            generator=torch.Generator(),  # or it would draw from the global one
            pin_memory=self.device.type == "cuda",
        )
        for indices, images in loader:
            if isinstance(images, str):
                raise InputError(images)
            indices = indices.to(self.device)
            images = normalise(images.to(self.device, non_blocking=True), self.mean, self.std)
            yield indices, images, labels[indices]


def load(root: Path, num_workers: int) -> StreamedDataSet:
    """List `root/train` and `root/val`, each a folder a class with the images inside.

    Raises:
        FileNotFoundError: a folder is missing, or holds no class folders with images.
        ValueError: the two have different classes.
    """
    train, test = (_list(root, split) for split in ("train", "val"))
    if train.classes != test.classes:
        odd = sorted(set(train.classes) ^ set(test.classes))[0]
        raise InputError(
            f"the class folders of {root / 'train'} and {root / 'val'} differ, for example {odd}: "
            + _expected(root)
        )
    return StreamedDataSet(
        name="imagenet",
        train_paths=tuple(path for path, _ in train.samples),
        train_labels=torch.tensor(train.targets),
        test_paths=tuple(path for path, _ in test.samples),
        test_labels=torch.tensor(test.targets),
        mean=torch.tensor(MEAN),
        std=torch.tensor(STD),
        num_classes=len(train.classes),
        flipped=torch.zeros(len(train), dtype=torch.bool),
        num_workers=num_workers,
    )


def _expected(root: Path) -> str:
    return (
        f"expected {root}/train/CLASS/*.JPEG and {root}/val/CLASS/*.JPEG; get the two archives "
        "from https://image-net.org/download and unpack each class into its folder"
    )


def _list(root: Path, split: str) -> "ImageFolder":
    from torchvision.datasets import ImageFolder

    try:
        return ImageFolder(str(root / split))
    except FileNotFoundError as error:
        reason = str(error).splitlines()[0]
        raise FileNotFoundError(
            f"no ImageNet in {root / split} ({reason}): {_expected(root)}"
        ) from None


class _Files(Dataset[tuple[int, Tensor | str]]):
    """Decodes one image; what is wrong with a file is returned, not raised.

    A DataLoader would hand an exception on as several lines of a worker's traceback.
    """

    def __init__(self, paths: tuple[str, ...], image_size: int) -> None:
        from torchvision.datasets.folder import default_loader
        from torchvision.transforms import v2

        self.paths = paths
        self.decode = default_loader
        self.augmented = v2.Compose(
            [v2.RandomResizedCrop(image_size), v2.RandomHorizontalFlip(), v2.PILToTensor()]
        )
        shorter_side = round(image_size * 256 / 224)
        self.plain = v2.Compose(
            [v2.Resize(shorter_side), v2.CenterCrop(image_size), v2.PILToTensor()]
        )

    def __getitem__(self, request: Request) -> tuple[int, Tensor | str]:
        index, seed = request
        path = self.paths[index]
        try:
            image = self.decode(path)
        # Pillow's decoders raise SyntaxError, ValueError and others beside OSError.
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            return index, f"cannot decode the image {path} ({reason}): replace or remove the file"
        if max(image.size) > MOST_ELONGATED * min(image.size):
            width, height = image.size
            return index, f"the image {path} is a line, {width} × {height} pixels: remove the file"
        if seed is None:
            return index, self.plain(image)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return index, self.augmented(image)


def _requests(
    index_batches: Iterable[Tensor], generator: torch.Generator | None, view: int | None
) -> Iterator[list[Request]]:
    # One draw a call: how far the workers read ahead must not show in the generator's state.
    seed = None
    if generator is not None:
        draw = torch.randint(2**62, (), generator=generator, device=generator.device)
        seed = int(draw.item())
    for batch in index_batches:
        if view is not None:
            yield [(index, seed_of(view, index)) for index in batch.tolist()]
            continue
        requests: list[Request] = []
        for index in batch.tolist():
            requests.append((index, seed))
            seed = None if seed is None else seed + 1
        yield requests


def _collate(items: list[tuple[int, Tensor | str]]) -> tuple[Tensor, Tensor | str]:
    indices = torch.tensor([index for index, _ in items])
    images = []
    for _, image in items:
        if isinstance(image, str):
            return indices, image
        images.append(image)
    return indices, torch.stack(images)
