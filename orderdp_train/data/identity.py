"""What tells two data sets of one size apart, without reading all of either."""

import hashlib
from pathlib import Path

import torch

from orderdp_train.data.dataset import DataSet
from orderdp_train.data.imagenet import StreamedDataSet
from orderdp_train.data.prose import TextDataSet

SAMPLED = 64  # inputs of either split, evenly spaced


def fingerprint(data: DataSet | StreamedDataSet | TextDataSet) -> str:
    """SHA-256, in hexadecimal, of sizes, all labels and a sample of the inputs.

    Of a streamed set the files are read, whose folders may have moved.
    """
    digest = hashlib.sha256()
    for split, count in (("train", data.num_train), ("test", data.num_test)):
        digest.update(f"{data.name} {split} {count} {data.num_classes}\n".encode())
        chosen = torch.linspace(0, count - 1, min(count, SAMPLED), dtype=torch.float64).long()
        if isinstance(data, StreamedDataSet):
            paths = data.train_paths if split == "train" else data.test_paths
            for path in (Path(paths[i]) for i in chosen.tolist()):
                digest.update(f"{path.parent.name}/{path.name}\n".encode() + path.read_bytes())
            inputs = chosen
        elif isinstance(data, TextDataSet):
            inputs = getattr(data, f"{split}_bytes")[chosen.to(data.device)]
        else:
            inputs = getattr(data, f"{split}_images")[chosen.to(data.device)]
        digest.update(inputs.cpu().numpy().tobytes())
        if not isinstance(data, TextDataSet):
            digest.update(getattr(data, f"{split}_labels").cpu().numpy().tobytes())
    return digest.hexdigest()
