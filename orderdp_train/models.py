"""Models by name, with the stem that fits the image size."""

import torch.nn.functional as F
from torch import Tensor, nn


class SmallCNN(nn.Module):
    """Three convolutions and a linear layer, 15 thousand parameters for ten grey-scale classes.

    It has no normalisation layer, so the loss of a sample depends on that sample alone, in training
    as in evaluation.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(32, 32, 3, stride=2, padding=1)
        self.head = nn.Linear(32 * 2 * 2, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(b, num_classes)`` of float images ``(b, c, h, w)``."""
        x = F.relu(self.conv1(images))
        x = F.relu(self.conv2(x))
        x = F.relu(self.conv3(x))
        return self.head(F.adaptive_avg_pool2d(x, 2).flatten(1))


def build_model(name: str, *, in_channels: int, num_classes: int, image_size: int) -> nn.Module:
    """Build a model with fresh weights from torch's global generator (seed it first).

    Raises ``ValueError`` for a name that is not known.
    """
    if name == "cnn":
        return SmallCNN(in_channels, num_classes)
    raise ValueError(f"unknown model {name!r} for {image_size}×{image_size} images: try 'cnn'")
