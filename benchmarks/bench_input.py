"""Images a second: the on-device input path against a torchvision dataset in a DataLoader."""

import torch
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from benchmarks.common import Ratio, report, seconds
from orderdp_train.data import DataSet, synthetic

NUM_IMAGES, BATCH, WORKERS, ROUNDS = 10_000, 128, 2, 4


def torchvision_loader(data: DataSet) -> DataLoader:
    """The same images as a torchvision CIFAR-10, with the same transforms, in worker processes."""
    dataset = datasets.CIFAR10.__new__(datasets.CIFAR10)  # without the files it would look for
    dataset.data = data.train_images.permute(0, 2, 3, 1).numpy()
    dataset.targets = data.train_labels.tolist()
    dataset.target_transform = None
    dataset.transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4, padding_mode="reflect"),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(data.mean.tolist(), data.std.tolist()),
        ]
    )
    return DataLoader(
        dataset, batch_size=BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True
    )


def main() -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = torch.Generator().manual_seed(0)
    data = synthetic.make(NUM_IMAGES, 1, generator)
    on_device, loader = data.to(device), torchvision_loader(data)

    def ours() -> None:
        order = torch.randperm(NUM_IMAGES, generator=generator)
        for _ in on_device.batches(order.split(BATCH), generator=generator):
            pass
        if device.type == "cuda":
            torch.cuda.synchronize()

    def theirs() -> None:
        for images, labels in loader:
            images.to(device), labels.to(device)

    ours(), theirs()  # the first round starts workers and allocates
    fast, slow = (NUM_IMAGES / time for time in seconds(ours, theirs, rounds=ROUNDS))
    what = "CIFAR-shaped images a second, cropped, flipped, normalised"
    numerator = f"on {device} {fast:,.0f}/s"
    denominator = f"`DataLoader`, {WORKERS} workers {slow:,.0f}/s"
    report([Ratio(what, numerator, denominator, fast / slow, at_least=5)])


if __name__ == "__main__":
    main()
