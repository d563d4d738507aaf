"""Panels that figures of single runs and of reproduced results share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike


def band(ax: Axes, x: ArrayLike, mean: ArrayLike, std: ArrayLike, color: Any, **line: Any) -> None:
    """A curve with a band of one standard deviation on both sides; none where that is NaN."""
    middle, width = np.asarray(mean, dtype=float), np.nan_to_num(np.asarray(std, dtype=float))
    ax.plot(x, middle, color=color, **line)
    ax.fill_between(x, middle - width, middle + width, color=color, alpha=0.2, linewidth=0)


def joint(
    ax: Axes, norms: ArrayLike, accuracies: ArrayLike, color: Any, label: str, marker: str = "."
) -> None:
    """Test accuracy against gradient norm, a point an epoch and seed."""
    x, y = np.ravel(norms), np.ravel(accuracies)
    ax.plot(x, y, marker, color=color, label=label, markersize=2)
    ax.set_xlabel("gradient norm")
    ax.set_ylabel("test accuracy (%)")


def usage(ax: Axes, counts: Sequence[float], mean: ArrayLike, std: ArrayLike, color: Any) -> None:
    """How many samples were used so many times."""
    ax.bar(counts, mean, yerr=np.nan_to_num(std), color=color, error_kw={"elinewidth": 0.6})
    ax.set_ylabel("samples")
