"""ImageNet, or any set of class folders: decoded by worker processes while training runs."""

import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from orderdp_theory.common.errors import InputError
from orderdp_train.data.augment import seed_of
from orderdp_train.data.dataset import Batch, Split, normalise
from orderdp_train.data.policy import Policy, lent
from orderdp_train.devices import sent

if TYPE_CHECKING:  # importing torchvision takes seconds, which other data sets need not wait for
    from torchvision.datasets import ImageFolder

CPU = torch.device("cpu")
NO_POLICY = Policy()
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MOST_ELONGATED = 100  # the ratio of the sides; resized to a shorter side of 256 it is 20 MB
# One item asked of a worker: the image's index and, when it is to be augmented, its own seed.
Request = tuple[int, int | None]


@dataclass(frozen=True)
class StreamedDataSet:
    """A data set whose images stay on disk; the fields are those of `DataSet` with paths.

    Training images are a random resized crop, a flip and what `policy` does, test images a resize
    and a centre crop.
    Each image's augmentation has a seed of its own, so it does not depend on `num_workers`. The
    worker processes start once and serve a whole training.
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
    policy: Policy = field(default_factory=Policy)
    _idle: dict[Split, list[DataLoader[Any]]] = field(
        default_factory=lambda: defaultdict(list), init=False, repr=False, compare=False
    )
    _augmented: dict[Policy, "StreamedDataSet"] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def num_train(self) -> int:
        return len(self.train_paths)

    @property
    def num_test(self) -> int:
        return len(self.test_paths)

    @property
    def in_channels(self) -> int:
        return 3

    @property
    def index_device(self) -> torch.device:
        return CPU

    def to(self, device: torch.device | str) -> "StreamedDataSet":
        """The same data with labels, and the batches to come, on `device`."""
        names = ("train_labels", "test_labels", "mean", "std", "flipped")
        moved = {name: getattr(self, name).to(device) for name in names}
        return replace(self, **moved, device=torch.device(device))

    def with_policy(self, policy: Policy) -> "StreamedDataSet":
        """See `TrainTestData.with_policy`; asked again, the same one, whose workers run already."""
        if policy not in self._augmented:
            self._augmented[policy] = replace(self, policy=policy)
        return self._augmented[policy]

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
        labels = self.train_labels if split == "train" else self.test_labels
        # Two at once if somebody looks at other samples in the middle of a pass.
        loader = self._idle[split].pop() if self._idle[split] else self._loader(split)
        requests: Any = loader.batch_sampler
        requests.next = _requests(index_batches, generator, view)
        for indices, images in loader:
            if isinstance(images, str):
                raise InputError(images)
            indices = sent(indices, self.device)
            images = normalise(sent(images, self.device), self.mean, self.std)
            yield indices, images, labels[indices]
        self._idle[split].append(loader)

    def unreadable(self, split: Split, indices: Tensor) -> dict[int, str]:
        """Which of these images cannot be decoded, with a line that names the file and says why."""
        files = _Files(self._paths(split), self.image_size, only_read=True)
        loader = DataLoader(
            files,
            sampler=[(index, None) for index in indices.tolist()],  # pyright: ignore[reportArgumentType]
            batch_size=64,
            num_workers=self.num_workers,
            collate_fn=list,
            generator=torch.Generator(),
        )
        pairs = (pair for pairs in loader for pair in pairs)
        return {index: found for index, found in pairs if isinstance(found, str)}

    def with_stand_ins(self, split: Split, unreadable: Mapping[int, str]) -> "StreamedDataSet":
        """The same with another image in the place of each unreadable one, so that indices stay.

        It is the next readable one of its class in the order of indices, after the last the first.
        Raises `InputError` for a class without any.
        """
        paths = list(self._paths(split))
        labels = (self.train_labels if split == "train" else self.test_labels).tolist()
        members: dict[int, list[int]] = defaultdict(list)
        for index, label in enumerate(labels):
            if index not in unreadable:
                members[label].append(index)
        for index in unreadable:
            own = members[labels[index]]
            if not own:
                raise InputError(f"no image of its class can stand in: {unreadable[index]}")
            paths[index] = self._paths(split)[next((k for k in own if k > index), own[0])]
        changed = {"train_paths" if split == "train" else "test_paths": tuple(paths)}
        return replace(self, **changed)

    def _paths(self, split: Split) -> tuple[str, ...]:
        return self.train_paths if split == "train" else self.test_paths

    def _loader(self, split: Split) -> DataLoader[Any]:
        return DataLoader(
            _Files(self._paths(split), self.image_size, policy=self.policy),
            batch_sampler=_Requests(),
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            collate_fn=_collate,
            generator=torch.Generator(),  # or it would draw from the global one
            pin_memory=self.device.type == "cuda" and torch.cuda.is_available(),
        )


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

    def __init__(
        self,
        paths: tuple[str, ...],
        image_size: int,
        *,
        policy: Policy = NO_POLICY,
        only_read: bool = False,
    ) -> None:
        from torchvision.transforms import v2

        self.paths, self.policy, self.only_read = paths, policy, only_read
        crop = v2.RandomResizedCrop(image_size, scale=(policy.crop, 1.0))
        self.augmented = v2.Compose([crop, v2.RandomHorizontalFlip()])
        shorter_side = round(image_size * 256 / 224)
        self.plain = v2.Compose([v2.Resize(shorter_side), v2.CenterCrop(image_size)])

    def __getitem__(self, request: Request) -> tuple[int, Tensor | str]:
        index, seed = request
        path = self.paths[index]
        try:
            image = decoded(path)
        # Pillow's decoders raise SyntaxError, ValueError and others beside OSError.
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            return index, f"cannot decode the image {path} ({reason}): replace or remove the file"
        height, width = image.shape[1:]
        if max(width, height) > MOST_ELONGATED * min(width, height):
            return index, f"the image {path} is a line, {width} × {height} pixels: remove the file"
        if self.only_read:
            return index, image[:, :0]
        if seed is None:
            return index, self.plain(image)
        with lent(seed):
            image = self.augmented(image)
        return index, self.policy(image, seed) if self.policy else image


def decoded(path: str) -> Tensor:
    """The image in a file, uint8 `(3, h, w)`: by torchvision, a third faster than Pillow, which
    reads the formats that torchvision does not. Raises what Pillow raises."""
    from torchvision.io import ImageReadMode, decode_image, read_file
    from torchvision.transforms.v2.functional import pil_to_tensor

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return decode_image(read_file(path), mode=ImageReadMode.RGB)
    except RuntimeError:
        from torchvision.datasets.folder import default_loader

        return pil_to_tensor(default_loader(path))


class _Requests:
    """What a loader is asked for next; it asks anew for every pass."""

    def __init__(self) -> None:
        self.next: Iterator[list[Request]] = iter(())

    def __iter__(self) -> Iterator[list[Request]]:
        return self.next


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
