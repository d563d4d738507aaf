"""Images a second from JPEG files: the streamed path against ImageFolder in a DataLoader.

The pictures are the photographs of solar cells in elpv-dataset, or the two that scikit-learn ships,
at 500×375 pixels, as most of ImageNet's are. Both sides have the same worker processes.
"""

import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.common import Ratio, report, seconds
from orderdp_train.data import StreamedDataSet, load_data

NUM_IMAGES, BATCH, WORKERS, ROUNDS = 512, 64, 2, 4


def photographs() -> list[Image.Image]:
    from sklearn.datasets import load_sample_images

    found = [Image.fromarray(image) for image in load_sample_images().images]
    spec = find_spec("elpv_dataset")
    if spec is not None and spec.origin is not None:
        paths = sorted((Path(spec.origin).parent / "data" / "images").glob("*.png"))[:62]
        found += [Image.open(path).convert("RGB") for path in paths]
    return [image.resize((500, 375)) for image in found]


def write(root: Path) -> None:
    """Class folders of crops of the photographs, each saved as a JPEG of its own."""
    pictures = photographs()
    for split, count in (("train", NUM_IMAGES), ("val", 2)):
        for k in range(count):
            folder = root / split / f"class{k % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            picture = pictures[k % len(pictures)]
            shift = k // len(pictures)
            picture.transform(
                picture.size, Image.Transform.AFFINE, (1, 0, shift, 0, 1, shift)
            ).save(folder / f"{k:04}.JPEG", quality=90)


def main() -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write(root)
        data = load_data("imagenet", root=root, num_workers=WORKERS, device=device)
        assert isinstance(data, StreamedDataSet)
        usual = transforms.Compose(
            [
                transforms.RandomResizedCrop(224),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(data.mean.tolist(), data.std.tolist()),
            ]
        )
        loader = DataLoader(
            ImageFolder(str(root / "train"), usual),
            batch_size=BATCH,
            shuffle=True,
            num_workers=WORKERS,
            persistent_workers=True,
        )
        generator = torch.Generator().manual_seed(0)

        def ours() -> None:
            order = torch.randperm(NUM_IMAGES, generator=generator)
            for _ in data.batches(order.split(BATCH), generator=generator):
                pass

        def theirs() -> None:
            for images, labels in loader:
                images.to(device), labels.to(device)

        ours(), theirs()  # the first round starts workers
        fast, slow = (NUM_IMAGES / time for time in seconds(ours, theirs, rounds=ROUNDS))
    report(
        [
            Ratio(
                f"500×375 JPEGs a second, decoded, cropped, flipped, {WORKERS} workers",
                f"streamed {fast:,.0f}/s",
                f"`ImageFolder`, `DataLoader` {slow:,.0f}/s",
                fast / slow,
                at_least=1,
            )
        ]
    )


if __name__ == "__main__":
    main()
