"""Batched augmentation of uint8 images where they lie: no worker, no Python loop over images."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from orderdp_train.devices import sent


@dataclass(frozen=True)
class Augmentation:
    """Random crop of the image after reflect-padding by `padding`, then a flip with chance 1/2.

    The recipe for CIFAR is `Augmentation(padding=4, flip=True)`; the default does nothing.

    Example:
        >>> from dataclasses import replace
        >>> data = replace(load_data("digits"), augmentation=Augmentation(padding=1))
        >>> data.augmentation.padding
        1
    """

    padding: int = 0
    flip: bool = False

    def __call__(
        self, images: UInt8[Tensor, "b c h w"], generator: torch.Generator
    ) -> UInt8[Tensor, "b c h w"]:
        """Augment uint8 `(b, c, h, w)`; every image has its own offsets and flip.

        The draws are two offsets and a coin an image, made on the generator's device and moved, so
        a CPU generator gives the same images on every device. Needs `padding < min(h, w)`.
        """

        return self._apply(images, self._drawn(len(images), generator))

    def view(
        self, images: UInt8[Tensor, "b c h w"], indices: Int64[Tensor, "b"], n: int, number: int
    ) -> UInt8[Tensor, "b c h w"]:
        """Augment the samples `indices` `(b,)` of `n`, by draws of their own in every view.

        Which view it is alone decides how a sample looks, not what it is in a batch with.
        """
        generator = torch.Generator().manual_seed(number)
        return self._apply(images, self._drawn(n, generator)[:, indices.cpu()])

    def _drawn(self, count: int, generator: torch.Generator) -> Tensor:
        """Two offsets if there is padding, a coin if images are flipped: `(draws, count, 1)`."""
        below = [2 * self.padding + 1] * (2 if self.padding else 0) + [2] * self.flip
        where = {"generator": generator, "device": generator.device}
        draws = [torch.randint(end, (count, 1), **where) for end in below]
        return torch.stack(draws) if draws else torch.zeros(0, count, 1, dtype=torch.int64)

    def _apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """`drawn` `(draws, b, 1)`, wherever it lies: it is moved at once."""
        if not (self.padding or self.flip):
            return images
        batch, channels, height, width = images.shape
        rows = torch.arange(height, device=images.device).expand(batch, -1)
        columns = torch.arange(width, device=images.device).expand(batch, -1)
        drawn = sent(drawn, images.device)
        if self.padding:
            rows = _reflect(rows + drawn[0] - self.padding, height)
            columns = _reflect(columns + drawn[1] - self.padding, width)
        if self.flip:
            columns = torch.where(drawn[-1].bool(), columns.flip(1), columns)
        # Pad, crop and flip only say which pixel goes where, so one gather does all three.
        source = (width * rows[:, :, None] + columns[:, None, :]).view(batch, 1, -1)
        pixels = images.reshape(batch, channels, -1).gather(2, source.expand(-1, channels, -1))
        return pixels.view_as(images)


def _reflect(positions: Tensor, size: int) -> Tensor:
    """Fold positions outside 0 … size − 1 back inside, without repeating the border."""
    return (size - 1) - ((size - 1) - positions.abs()).abs()


def seed_of(view: int, index: int) -> int:
    """A seed for a sample in a view; a generator on the CPU has 32 bits for it, no more."""
    return (2_654_435_769 * view + index) % 2**32
