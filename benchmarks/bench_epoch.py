"""An epoch at a kept fraction against an epoch on everything: selecting must cost nothing."""

from collections.abc import Iterator

import torch

from benchmarks.common import Ratio, duration, report
from orderdp_train import Recipe, build_rule, train
from orderdp_train.data import DataSet, load_data, synthetic
from orderdp_train.models import build_model
from orderdp_train.runs.driver import limit_threads

ALLOWED = 0.03  # of an epoch on everything, beyond the kept fraction


def epoch_seconds(
    data: DataSet, model_name: str, rule_name: str, keep: float, rounds: int
) -> Iterator[float]:
    """Seconds of selection and training of one epoch after the other."""
    torch.manual_seed(0)
    model = build_model(
        model_name,
        in_channels=data.in_channels,
        num_classes=data.num_classes,
        image_size=data.image_size,
    ).to(data.device)
    rule = build_rule(rule_name, data.num_train, keep, device=data.device)
    recipe = Recipe(epochs=rounds + 1, batch_size=64)
    for epoch in train(model, data, rule, recipe):
        yield epoch.seconds_selection + epoch.seconds_training


def ratio(data: DataSet, model: str, keep: float, rounds: int) -> Ratio:
    """The best epochs of both, taken in turn so that they meet the same machine."""
    pairs = zip(
        epoch_seconds(data, model, "orderdp", keep, rounds),
        epoch_seconds(data, model, "full", 1.0, rounds),
        strict=True,
    )
    next(pairs)  # the first epoch allocates
    pruned, full = (min(times) for times in zip(*pairs, strict=True))
    return Ratio(
        f"time of an epoch, {model} on {data.name}, n = {data.num_train:,}",
        f"orderdp, {keep:.0%} kept, {duration(pruned)}",
        f"full data {duration(full)}",
        pruned / full,
        at_most=round(keep + ALLOWED, 3),
    )


def ratios() -> Iterator[Ratio]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    mnist = load_data("mnist5k", device=device)
    assert isinstance(mnist, DataSet)
    threads = torch.get_num_threads()
    limit_threads("cnn")  # as the commands do
    for keep in (0.1, 0.3, 0.7):
        yield ratio(mnist, "cnn", keep, rounds=12)
    torch.set_num_threads(threads)
    cifar_shaped = synthetic.make(320, 1, torch.Generator().manual_seed(0)).to(device)
    yield ratio(cifar_shaped, "resnet18", 0.3, rounds=4)


def main() -> None:
    report(ratios())


if __name__ == "__main__":
    main()
