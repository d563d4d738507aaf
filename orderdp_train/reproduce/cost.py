"""What a result costs, before it is started: rough figures for planning."""

from dataclasses import dataclass

from orderdp_train.reproduce.gradients import looked_at
from orderdp_train.reproduce.results import Result
from orderdp_train.reproduce.scales import Scale
from orderdp_train.reproduce.sweeping import Cell

SAMPLES = {
    "digits": 1_500,
    "mnist5k": 4_000,
    "cifar10": 50_000,
    "cifar100": 50_000,
    "imagenet": 1_281_167,
}
# Table 3: 90 epochs of ImageNet took 70.4 GPU hours with ResNet-50. The other networks are scaled
# by their multiplications, in units of 1e9 an image; the small CNN was timed.
SECONDS_PER_MULTIPLICATIONS = 70.4 * 3600 / (90 * SAMPLES["imagenet"]) / 4.1
SECONDS = {
    ("digits", "cnn"): 1.5e-4,
    ("mnist5k", "cnn"): 2e-4,
    ("digits", "swin-smoke"): 6e-4,
    ("digits", "mae-tiny"): 5e-4,
    ("digits", "vit-tiny"): 4e-4,
    ("cifar10", "resnet18"): 0.56 * SECONDS_PER_MULTIPLICATIONS,
    ("cifar10", "resnet50"): 1.3 * SECONDS_PER_MULTIPLICATIONS,
    ("cifar100", "resnet18"): 0.56 * SECONDS_PER_MULTIPLICATIONS,
    ("cifar100", "resnet50"): 1.3 * SECONDS_PER_MULTIPLICATIONS,
    ("imagenet", "resnet18"): 1.8 * SECONDS_PER_MULTIPLICATIONS,
    ("imagenet", "resnet50"): 4.1 * SECONDS_PER_MULTIPLICATIONS,
    ("imagenet", "swin_tiny_patch4_window7_224"): 4.5 * SECONDS_PER_MULTIPLICATIONS,
    ("imagenet", "vit-base"): 17.5 * SECONDS_PER_MULTIPLICATIONS,
    # A quarter of the encoder, and the decoder.
    ("imagenet", "mae-base"): (17.5 / 4 + 5.2) * SECONDS_PER_MULTIPLICATIONS,
}
BELOW_MEAN = 0.7  # share of the samples that InfoBatch may prune: typical of a trained network
START_UP = 4.0  # seconds to read the data and set up


@dataclass(frozen=True)
class Cost:
    """Trainings and hours on one of the scale's processors."""

    trainings: int
    hours: float


def estimate(result: Result, scale: Scale, seeds: int) -> Cost:
    """Estimate a result at a scale, from nothing."""
    cells = result.cells(scale)
    configs = [cell.config for cell in cells]
    seconds = sum(map(_seconds, cells))
    for needed, cost in (("needs_recording", _recording), ("needs_holdout", _judges)):
        settings = {
            (c.data, c.model, c.recipe.epochs) for c in configs if getattr(c.rule.rule, needed)
        }
        seconds += sum(cost(*setting) for setting in settings)
    return Cost(len(cells) * seeds, seeds * seconds / 3600)


def _recording(data: str, model: str, epochs: int) -> float:
    """Three proxies trained to the end, one asked for DeepFool too, and nine for EL2N-20."""
    passes = 4 * epochs + 9 * min(epochs, 20)
    return 3 * START_UP + passes * SAMPLES[data] * SECONDS[data, model]


def _judges(data: str, model: str, epochs: int) -> float:
    """Two proxies, each trained on half of the samples."""
    return 2 * START_UP + epochs * SAMPLES[data] * SECONDS[data, model]


def _seconds(cell: Cell) -> float:
    config = cell.config
    kept = config.rule.keep
    if config.rule.name == "infobatch":
        kept = 1 - BELOW_MEAN * (1 - kept)
    epochs = config.recipe.epochs * kept
    if cell.gradients:
        epochs += 3 * len(looked_at(config.recipe.epochs))  # three gradients over all samples
    before = _seconds(Cell(cell.pretraining)) if cell.pretraining else 0.0
    return before + START_UP + epochs * SAMPLES[config.data] * SECONDS[config.data, config.model]
