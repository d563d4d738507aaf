"""Models by name, with the stem that fits the image size."""

import difflib
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orderdp_theory.common.errors import InputError
from orderdp_train.data import Pictures, TextDataSet, TrainTestData
from orderdp_train.models.masked_autoencoder import SIZES, MaskedAutoencoder, vision_transformer

OURS = ("cnn", "resnet18", "resnet50", *(f"{k}-{s}" for k in ("mae", "vit") for s in SIZES))
SMALL_IMAGE = 64  # below it the ImageNet stem would throw away nearly all of the image


class SmallCNN(nn.Module):
    """Three convolutions and a linear layer, 15 thousand parameters for ten grey-scale classes.

    The first convolution has stride 2 for images larger than 16×16, which keeps it cheap there.
    It has no normalisation layer, so the loss of a sample depends on that sample alone, in training
    as in evaluation.
    """

    def __init__(self, in_channels: int, num_classes: int, image_size: int) -> None:
        super().__init__()
        stride = 2 if image_size > 16 else 1
        self.conv1 = nn.Conv2d(in_channels, 16, 3, stride=stride, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(32, 32, 3, stride=2, padding=1)
        self.head = nn.Linear(32 * 2 * 2, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(b, num_classes)` of float images `(b, c, h, w)`."""
        x = F.relu(self.conv1(images))
        x = F.relu(self.conv2(x))
        x = F.relu(self.conv3(x))
        return self.head(F.adaptive_avg_pool2d(x, 2).flatten(1))


class GPT(nn.Module):
    """A decoder-only transformer with learnt positions and layer norms before its blocks.

    No dropout and no tied weights: the loss of a sequence depends on that sequence alone, and each
    parameter belongs to one layer.
    """

    def __init__(self, vocabulary: int, length: int, *, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits `(b, length, vocabulary)` of what follows each of the tokens int64 `(b, length)`.

        Those at a place depend on the tokens up to it.
        """
        places = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        x = self.tokens(tokens) + self.positions(places)
        return self.head(self.norm(self.blocks(x)))


class Block(nn.Module):
    """Causal self-attention and a two-layer perceptron, each added to what it reads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape `(b, length, width)`."""
        b, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, length, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        # Written out, because the fused kernels have no rule for gradients of many samples at once.
        future = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        scores = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).masked_fill(future, -torch.inf)
        attended = scores.softmax(3) @ v
        x = x + self.out(attended.transpose(1, 2).reshape(b, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


# Two stages, patches of 2×2.
SWIN_SMOKE: tuple[str, dict[str, Any]] = (
    "swin_tiny_patch4_window7_224",
    {"patch_size": 2, "embed_dim": 32, "depths": (2, 2), "num_heads": (2, 4)},
)
GPT_TINY = {"width": 64, "depth": 2, "heads": 4}  # 137 thousand parameters


def build_model(
    name: str, *, in_channels: int, num_classes: int, image_size: int, drop_path: float = 0.0
) -> nn.Module:
    """Build a model with fresh weights from torch's global generator (seed it first).

    `cnn` is `SmallCNN`. `resnet18` and `resnet50` are torchvision's; for images up to
    64×64 their stem is one 3×3 convolution of stride 1 without pooling, as usual for CIFAR.
    `mae-tiny` and `mae-base` are masked autoencoders, which map images to losses and know no
    classes, and `vit-tiny` and `vit-base` classifiers with the same encoders. `swin-smoke` is a
    Swin transformer of 100 thousand parameters for small images. Any other name is looked up in
    timm. Swin, `vit-…` and timm's models drop paths with probability `drop_path` in the last block
    and less before it. Raises `ValueError` for a name that nobody knows and for a model that cannot
    take images of this size.
    """
    kind, _, size = name.partition("-")
    if drop_path and name in OURS and kind != "vit":
        raise InputError(f"{name} takes no drop_path: leave it at 0")
    if name == "cnn":
        return SmallCNN(in_channels, num_classes, image_size)
    if name in ("resnet18", "resnet50"):
        return _resnet(name, in_channels, num_classes, image_size)
    if kind in ("mae", "vit") and size in SIZES:
        images = {"in_channels": in_channels, "image_size": image_size}
        if kind == "mae":
            return MaskedAutoencoder(SIZES[size], **images)
        return vision_transformer(
            SIZES[size], num_classes=num_classes, drop_path=drop_path, **images
        )
    return _timm(name, in_channels, num_classes, image_size, drop_path)


def model_for(name: str, data: TrainTestData, drop_path: float = 0.0) -> nn.Module:
    """The model that fits a data set, on the data's device; for text that is `gpt-tiny`.

    Example:
        >>> type(model_for("cnn", load_data("digits"))).__name__
        'SmallCNN'
        >>> model_for("nobody", load_data("digits"))
        Traceback (most recent call last):
            ...
        orderdp_theory.common.errors.InputError: unknown model 'nobody', the nearest names ...
    """
    if isinstance(data, TextDataSet) != (name == "gpt-tiny"):
        raise InputError(f"{name} does not take {data.name}: text goes with the model gpt-tiny")
    if isinstance(data, TextDataSet):
        return GPT(data.num_classes, data.length, **GPT_TINY).to(data.device)
    assert isinstance(data, Pictures)
    model = build_model(
        name,
        in_channels=data.in_channels,
        num_classes=data.num_classes,
        image_size=data.image_size,
        drop_path=drop_path,
    )
    return model.to(data.device)


def head_of(model: nn.Module, num_classes: int) -> nn.Linear:
    """The last layer of a classifier: its last linear one with as many outputs as classes.

    Raises `ValueError` if there is none, as in models of text and in fully convolutional ones.
    """
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    if not (linear and linear[-1].out_features == num_classes):
        raise InputError(
            f"{type(model).__name__} does not end in a linear layer with {num_classes} outputs, "
            "which static methods read: choose another model"
        )
    return linear[-1]


def _resnet(name: str, in_channels: int, num_classes: int, image_size: int) -> nn.Module:
    from torchvision.models import resnet18, resnet50

    model = (resnet18 if name == "resnet18" else resnet50)(num_classes=num_classes)
    if image_size <= SMALL_IMAGE:
        model.conv1 = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
        model.maxpool = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    elif in_channels != 3:
        model.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
    return model


def _timm(
    name: str, in_channels: int, num_classes: int, image_size: int, drop_path: float
) -> nn.Module:
    import timm
    from timm.layers.drop import DropPath

    name, options = SWIN_SMOKE if name == "swin-smoke" else (name, {})
    if not timm.is_model(name):
        known = {*OURS, "swin-smoke", *timm.list_models()}
        close = ", ".join(difflib.get_close_matches(name, sorted(known), n=3)) or "cnn"
        raise InputError(f"unknown model {name!r}, the nearest names here or in timm are: {close}")
    # Transformers are built for one image size and have to be told another.
    fixed = timm.models.get_pretrained_cfg_value(name, "fixed_input_size")
    options = {**options, "img_size": image_size} if fixed else options
    options |= {"drop_path_rate": drop_path} if drop_path else {}
    try:
        model = timm.create_model(name, in_chans=in_channels, num_classes=num_classes, **options)
        with torch.no_grad():
            model.eval()(torch.zeros(1, in_channels, image_size, image_size))
    # timm refuses sizes in many ways, some only when an image arrives.
    except (AssertionError, RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
        shape = f"{in_channels}×{image_size}×{image_size}"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{name} cannot take {shape} images ({reason}): choose another") from None
    for path in model.modules():
        if not drop_path and isinstance(path, DropPath):
            path.drop_prob = 0.0  # which some models have otherwise
    return model.train()
