"""Models by name, their stems, and that samples of the small CNN do not see each other."""

import pytest
import torch
from torch import nn

from orderdp_train.models import build_model


def images(count: int, channels: int, size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("name", "channels", "size"),
    [
        ("cnn", 1, 8),
        ("cnn", 1, 28),
        ("cnn", 3, 32),
        ("resnet18", 3, 32),
        ("resnet50", 3, 32),
        ("resnet18", 1, 28),
        ("resnet18", 3, 96),
        ("resnet18", 1, 96),
        ("vit_tiny_patch16_224", 3, 32),
        ("test_byobnet", 1, 32),
    ],
)
def test_one_logit_a_class(name, channels, size):
    model = build_model(name, in_channels=channels, num_classes=7, image_size=size)
    assert model.training
    with torch.no_grad():
        assert model.eval()(images(2, channels, size)).shape == (2, 7)


def test_the_transformers_of_the_paper_have_the_size_they_are_named_after():
    model = build_model(
        "swin_tiny_patch4_window7_224", in_channels=3, num_classes=1000, image_size=224
    )
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(28.3e6, rel=0.01)


def test_resnets_have_the_published_number_of_parameters():
    """He et al. (2016): 11.7 and 25.6 million with 1,000 classes."""
    for name, millions in (("resnet18", 11.69), ("resnet50", 25.56)):
        model = build_model(name, in_channels=3, num_classes=1000, image_size=224)
        assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


def test_the_stem_fits_the_image():
    small = build_model("resnet18", in_channels=3, num_classes=10, image_size=32)
    large = build_model("resnet18", in_channels=3, num_classes=10, image_size=224)
    for model, kernel, stride, pool in (
        (small, 3, 1, nn.Identity),
        (large, 7, 2, nn.MaxPool2d),
    ):
        modules = dict(model.named_modules())
        stem = modules["conv1"]
        assert isinstance(stem, nn.Conv2d)
        assert (stem.kernel_size, stem.stride) == ((kernel, kernel), (stride, stride))
        assert isinstance(modules["maxpool"], pool)


def sees_neighbours(model: nn.Module) -> bool:
    """Whether changing the other samples of a training batch changes the first one's logits."""
    model.train()
    batch, other = images(4, 3, 8), images(4, 3, 8, seed=1)
    other[0] = batch[0]
    with torch.no_grad():
        return not torch.allclose(model(batch)[0], model(other)[0], atol=1e-6)


def test_samples_of_the_small_cnn_do_not_see_each_other():
    size = {"in_channels": 3, "num_classes": 5, "image_size": 8}
    assert not sees_neighbours(build_model("cnn", **size))
    assert sees_neighbours(build_model("resnet18", **size))  # batch normalisation


def test_the_global_seed_decides_the_weights():
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        model = build_model("cnn", in_channels=1, num_classes=10, image_size=8)
        return nn.utils.parameters_to_vector(model.parameters())

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("resnet19", 32, "unknown model 'resnet19'.*resnet18"),
        ("", 32, "unknown model ''"),
        ("vit_tiny_patch16_224", 8, "vit_tiny_patch16_224 cannot take 3×8×8 images"),
    ],
)
def test_models_that_cannot_be_built_are_one_line(name, size, message):
    with pytest.raises(ValueError, match=message) as caught:
        build_model(name, in_channels=3, num_classes=10, image_size=size)
    assert "\n" not in str(caught.value)
