"""CIFAR-10 and CIFAR-100 from the published files, unpacked or still in the archive."""

import io
import pickle
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.data.augment import Augmentation
from orderdp_train.data.dataset import DataSet, pixel_statistics

PIXELS = 3 * 32 * 32
LARGEST_FILE = 2**28  # bytes; the largest of the published ones has 155 million
# All that a pickled array needs, by the names it asks for.
ARRAY_PARTS: dict[str, Any] = {
    "_reconstruct": np.empty(0).__reduce__()[0],
    "ndarray": np.ndarray,
    "dtype": np.dtype,
}


@dataclass(frozen=True)
class Layout:
    """Where one of the two sets keeps what."""

    name: str
    folder: str
    archive: str
    train_files: tuple[str, ...]
    test_file: str
    label_key: bytes
    num_classes: int

    def describe(self, root: Path) -> str:
        """What should lie where, and the command that puts it there, for error messages."""
        names = ", ".join((*self.train_files, self.test_file))
        return (
            f"expected the folder {root / self.folder} with {names}, or {root / self.archive}; "
            f"get it with: orderdp-train run --data {self.name} --root {root} --download"
        )


CIFAR10 = Layout(
    name="cifar10",
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    train_files=tuple(f"data_batch_{k}" for k in range(1, 6)),
    test_file="test_batch",
    label_key=b"labels",
    num_classes=10,
)
CIFAR100 = Layout(
    name="cifar100",
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    train_files=("train",),
    test_file="test",
    label_key=b"fine_labels",
    num_classes=100,
)


def load(layout: Layout, root: Path, download: bool = False) -> DataSet:
    """Read the set below `root`: the unpacked folder if there is one, otherwise the archive.

    Raises:
        FileNotFoundError: neither is there, or the folder lacks a file.
        ValueError: a file is damaged; the message names it.
        OSError: the download failed.
    """
    if download:
        _download(layout, root)
    files = _read_folder(layout, root) if (root / layout.folder).is_dir() else None
    if files is None:
        files = _read_archive(layout, root)
    train = [_parse(layout, root, name, files[name]) for name in layout.train_files]
    test_images, test_labels = _parse(layout, root, layout.test_file, files[layout.test_file])
    train_images = torch.cat([images for images, _ in train])
    mean, std = pixel_statistics(train_images)
    return DataSet(
        name=layout.name,
        train_images=train_images,
        train_labels=torch.cat([labels for _, labels in train]),
        test_images=test_images,
        test_labels=test_labels,
        mean=mean,
        std=std,
        num_classes=layout.num_classes,
        flipped=torch.zeros(len(train_images), dtype=torch.bool),
        augmentation=Augmentation(padding=4, flip=True),
    )


def _read_folder(layout: Layout, root: Path) -> dict[str, bytes]:
    try:
        return {
            name: (root / layout.folder / name).read_bytes()
            for name in (*layout.train_files, layout.test_file)
        }
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no file {error.filename}: {layout.describe(root)}") from None


def _read_archive(layout: Layout, root: Path) -> dict[str, bytes]:
    path = root / layout.archive
    wanted = {*layout.train_files, layout.test_file}
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if member.size > LARGEST_FILE:
                    raise InputError(
                        f"{path} unpacks to {member.size:,} bytes of {member.name}, which no file "
                        f"of the set has: {layout.describe(root)}"
                    )
                content = archive.extractfile(member) if name in wanted else None
                if content is not None:
                    files[name] = content.read()
    except FileNotFoundError:
        raise FileNotFoundError(f"no {layout.name} in {root}: {layout.describe(root)}") from None
    except (tarfile.TarError, EOFError, zlib.error) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is damaged ({reason}): {layout.describe(root)}") from None
    if missing := sorted(wanted - files.keys()):
        raise InputError(f"{path} lacks {', '.join(missing)}: {layout.describe(root)}")
    return files


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles arrays and plain containers, and refuses to import anything else.

    The files are pickles of Python 2, which name modules numpy has since moved.
    """

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy" and name in ARRAY_PARTS:
            return ARRAY_PARTS[name]
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes in protocol 2
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _parse(layout: Layout, root: Path, name: str, content: bytes) -> tuple[Tensor, Tensor]:
    """Images uint8 `(n, 3, 32, 32)` and labels int64 `(n,)` of one pickled batch."""
    try:
        batch = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        images = np.asarray(batch[b"data"])
        labels = np.asarray(batch[layout.label_key], dtype=np.int64)
        if (
            images.dtype != np.uint8
            or labels.shape != images.shape[:1]
            or images.shape[1:] != (PIXELS,)
            or not len(labels)
        ):
            raise InputError(
                f"{images.dtype} pixels {images.shape} for {len(labels)} labels {labels.shape}"
            )
        if labels.min() < 0 or labels.max() >= layout.num_classes:
            raise InputError(f"labels outside 0 … {layout.num_classes - 1}")
    # A damaged pickle can raise nearly anything.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(
            f"{name} of {layout.name} in {root} is damaged ({reason}): {layout.describe(root)}"
        ) from None
    return torch.from_numpy(images.copy()).view(-1, 3, 32, 32), torch.from_numpy(labels)


def _download(layout: Layout, root: Path) -> None:
    from torchvision import datasets

    fetch = datasets.CIFAR10 if layout.name == "cifar10" else datasets.CIFAR100
    try:
        fetch(root, download=True)
    except (URLError, RuntimeError) as error:
        raise OSError(
            f"cannot download {layout.name} into {root} ({error}): fetch {fetch.url} by other "
            f"means and put it into that folder"
        ) from None
