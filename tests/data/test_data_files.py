"""CIFAR and ImageNet from tiny files in the real formats, whole, missing and damaged."""

import io
import os
import pickle
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from orderdp_train.data import DataSet, Policy, StreamedDataSet, imagenet, load_data
from orderdp_train.runs.readable import check_readable
from tests.data.formats import (
    CIFAR_FILES,
    cifar_files,
    python2_pickle,
    write_cifar,
    write_image_folders,
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one_line(error: BaseException) -> str:
    message = str(error)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_pixels_and_labels_come_out_as_they_were_written(tmp_path, name, classes, archive):
    write_cifar(tmp_path, name, archive=archive)
    data = load_data(name, root=tmp_path)
    assert isinstance(data, DataSet)
    assert (data.num_classes, data.num_test) == (classes, 20)
    files = cifar_files(name, 20)
    _, train, test = CIFAR_FILES[name]
    # The format: a row of 1,024 red, then green, then blue pixels, each row by row.
    pixels = np.concatenate([files[f][b"data"] for f in train])
    for k, channel, row, column in [(0, 0, 0, 0), (5, 1, 3, 7), (len(pixels) - 1, 2, 31, 30)]:
        expected = pixels[k, 1024 * channel + 32 * row + column]
        assert data.train_images[k, channel, row, column] == expected
    key = b"labels" if name == "cifar10" else b"fine_labels"
    assert data.train_labels.tolist() == [y for f in train for y in files[f][key]]
    assert data.test_labels.tolist() == files[test][key]
    assert (data.augmentation.padding, data.augmentation.flip) == (4, True)


def test_label_noise_works_on_cifar(tmp_path):
    write_cifar(tmp_path, "cifar10")
    clean, noisy = (load_data("cifar10", root=tmp_path, label_noise=x) for x in (0, 0.25))
    assert noisy.flipped.sum() == 25
    assert torch.equal(noisy.flipped, clean.train_labels != noisy.train_labels)


def test_missing_cifar_names_folder_layout_and_command(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_data("cifar100", root=tmp_path / "nowhere")
    message = one_line(caught.value)
    for part in (
        f"{tmp_path}/nowhere/cifar-100-python",
        "train, test",
        "cifar-100-python.tar.gz",
        f"orderdp-train run --data cifar100 --root {tmp_path}/nowhere --download",
    ):
        assert part in message


def test_a_missing_batch_is_named(tmp_path):
    write_cifar(tmp_path, "cifar10")
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(FileNotFoundError, match=r"no file .*data_batch_3: expected"):
        load_data("cifar10", root=tmp_path)


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "EOFError"),
        (b"<html>not found</html>", "UnpicklingError"),
        (python2_pickle(cifar_files("cifar100", 5)["train"])[:-900], ""),
        (python2_pickle({b"data": np.zeros((2, 3072), np.uint8)}), "KeyError"),
        (python2_pickle({b"data": np.zeros((2, 9), np.uint8), b"fine_labels": [0, 1]}), "pixels"),
        (python2_pickle({b"data": np.zeros((1, 3072)), b"fine_labels": [0]}), "float64 pixels"),
        (python2_pickle({b"data": np.zeros((1, 3072), np.uint8), b"fine_labels": [100]}), "labels"),
        (python2_pickle({b"data": np.zeros((0, 3072), np.uint8), b"fine_labels": []}), "0 labels"),
        (pickle.dumps(Evil(), protocol=2), "asks for posix.system"),
    ],
)
def test_a_damaged_batch_is_refused_by_name(tmp_path, content, reason):
    write_cifar(tmp_path, "cifar100")
    (tmp_path / "cifar-100-python" / "train").write_bytes(content)
    with pytest.raises(ValueError, match=r"train of cifar100 .* is damaged") as caught:
        load_data("cifar100", root=tmp_path)
    assert reason in one_line(caught.value)
    assert "--download" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_archive_is_refused_by_name(tmp_path, keep):
    write_cifar(tmp_path, "cifar10", archive=True)
    path = tmp_path / "cifar-10-python.tar.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else keep])
    with pytest.raises(ValueError, match=r"cifar-10-python.tar.gz (is damaged|lacks)") as caught:
        load_data("cifar10", root=tmp_path)
    assert "--download" in one_line(caught.value)


def test_a_failed_download_is_one_line(tmp_path, monkeypatch):
    from torchvision import datasets

    monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    with pytest.raises(
        OSError, match=r"cannot download cifar10 into .*: fetch http://127"
    ) as caught:
        load_data("cifar10", root=tmp_path, download=True)
    one_line(caught.value)


# ImageNet


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("imagenet")
    write_image_folders(root)
    return root


def small_images(data: DataSet | StreamedDataSet) -> StreamedDataSet:
    """The same with 32×32 crops, to be quick."""
    assert isinstance(data, StreamedDataSet)
    return replace(data, image_size=32)


def collect(data: StreamedDataSet, split="train", generator=None):
    count = data.num_train if split == "train" else data.num_test
    batches = list(data.batches(torch.arange(count).split(5), split, generator))
    return tuple(torch.cat(parts) for parts in zip(*batches, strict=True))


def test_class_folders_are_read_in_order(folders):
    data = load_data("imagenet", root=folders, num_workers=0)
    assert (data.num_train, data.num_test, data.num_classes, data.image_size) == (12, 6, 3, 224)
    indices, images, labels = collect(small_images(data))
    assert indices.tolist() == list(range(12))
    assert labels.tolist() == [c for c in range(3) for _ in range(4)]
    assert images.shape == (12, 3, 32, 32)


def test_plain_images_are_resized_centre_crops(folders):
    """Against Pillow alone; its crop may lie half a pixel beside torchvision's."""
    data = small_images(load_data("imagenet", root=folders, num_workers=0))
    _, images, _ = collect(data, "test")
    for path, ours in zip(data.test_paths, images, strict=True):
        picture = Image.open(path).convert("RGB")
        scale = 37 / min(picture.size)  # round(32 · 256 / 224) = 37
        size = [int(round(x * scale, 6)) for x in picture.size]
        picture = picture.resize(size, Image.Resampling.BILINEAR)
        left, top = (round((x - 32) / 2) for x in size)
        crop = np.asarray(picture.crop((left, top, left + 32, top + 32)), dtype=np.float32)
        levels = 255 * (ours.permute(1, 2, 0) * data.std + data.mean)
        assert np.abs(levels.numpy() - crop).max() <= 6


def test_augmentation_depends_on_the_seed_and_not_on_the_workers(folders):
    alone, shared = (
        small_images(load_data("imagenet", root=folders, num_workers=k)) for k in (0, 2)
    )
    state = torch.get_rng_state()
    _, first, _ = collect(alone, generator=rng(1))
    assert torch.equal(torch.get_rng_state(), state)
    _, same, _ = collect(shared, generator=rng(1))
    _, other, _ = collect(shared, generator=rng(2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    # Two copies of one image in an epoch are augmented separately.
    ((_, twins, _),) = alone.batches([torch.tensor([3, 3])], generator=rng(3))
    assert not torch.equal(twins[0], twins[1])


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_a_corrupt_jpeg_is_named(folders, tmp_path, damage, num_workers):
    root = tmp_path / "copy"
    shutil.copytree(folders, root)
    victim = root / "train" / "n00000001" / "n00000001_2.JPEG"
    content = victim.read_bytes()
    victim.write_bytes({"truncated": content[:300], "empty": b"", "text": b"hello"}[damage])
    data = small_images(load_data("imagenet", root=root, num_workers=num_workers))
    with pytest.raises(ValueError, match=r"cannot decode the image .*n00000001_2.JPEG") as caught:
        collect(data)
    one_line(caught.value)


def test_missing_imagenet_names_folder_and_layout(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train/CLASS/\*.JPEG .*image-net.org") as caught:
        load_data("imagenet", root=tmp_path)
    assert str(tmp_path / "train") in one_line(caught.value)
    (tmp_path / "train").mkdir()
    with pytest.raises(FileNotFoundError, match="no ImageNet in") as caught:
        load_data("imagenet", root=tmp_path)
    one_line(caught.value)
    (tmp_path / "train" / "n01").mkdir()
    with pytest.raises(FileNotFoundError, match="no ImageNet in") as caught:
        load_data("imagenet", root=tmp_path)
    one_line(caught.value)


def test_class_folders_must_agree(folders, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(folders, root)
    (root / "val" / "n00000002").rename(root / "val" / "n00000009")
    with pytest.raises(ValueError, match="differ, for example n00000002"):
        load_data("imagenet", root=root)


def test_label_noise_works_on_imagenet(folders):
    data = imagenet.load(folders, 0)
    noisy = load_data("imagenet", root=folders, num_workers=0, label_noise=0.5)
    assert noisy.flipped.sum() == 6
    assert torch.equal(noisy.flipped, data.train_labels != noisy.train_labels)


@pytest.fixture
def damaged(folders, tmp_path) -> StreamedDataSet:
    """One training image and the last test image of their classes cannot be decoded."""
    root = tmp_path / "copy"
    shutil.copytree(folders, root)
    for name in ("train/n00000001/n00000001_2", "val/n00000002/n00000002_1"):
        (root / f"{name}.JPEG").write_bytes(b"hello")
    return small_images(load_data("imagenet", root=root, num_workers=0))


def test_an_unreadable_image_is_named_before_training(damaged, folders):
    with pytest.raises(ValueError, match=r"1 of 12 train images .*n00000001_2.JPEG") as caught:
        check_readable(damaged, "stop")
    assert "--unreadable=stand-in" in one_line(caught.value)
    assert check_readable(damaged, "unchecked") is damaged
    whole = small_images(load_data("imagenet", root=folders, num_workers=0))
    assert check_readable(whole, "stop").train_paths == whole.train_paths
    with pytest.raises(ValueError, match="choose one of stop, stand-in, unchecked"):
        check_readable(damaged, "ignore")


def test_the_next_image_of_its_class_stands_in_and_no_index_changes(damaged):
    mended = check_readable(damaged, "stand-in")
    assert mended.train_paths[6] == damaged.train_paths[7]
    assert mended.test_paths[5] == damaged.test_paths[4]  # after the last comes the first
    kept = [i for i in range(12) if i != 6]
    assert [mended.train_paths[i] for i in kept] == [damaged.train_paths[i] for i in kept]
    assert torch.equal(mended.train_labels, damaged.train_labels)
    indices, images, labels = collect(mended)
    assert indices.tolist() == list(range(12))
    assert torch.equal(images[6], images[7])
    assert labels[6] == labels[7]
    with pytest.raises(ValueError, match="no image of its class can stand in"):
        damaged.with_stand_ins("train", dict.fromkeys(range(4, 8), "unreadable"))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_one_loader_serves_a_whole_training(folders, monkeypatch, num_workers):
    """Selections at every step, and somebody who looks at other samples in the middle of one."""
    made = []
    loader = imagenet.DataLoader

    def counted(*args, **kwargs):
        made.append(loader(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(imagenet, "DataLoader", counted)
    data = small_images(load_data("imagenet", root=folders, num_workers=num_workers))
    fresh = []
    for k in range(5):
        fresh += data.batches([torch.tensor([k, 11 - k])])
    assert len(made) == 1
    for k, (indices, images, _) in enumerate(fresh):
        assert indices.tolist() == [k, 11 - k]
        assert torch.equal(images[0], fresh[-1][1][0]) == (k == 4)
    for indices, images, _ in data.batches(torch.arange(12).split(3)):
        ((_, again, _),) = data.batches([indices])
        assert torch.equal(images, again)
    assert len(made) == 2
    for view in range(3):  # an audit's, each by a recipe that changes images
        list(data.with_policy(Policy(erasing=0.5)).batches([torch.arange(12)], view=view))
    assert len(made) == 3


def test_nested_labels_are_refused(tmp_path):
    write_cifar(tmp_path, "cifar100")
    nested = {b"data": np.zeros((2, 3072), np.uint8), b"fine_labels": [[1, 2], [3, 4]]}
    (tmp_path / "cifar-100-python" / "train").write_bytes(pickle.dumps(nested, protocol=2))
    with pytest.raises(ValueError, match=r"train of cifar100 .* is damaged"):
        load_data("cifar100", root=tmp_path)


def test_an_archive_that_unpacks_to_more_than_the_set_has_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("orderdp_train.data.cifar.LARGEST_FILE", 1000)
    with tarfile.open(tmp_path / "cifar-100-python.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("cifar-100-python/train")
        member.size = 1001
        archive.addfile(member, io.BytesIO(bytes(1001)))
    with pytest.raises(ValueError, match=r"unpacks to 1,001 bytes of cifar-100-python/train"):
        load_data("cifar100", root=tmp_path)


def test_an_image_that_is_a_line_is_refused_by_name(tmp_path):
    from PIL import Image

    from orderdp_train.data.imagenet import _Files

    path = tmp_path / "line.png"
    Image.new("RGB", (20_000, 1)).save(path)
    for seed in (None, 1):
        _, message = _Files((str(path),), 224)[0, seed]
        assert "line.png is a line, 20000 × 1 pixels" in str(message)
