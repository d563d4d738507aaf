"""English prose that every Python ships: the language reference in `pydoc_data.topics`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import UInt8
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.data.dataset import Batch, HeldData, Split
from orderdp_train.data.policy import Policy
from orderdp_train.devices import sent

LENGTH = 64
NUM_TRAIN, NUM_TEST = 4000, 400
TEST_TOPICS = 8  # every eighth topic


@dataclass(frozen=True)
class TextDataSet(HeldData):
    """Sequences of bytes, held whole: uint8 `(n, length)` for training and for testing.

    A sample's inputs and labels are both its sequence, int64 `(b, length)`: the loss shifts them.
    """

    train_bytes: UInt8[Tensor, "n length"]
    test_bytes: UInt8[Tensor, "t length"]

    def __post_init__(self) -> None:
        for split, data in (("train", self.train_bytes), ("test", self.test_bytes)):
            if data.dtype != torch.uint8 or data.ndim != 2 or not len(data) or data.shape[1] < 2:
                raise InputError(
                    f"{split} text must be uint8 of shape (n, length) with at least one sequence "
                    f"of two bytes, got {data.dtype} of shape {tuple(data.shape)}"
                )

    @property
    def num_classes(self) -> int:
        return 256

    @property
    def length(self) -> int:
        return self.train_bytes.shape[1]

    def samples(self, split: Split) -> UInt8[Tensor, "n length"]:
        return self.train_bytes if split == "train" else self.test_bytes

    def with_policy(self, policy: Policy) -> Self:
        """See `TrainTestData.with_policy`."""
        raise InputError("RandAugment and random erasing are of images: leave them off for text")

    def batches(
        self,
        index_batches: Iterable[Tensor],
        split: Split = "train",
        generator: torch.Generator | None = None,
        view: int | None = None,
    ) -> Iterator[Batch]:
        """Yield `(indices, tokens, tokens)`, int64 `(b,)` and `(b, length)`; no augmentation."""
        data = self.samples(split)
        for indices in index_batches:
            indices = sent(indices, self.device)
            tokens = data[indices].long()
            yield indices, tokens, tokens


def load() -> TextDataSet:
    """4,000 training and 400 test sequences of 64 bytes, of different topics.

    Topics quote one another: a paragraph belongs to the first that has it. The text is that of the
    running Python, so two versions of Python have different data.
    """
    from pydoc_data.topics import topics

    owner: dict[str, int] = {}
    for k, name in enumerate(sorted(topics)):
        for paragraph in topics[name].split("\n\n"):
            owner.setdefault(paragraph.strip(), k)
    train = [text for text, k in owner.items() if k % TEST_TOPICS]
    test = [text for text, k in owner.items() if k % TEST_TOPICS == 0]
    return TextDataSet("prose", _sequences(train, NUM_TRAIN), _sequences(test, NUM_TEST))


def _sequences(paragraphs: list[str], count: int) -> Tensor:
    """`count` sequences of bytes, evenly spaced over all there are."""
    text = torch.frombuffer(bytearray("\n\n".join(paragraphs).encode()), dtype=torch.uint8)
    whole = text[: len(text) // LENGTH * LENGTH].view(-1, LENGTH)
    return whole[torch.linspace(0, len(whole) - 1, count, dtype=torch.float64).long()]
