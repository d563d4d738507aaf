"""Images a second: on-device input path against a torchvision dataset in a DataLoader."""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from orderdp_train.data import DataSet, synthetic

NUM_IMAGES, BATCH, WORKERS, ROUNDS, REQUIRED = 10_000, 128, 2, 5, 5.0


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


def images_per_second(epoch: Callable[[], None]) -> float:
    start = time.perf_counter()
    epoch()
    return NUM_IMAGES / (time.perf_counter() - start)


def main() -> None:
    """Alternate the two, so that both meet the same machine, and print the median ratio."""
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
    rounds = [(images_per_second(ours), images_per_second(theirs)) for _ in range(ROUNDS)]
    ratio = median(a / b for a, b in rounds)
    print(
        f"input path on {device}: {median(a for a, _ in rounds):,.0f} images/s, DataLoader with "
        f"{WORKERS} workers {median(b for _, b in rounds):,.0f} images/s: "
        f"ratio {ratio:.1f} (required: at least {REQUIRED:g})"
    )


if __name__ == "__main__":
    main()
