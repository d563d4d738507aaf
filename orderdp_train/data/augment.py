"""Batched augmentation of uint8 images where they lie: no worker, no Python loop over images."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Random crop of the image after reflect-padding by ``padding``, then a flip with chance 1/2.

    The recipe for CIFAR is ``Augmentation(padding=4, flip=True)``; the default does nothing.
    """

    padding: int = 0
    flip: bool = False

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment uint8 ``(b, c, h, w)``; every image has its own offsets and flip.

        The draws come from ``generator`` (any device: they are small and moved), two int64 offsets
        an image, then one coin an image, so the stream is the same on every device.
        """
        batch, _, height, width = images.shape
        rows = torch.arange(height, device=images.device).expand(batch, -1)
        columns = torch.arange(width, device=images.device).expand(batch, -1)
        if self.padding:
            images = F.pad(images, [self.padding] * 4, mode="reflect")
            offsets = _integers(2 * self.padding + 1, (2, batch, 1), generator, images.device)
            rows, columns = rows + offsets[0], columns + offsets[1]
        if self.flip:
            coins = _integers(2, (batch, 1), generator, images.device).bool()
            columns = torch.where(coins, columns.flip(1), columns)
        if not (self.padding or self.flip):
            return images
        which = torch.arange(batch, device=images.device)[:, None, None]
        # Advanced indices around a slice put the channel last: move it back.
        crop = images[which, :, rows[:, :, None], columns[:, None, :]]
        return crop.permute(0, 3, 1, 2)


def _integers(
    high: int, shape: tuple[int, ...], generator: torch.Generator, device: torch.device
) -> Tensor:
    draws = torch.randint(high, shape, generator=generator, device=generator.device)
    return draws.to(device)
