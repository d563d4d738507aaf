"""The photographs of solar cells: which train, what they show, what is said if they are missing."""

import csv
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from orderdp_theory.common.errors import InputError
from orderdp_train import load_data
from orderdp_train.data import elpv

FOLDER = Path(find_spec("elpv_dataset").origin).parent / "data"  # pyright: ignore


@pytest.fixture(scope="module")
def data():
    return load_data("elpv")


@pytest.fixture(scope="module")
def published() -> tuple[list[Path], np.ndarray, np.ndarray]:
    """Read by the package's own words: a path, a probability and a kind of cell in each line."""
    table = np.genfromtxt(FOLDER / "labels.csv", dtype=["|S19", "<f8", "|S4"])
    paths = [FOLDER / path.decode() for path in table["f0"]]
    return paths, table["f1"], table["f2"]


def test_three_quarters_train_and_a_quarter_tests(data, published):
    assert (data.num_train, data.num_test) == (1968, 656)
    assert data.num_train + data.num_test == len(published[0])
    assert (data.in_channels, data.image_size, data.num_classes) == (1, 100, 4)


def test_both_parts_have_the_shares_of_grades(data, published):
    shares = Counter(np.rint(3 * published[1]).astype(int).tolist())
    for grade, count in shares.items():
        assert abs(int((data.train_labels == grade).sum()) - 0.75 * count) <= 2  # two kinds of cell


def test_each_photograph_is_there_once_with_its_grade(data, published):
    """Every pixel is the mean of nine; no two of the photographs are that alike.

    Pillow rounds in fixed point: a sum may miss the half by one, which is 5/9 of a grey level.
    """
    paths, probabilities, _ = published
    images = torch.cat([data.train_images, data.test_images])[:, 0].double()
    labels = torch.cat([data.train_labels, data.test_labels])
    for k in np.random.default_rng(0).choice(len(paths), 20, replace=False):
        original = torch.from_numpy(np.array(Image.open(paths[k]))).double()
        means = original.view(100, 3, 100, 3).mean((1, 3))
        [found] = torch.nonzero((images - means).abs().amax((1, 2)) <= 5 / 9 + 1e-12).tolist()
        assert labels[found] == round(3 * probabilities[k])


def test_without_the_package_the_message_says_how_to_get_it(monkeypatch):
    elpv.load.cache_clear()
    monkeypatch.setattr(elpv, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'orderdp\[elpv\]'"):
        load_data("elpv")


def test_a_photograph_that_cannot_be_decoded_is_named(tmp_path, monkeypatch):
    elpv.load.cache_clear()
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "images" / "cell0001.png").write_bytes(b"no image")
    with (tmp_path / "data" / "labels.csv").open("w") as file:
        csv.writer(file, delimiter=" ").writerow(["images/cell0001.png", "1.0", "mono"])

    class Found:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(elpv, "find_spec", lambda name: Found)
    with pytest.raises(InputError, match=r"cell0001\.png"):
        load_data("elpv")
