"""Writes tiny data sets in exactly the formats the real ones have on disk."""

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CIFAR_FILES = {
    "cifar10": ("cifar-10-batches-py", [f"data_batch_{k}" for k in range(1, 6)], "test_batch"),
    "cifar100": ("cifar-100-python", ["train"], "test"),
}


class _Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its str, which is what the published files hold."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_str2(self, value: bytes) -> None:
        short = len(value) < 256
        head = b"U" + bytes([len(value)]) if short else b"T" + len(value).to_bytes(4, "little")
        self.write(head + value)
        self.memoize(value)

    dispatch[bytes] = save_str2


def python2_pickle(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Python2Pickler(buffer, protocol=2).dump(value)
    # numpy has moved the module since.
    return buffer.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")


def cifar_files(name: str, per_file: int, seed: int = 0) -> dict[str, dict[bytes, Any]]:
    """The content of each file: random pixels, labels that cover the classes as far as they go."""
    _, train, test = CIFAR_FILES[name]
    rng = np.random.default_rng(seed)
    files: dict[str, dict[bytes, Any]] = {}
    for file in [*train, test]:
        content: dict[bytes, Any] = {
            b"batch_label": f"{file} of a few".encode(),
            b"data": rng.integers(0, 256, (per_file, 3072), dtype=np.uint8),
            b"filenames": [f"picture_{k}.png".encode() for k in range(per_file)],
        }
        if name == "cifar10":
            content[b"labels"] = [k % 10 for k in range(per_file)]
        else:
            content[b"fine_labels"] = [(7 * k) % 100 for k in range(per_file)]
            content[b"coarse_labels"] = [k % 20 for k in range(per_file)]
        files[file] = content
    return files


def write_cifar(root: Path, name: str, *, archive: bool = False, per_file: int = 20) -> None:
    folder = CIFAR_FILES[name][0]
    encoded = {f: python2_pickle(c) for f, c in cifar_files(name, per_file).items()}
    if archive:
        stem = "cifar-10" if name == "cifar10" else "cifar-100"
        with tarfile.open(root / f"{stem}-python.tar.gz", "w:gz") as tar:
            for file, content in encoded.items():
                info = tarfile.TarInfo(f"{folder}/{file}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return
    (root / folder).mkdir(parents=True)
    for file, content in encoded.items():
        (root / folder / file).write_bytes(content)


def smooth_image(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """A slope in each channel, which JPEG keeps to within a few levels."""
    y, x = np.mgrid[0:height, 0:width]
    slopes = rng.uniform(-1, 1, (2, 3))
    image = 128 + 100 * (slopes[0] * y[..., None] / height + slopes[1] * x[..., None] / width)
    return image.clip(0, 255).astype(np.uint8)


def write_image_folders(root: Path, *, classes: int = 3, train: int = 4, val: int = 2) -> None:
    """JPEG class folders: sizes and orientations differ, and one file is grey-scale."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for c in range(classes):
            folder = root / split / f"n{c:08d}"
            folder.mkdir(parents=True)
            for k in range(count):
                height, width = rng.integers(40, 80, 2)
                image = Image.fromarray(smooth_image(rng, height, width))
                if (split, c, k) == ("train", 0, 0):
                    image = image.convert("L")
                image.save(folder / f"n{c:08d}_{k}.JPEG", quality=95)
