"""Numbers read off a finished training."""

import math
from collections.abc import Callable
from statistics import fmean, pstdev
from typing import Any

from orderdp_train.runs.history import History

Measure = Callable[[History], float]

ROLLING = 5  # epochs of the moving standard deviation of Figure 1


def final_accuracy(history: History) -> float:
    """Test accuracy in % after the last epoch."""
    return 100 * history.rows[-1]["test_accuracy"]


def saved(history: History) -> float:
    """Share of the samples a full training would use that was not used, in %."""
    used = sum(row["kept"] for row in history.rows)
    return 100 * (1 - used / (len(history.rows) * len(history.usage)))


def kept(history: History) -> float:
    """The share that was used, in %."""
    return 100 - saved(history)


def hours(history: History) -> float:
    """Hours of selecting and training; evaluation does not count."""
    return sum(_seconds(row) for row in history.rows) / 3600


def hours_until(epoch: int) -> Measure:
    """The same up to this epoch, counted from 1."""
    return lambda history: sum(_seconds(row) for row in history.rows[:epoch]) / 3600


def at_epoch(metric: str, epoch: int, factor: float = 1) -> Measure:
    """A metric of one epoch, counted from 1."""
    return lambda history: factor * history.rows[epoch - 1][metric]


def rolling_deviation(epoch: int) -> Measure:
    """Standard deviation of the gradient norm over the last few epochs."""

    def measure(history: History) -> float:
        window = history.rows[max(epoch - ROLLING, 0) : epoch]
        return pstdev(row["grad_norm_mean"] for row in window)

    return measure


def over_phase(metric: str, phase: str, factor: float = 1) -> Measure:
    """Mean of a metric over a phase like "20-40", in % of the epochs, or at the end ("100").

    An epoch belongs to the phase in which it ends. A metric that does not exist in some epoch (the
    first has no Jaccard similarity) is left out of the mean.
    """

    def measure(history: History) -> float:
        pairs = [(row["epoch"], row[metric]) for row in history.rows]
        return factor * _phase_mean(pairs, phase, len(history.rows))

    return measure


def cosine_over_phase(kind: str, phase: str) -> Measure:
    """The same for the cosines, "drawn" or "expected"."""

    def measure(history: History) -> float:
        pairs = [(g.epoch, getattr(g, kind)) for g in history.gradients]
        return _phase_mean(pairs, phase, len(history.rows))

    return measure


def mean_bias(history: History) -> float:
    """|E g~ − ∇L| / |∇L|, the mean over the epochs at which it was measured."""
    return fmean(g.bias for g in history.gradients)


def mean_angle(history: History) -> float:
    """Angle of E g~ to ∇L in degrees, the mean over the same epochs."""
    cosines = (max(-1.0, min(g.expected, 1.0)) for g in history.gradients)
    return fmean(math.degrees(math.acos(cosine)) for cosine in cosines)


def jaccard_ceiling(explore: float) -> Measure:
    """No OrderDP whose candidates are drawn anew each epoch has a higher expected similarity.

    To be kept again a sample has to be a candidate again, which has probability x = s/n whatever
    its score: two selections of q share q x samples at most, out of 2 q − q x.
    """

    def measure(history: History) -> float:
        x = round(explore * len(history.usage)) / len(history.usage)
        return x / (2 - x)

    return measure


def used_times(count: int) -> Measure:
    """Number of samples that were used exactly this often."""
    return lambda history: float((history.usage == count).sum())


def accuracy_gradient_correlation(history: History) -> float:
    """Pearson's correlation of test accuracy and gradient norm over the epochs."""
    x = [row["test_accuracy"] for row in history.rows]
    y = [row["grad_norm_mean"] for row in history.rows]
    mx, my = fmean(x), fmean(y)
    covariance = fmean((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    return covariance / (pstdev(x) * pstdev(y))


def _seconds(row: dict[str, Any]) -> float:
    return row["seconds_selection"] + row["seconds_training"]


def _phase_mean(pairs: list[tuple[int, float | None]], phase: str, epochs: int) -> float:
    if phase in ("100", "final"):
        wanted = [value for epoch, value in pairs if epoch == epochs]
    else:
        low, high = (int(part) for part in phase.split("-"))
        wanted = [v for epoch, v in pairs if low * epochs < 100 * epoch <= high * epochs]
    return fmean(value for value in wanted if value is not None)
