"""Masked autoencoders (He et al. 2022) with a loss an image, and what they teach a classifier.

The encoder and decoder are transformers' ViTMAE, built from a configuration with fresh weights; the
classifier that takes the encoder over is timm's vision transformer, with the mean over the patches
in front of its head, as in the authors' fine-tuning.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from orderdp_theory.common.errors import InputError

MASKED = 0.75  # of the patches


@dataclass(frozen=True)
class Size:
    """Of an encoder and its decoder; without a `patch` its side follows from the image's."""

    width: int
    depth: int
    heads: int
    decoder_width: int
    decoder_depth: int
    decoder_heads: int
    patch: int | None = None

    def patch_of(self, image_size: int) -> int:
        """Side of a patch: small images still have some 16 to 64 of them."""
        return self.patch or (2 if image_size <= 16 else 4)


# By what follows "mae-" and "vit-" in a model's name; base is ViT-B of the paper on MAE.
SIZES = {
    "tiny": Size(48, 3, 3, 32, 1, 2),
    "base": Size(768, 12, 12, 512, 8, 16, patch=16),
}


class MaskedAutoencoder(nn.Module):
    """Maps images to their reconstruction losses: a masked autoencoder with its own criterion.

    There is no dropout and no normalisation over a batch, so the loss of an image depends on that
    image and on its mask alone.
    """

    def __init__(self, size: Size, *, in_channels: int, image_size: int) -> None:
        super().__init__()
        patch = size.patch_of(image_size)
        if image_size % patch:
            raise InputError(
                f"images of {image_size}×{image_size} do not divide into patches of "
                f"{patch}×{patch}: choose other data or another model"
            )
        configuration, network = _transformers()
        self.network = network(
            configuration(
                image_size=image_size,
                patch_size=patch,
                num_channels=in_channels,
                hidden_size=size.width,
                num_hidden_layers=size.depth,
                num_attention_heads=size.heads,
                intermediate_size=4 * size.width,
                decoder_hidden_size=size.decoder_width,
                decoder_num_hidden_layers=size.decoder_depth,
                decoder_num_attention_heads=size.decoder_heads,
                decoder_intermediate_size=4 * size.decoder_width,
                mask_ratio=MASKED,
                layer_norm_eps=1e-6,
            )
        )
        side = image_size // patch
        _initialise(self.network, side)
        patches = side**2
        generator = torch.Generator().manual_seed(0)
        plain = torch.rand(1, patches, generator=generator, device=generator.device)
        self.register_buffer("plain_noise", plain, persistent=False)

    def noise(self, count: int, generator: torch.Generator) -> Float[Tensor, "{count} patches"]:
        """What decides the masks of so many images, drawn where the generator lies.

        The quarter of the patches with the smallest numbers stays visible.
        """
        patches = self.get_buffer("plain_noise").shape[1]
        return torch.rand(count, patches, generator=generator, device=generator.device)

    def forward(
        self, images: Float[Tensor, "b c h w"], noise: Float[Tensor, "b patches"] | None = None
    ) -> Float[Tensor, "b"]:
        """Mean squared error of each image's masked patches, `(b,)`.

        The pixels of a patch are normalised by their own mean and deviation, as the authors do.
        Without `noise` all images have one mask, the same at every call: scores and tests repeat.
        """
        if noise is None:
            noise = self.get_buffer("plain_noise").expand(len(images), -1)
        outputs = self.network(images, noise=noise)
        patches = self.network.patchify(images)
        scale = (patches.var(2, keepdim=True) + 1e-6).sqrt()
        targets = (patches - patches.mean(2, keepdim=True)) / scale
        errors = (outputs.logits.float() - targets.float()).square().mean(2)
        return (errors * outputs.mask).sum(1) / outputs.mask.sum(1)


def vision_transformer(
    size: Size, *, in_channels: int, num_classes: int, image_size: int, drop_path: float = 0.0
) -> nn.Module:
    """The classifier with the encoder of a `MaskedAutoencoder` of that size, and fresh weights."""
    from timm.models import VisionTransformer

    return VisionTransformer(
        img_size=image_size,
        patch_size=size.patch_of(image_size),
        in_chans=in_channels,
        num_classes=num_classes,
        global_pool="avg",
        embed_dim=size.width,
        depth=size.depth,
        num_heads=size.heads,
        drop_path_rate=drop_path,
    )


def load_encoder(classifier: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy the encoder in the `state_dict` of a `MaskedAutoencoder` into a `vision_transformer`.

    The norm in front of the head and the head stay as they are. Raises `InputError` if the weights
    are of another model or size.
    """
    try:
        taught = _timm_names(weights)
        own = {
            name for name in classifier.state_dict() if not name.startswith(("fc_norm.", "head."))
        }
        if own != set(taught):
            raise InputError(f"parameters are missing or too many: {sorted(own ^ set(taught))[:3]}")
        classifier.load_state_dict(taught, strict=False)
    except (KeyError, RuntimeError, InputError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"these weights are not of a masked autoencoder that fits this model ({reason}): "
            "pre-train with --model mae-SIZE for --model vit-SIZE, on images of the same size"
        ) from None


def _timm_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's weights under the names that timm gives them."""
    encoder = {
        name.removeprefix("network.vit."): value
        for name, value in weights.items()
        if name.startswith("network.vit.")
    }
    found = {
        "cls_token": encoder["embeddings.cls_token"],
        "pos_embed": encoder["embeddings.position_embeddings"],
    }
    parts = {
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.o_proj",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }
    depth = 1 + max(int(name.split(".")[1]) for name in encoder if name.startswith("layers."))
    for kind in ("weight", "bias"):
        found[f"patch_embed.proj.{kind}"] = encoder[
            f"embeddings.patch_embeddings.projection.{kind}"
        ]
        for k in range(depth):
            layer, block = f"layers.{k}", f"blocks.{k}"
            qkv = [encoder[f"{layer}.attention.{x}_proj.{kind}"] for x in "qkv"]
            found[f"{block}.attn.qkv.{kind}"] = torch.cat(qkv)
            for own, theirs in parts.items():
                found[f"{block}.{own}.{kind}"] = encoder[f"{layer}.{theirs}.{kind}"]
    return found


@torch.no_grad()
def _initialise(network: nn.Module, side: int) -> None:
    """The authors' fresh weights, drawn from torch's global generator, and their fixed positions.

    Transformers 5.24 leaves positions and mask token at zero in a model that is built from a
    configuration, and no reconstruction is learnt without them.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    parameters = dict(network.named_parameters())
    nn.init.xavier_uniform_(
        parameters["vit.embeddings.patch_embeddings.projection.weight"].flatten(1)
    )
    for token in ("vit.embeddings.cls_token", "decoder.mask_token"):
        nn.init.normal_(parameters[token], std=0.02)
    for name in ("vit.embeddings.position_embeddings", "decoder.decoder_pos_embed"):
        parameters[name][0, 1:] = positions(side, parameters[name].shape[-1])


def positions(side: int, width: int) -> Float[Tensor, "patches {width}"]:
    """Sines and cosines of column and row of the patches of a square image, `(side², width)`.

    Frequencies are 10,000^(−4 k / width): sines, then cosines of the column, then of the row.
    """
    frequencies = 10_000.0 ** (-4 * torch.arange(width // 4) / width)
    angles = torch.arange(side)[:, None] * frequencies
    waves = torch.cat([angles.sin(), angles.cos()], 1)
    return torch.cat([waves.repeat(side, 1), waves.repeat_interleave(side, 0)], 1)


def _transformers() -> tuple[Any, Any]:
    try:
        from transformers import ViTMAEConfig, ViTMAEForPreTraining
    except ImportError:
        raise InputError(
            "masked autoencoders are built by the transformers package, which is not installed: "
            "run pip install 'orderdp[transformers]'"
        ) from None
    return ViTMAEConfig, ViTMAEForPreTraining
