"""2,624 photographs of solar cells in four grades of defect, from the elpv-dataset package.

Electroluminescence images of 44 modules (Deitsch et al., 2021, the ELPV benchmark; CC BY-NC-SA 4.0:
installed by who wants them). Experts graded each cell, and were not always sure: the labels are
noisy by nature.
"""

import csv
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch

from orderdp_theory.common.errors import InputError
from orderdp_train.data.augment import Augmentation
from orderdp_train.data.dataset import DataSet
from orderdp_train.data.split import stratified

NUM_TRAIN = 1968  # three quarters, as in the benchmark
REDUCED = 3  # pixels a side that become one: 100×100 of 300×300
GRADES = 3  # the probability of a defect is a multiple of 1/3


@cache  # decoding takes seconds, and a sweep asks for it again and again
def load() -> DataSet:
    """1,968 training and 656 test images `(1, 100, 100)`, grey, of four grades.

    Each pixel is the mean of nine. Training shifts and mirrors the images by chance.

    Both parts have the same shares of grades and of cell types (mono- and polycrystalline).

    Raises:
        ValueError: the package is missing, and how to install it; or an image cannot be decoded.
    """
    found = find_spec("elpv_dataset")
    if found is None or found.origin is None:
        raise InputError(
            "elpv is read from the elpv-dataset package, which is not installed: "
            "run pip install 'orderdp[elpv]'"
        )
    folder = Path(found.origin).parent / "data"
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        rows = [
            (folder / path, round(GRADES * float(probability)), kind)
            for path, probability, kind in csv.reader(file, delimiter=" ", skipinitialspace=True)
        ]
    images = torch.stack([_image(path) for path, _, _ in rows])
    grades = torch.tensor([grade for _, grade, _ in rows])
    kinds = [f"{grade} {kind}" for _, grade, kind in rows]
    split = stratified("elpv", images, grades, NUM_TRAIN, kinds)
    return replace(split, augmentation=Augmentation(padding=4, flip=True))


def _image(path: Path) -> torch.Tensor:
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as image:
            grey = image.convert("L").reduce(REDUCED)
    except (OSError, SyntaxError) as error:
        raise InputError(
            f"cannot decode the image {path} ({error}): install elpv-dataset again"
        ) from None
    return torch.from_numpy(np.array(grey))[None]
