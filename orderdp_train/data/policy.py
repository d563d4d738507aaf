"""RandAugment and random erasing as in timm, image by image on the CPU."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from orderdp_theory.common.errors import InputError

GREY, SPREAD = 128, 64  # of the noise where an image is erased; powers of two, so that 128 + 64 · x
#                         gives every other pixel back exactly


@dataclass(frozen=True)
class Policy:
    """What is done to a training image beside crop and flip; the default does nothing.

    A crop of an image on disk has at least the share `crop` of its area, before it is resized.
    `randaugment` is timm's configuration, like "rand-m9-mstd0.5-inc1". With probability `erasing` a
    rectangle of 2 to 33 % of the image is filled with normal noise, grey ± a quarter of the range.
    """

    randaugment: str = ""
    erasing: float = 0.0
    crop: float = 0.08

    def __post_init__(self) -> None:
        _check(self.randaugment)

    def __bool__(self) -> bool:
        """Whether images are changed after crop and flip."""
        return bool(self.randaugment or self.erasing)

    def __call__(self, image: UInt8[Tensor, "c h w"], seed: int) -> UInt8[Tensor, "c h w"]:
        """A new image, which depends on the image and the seed alone."""
        with lent(seed ^ OWN):
            if self.randaugment:
                image = _augment(image, self.randaugment)
            return _erase(image, self.erasing) if self.erasing else image

    def batch(
        self, images: UInt8[Tensor, "b c h w"], seeds: Iterable[int]
    ) -> UInt8[Tensor, "b c h w"]:
        """The same with a seed an image."""
        return torch.stack([self(i, seed) for i, seed in zip(images, seeds, strict=True)])


MOST = 9.99  # magnitude: at 10 timm asks Pillow for an image of 0 bits, which it refuses
OWN = 0x5EED  # whoever crops by a seed uses other numbers than who augments by it


@contextmanager
def lent(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch on the CPU, and put them back."""
    python, arrays = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(arrays)  # noqa: NPY002


def _augment(image: Tensor, config: str) -> Tensor:
    from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

    channels, *size = image.shape
    # timm fills with colours, so that it takes no image without.
    picture = to_pil_image(image.expand(3, -1, -1))
    found = _transform(config, min(size))(picture)
    return pil_to_tensor(found.convert("L") if channels == 1 else found)


def _check(config: str) -> None:
    """`ValueError` unless timm has a RandAugment of this configuration."""
    if not config:
        return
    try:
        _transform(config, 224)
    except (AssertionError, ValueError, KeyError) as error:
        raise InputError(
            f"timm knows no RandAugment {config!r} ({error}): write it like rand-m9-mstd0.5-inc1"
        ) from None


@cache
def _transform(config: str, size: int) -> Any:
    from timm.data.auto_augment import rand_augment_transform

    hparams: dict[str, Any] = {"translate_const": int(0.45 * size), "img_mean": (GREY,) * 3}
    if "mmax" not in config:
        hparams["magnitude_max"] = MOST
    return rand_augment_transform(config, hparams)


def _erase(image: Tensor, probability: float) -> Tensor:
    from timm.data.random_erasing import RandomErasing

    scaled = (image.float() - GREY) / SPREAD
    erased = RandomErasing(probability, mode="pixel", device="cpu")(scaled)
    return (erased * SPREAD + GREY).round().clamp(0, 255).to(torch.uint8)
