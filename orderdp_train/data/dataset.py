"""The two kinds of data set the trainer knows: on-device tensors and streamed folders."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Literal, Protocol, Self, runtime_checkable

import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.data.augment import Augmentation, seed_of
from orderdp_train.data.policy import Policy
from orderdp_train.devices import sent

Split = Literal["train", "test"]
Batch = tuple[Tensor, Tensor, Tensor]


class TrainTestData(Protocol):
    """What training, evaluation and audits need of any data set."""

    @property
    def name(self) -> str: ...
    @property
    def num_train(self) -> int: ...
    @property
    def num_test(self) -> int: ...
    @property
    def num_classes(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def index_device(self) -> torch.device:
        """Where indices are looked up: the CPU if the samples are still to be read."""
        ...

    def batches(
        self,
        index_batches: Iterable[Tensor],
        split: Split = "train",
        generator: torch.Generator | None = None,
        view: int | None = None,
    ) -> Iterator[Batch]:
        """Yield `(indices, images, labels)` for each index tensor, on the data's device.

        `images` is float32 `(b, c, h, w)`, normalised. With a `generator` (training) the
        images are augmented by draws from it; without one they are the plain images, or the
        augmented ones of that `view`, a number: in a view every image has one look. Of
        text all are the tokens, int64 `(b, length)`.
        """
        ...

    def with_policy(self, policy: Policy) -> Self:
        """The same data, whose training images and views are augmented by `policy` too.

        Raises `InputError` for text.
        """
        ...


@runtime_checkable
class Pictures(TrainTestData, Protocol):
    """What building a model needs of images besides."""

    @property
    def in_channels(self) -> int: ...
    @property
    def image_size(self) -> int: ...


@dataclass(frozen=True)
class HeldData(ABC):
    """A data set held whole, in tensors on one device."""

    name: str

    @abstractmethod
    def samples(self, split: Split) -> UInt8[Tensor, "n *sample"]:
        """All samples of a split, as they are stored."""

    @property
    def num_train(self) -> int:
        return len(self.samples("train"))

    @property
    def num_test(self) -> int:
        return len(self.samples("test"))

    @property
    def device(self) -> torch.device:
        return self.samples("train").device

    @property
    def index_device(self) -> torch.device:
        return self.device

    def to(self, device: torch.device | str) -> Self:
        """The same data with every tensor on `device`."""
        moved = {
            f.name: value.to(device)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class DataSet(HeldData):
    """A small image data set held whole, as uint8 tensors on one device.

    `train_labels` are those after label noise, test labels are never noisy; `mean` and `std` are of
    pixels scaled to [0, 1]; `flipped` is true where label noise replaced the label.
    """

    train_images: UInt8[Tensor, "n c h w"]
    train_labels: Int64[Tensor, "n"]
    test_images: UInt8[Tensor, "t c h w"]
    test_labels: Int64[Tensor, "t"]
    mean: Float32[Tensor, "c"]
    std: Float32[Tensor, "c"]
    num_classes: int
    flipped: Bool[Tensor, "n"]
    augmentation: Augmentation = field(default_factory=Augmentation)
    policy: Policy = field(default_factory=Policy)

    def __post_init__(self) -> None:
        for split, images, labels in (
            ("train", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] < 1:
                raise InputError(
                    f"{split}_images must be uint8 of shape (n, c, h, w), "
                    f"got {images.dtype} of shape {tuple(images.shape)}"
                )
            if len(labels) != len(images) or len(labels) == 0:
                raise InputError(
                    f"{self.name}: {len(images)} {split} images and {len(labels)} labels: "
                    "need one label an image, and at least one image"
                )

    def samples(self, split: Split) -> UInt8[Tensor, "n c h w"]:
        return self.train_images if split == "train" else self.test_images

    @property
    def device(self) -> torch.device:
        return self.train_labels.device

    @property
    def index_device(self) -> torch.device:
        return self.train_images.device

    def with_policy(self, policy: Policy) -> Self:
        """See `TrainTestData.with_policy`; where it changes images they lie on the CPU."""
        images = self.train_images.cpu() if policy else self.train_images
        return replace(self, policy=policy, train_images=images)

    @property
    def in_channels(self) -> int:
        return self.train_images.shape[1]

    @property
    def image_size(self) -> int:
        return self.train_images.shape[-1]

    def normalise(self, images: UInt8[Tensor, "b c h w"]) -> Float32[Tensor, "b c h w"]:
        """Turn uint8 images `(b, c, h, w)` into float32 of about zero mean and unit variance."""
        return normalise(images, self.mean, self.std)

    def batches(
        self,
        index_batches: Iterable[Tensor],
        split: Split = "train",
        generator: torch.Generator | None = None,
        view: int | None = None,
    ) -> Iterator[Batch]:
        """See `TrainTestData.batches`."""
        images = self.samples(split)
        labels = self.train_labels if split == "train" else self.test_labels
        for indices in index_batches:
            rows = sent(indices, images.device)
            batch = images.index_select(0, rows)  # several times faster than images[rows]
            if generator is not None:
                batch = self.augmentation(batch, generator)
                if self.policy:
                    where = {"generator": generator, "device": generator.device}
                    seeds = torch.randint(2**62, (len(batch),), **where)
                    batch = self.policy.batch(batch, seeds.tolist())
            elif view is not None:
                batch = self.augmentation.view(batch, rows, len(labels), view)
                if self.policy:
                    batch = self.policy.batch(batch, (seed_of(view, i) for i in rows.tolist()))
            indices = sent(rows, self.device)
            yield indices, self.normalise(sent(batch, self.device)), labels[indices]


def normalise(
    images: UInt8[Tensor, "b c h w"], mean: Float32[Tensor, "c"], std: Float32[Tensor, "c"]
) -> Float32[Tensor, "b c h w"]:
    """Float32 `(pixel / 255 - mean) / std` of uint8 `(b, c, h, w)`, channel by channel."""
    mean, std = mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)
    return images.float().sub_(255 * mean).mul_(1 / (255 * std))


def pixel_statistics(
    images: UInt8[Tensor, "n c h w"],
) -> tuple[Float32[Tensor, "c"], Float32[Tensor, "c"]]:
    """Mean and standard deviation, float32 `(c,)`, of uint8 images `(n, c, h, w)` over 255.

    A constant channel gets standard deviation 1, so that normalising it does not divide by zero.
    """
    counts = torch.stack(
        [torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)]
    ).double()
    levels = torch.arange(256, dtype=torch.float64, device=images.device) / 255
    density = counts / counts.sum(1, keepdim=True)
    mean = density @ levels
    std = ((levels - mean[:, None]).square() * density).sum(1).sqrt()
    return mean.float(), torch.where(std > 0, std, torch.ones_like(std)).float()
