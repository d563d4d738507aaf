"""The definitions of the methods, written naively, and awkward inputs for them."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from orderdp_train.scores import LastLayer

EPS = np.finfo(np.float64).eps


@st.composite
def feature_sets(draw: st.DrawFn, max_n: int = 9, max_d: int = 3) -> NDArray[np.float64]:
    """Features `(n, d)`: generic, on a small grid (ties and duplicates), constant, huge, tiny."""
    n, d = draw(st.integers(1, max_n)), draw(st.integers(1, max_d))
    element = draw(
        st.sampled_from(
            [
                st.floats(-10, 10, width=32),
                st.integers(0, 2).map(float),
                st.just(3.0),
                st.floats(-1e100, 1e100),
                st.floats(-1e-100, 1e-100),
            ]
        )
    )
    rows = st.lists(element, min_size=d, max_size=d)
    return np.array(draw(st.lists(rows, min_size=n, max_size=n)))


@st.composite
def distribution_sets(draw: st.DrawFn, max_n: int = 8) -> NDArray[np.float64]:
    """Probabilities `(n, c)`, where zeros and one-hot rows are common."""
    n, c = draw(st.integers(1, max_n)), draw(st.integers(2, 4))
    mass = st.lists(st.integers(0, 3), min_size=c, max_size=c).filter(any)
    counts = np.array(draw(st.lists(mass, min_size=n, max_size=n)), dtype=np.float64)
    return counts / counts.sum(1, keepdims=True)


def radius(x: NDArray[np.float64]) -> float:
    """The largest distance from the mean."""
    return float(np.linalg.norm(x - x.mean(0), axis=1).max())


def regrets(
    gain: Callable[[Sequence[int], int], float], chosen: Sequence[int], n: int, start: int = 0
) -> list[float]:
    """By how much each choice, from number `start` on, falls short of the best choice then."""
    short = []
    for t in range(start, len(chosen)):
        before = list(chosen[:t])
        gains = {i: gain(before, i) for i in range(n) if i not in before}
        best, taken = max(gains.values()), gains[chosen[t]]
        short.append(0.0 if best == taken else best - taken)
    return short


def herding_gain(x: NDArray[np.float64]) -> Callable[[Sequence[int], int], float]:
    """Minus the squared distance of the next mean, times its size, from the mean of all."""
    centred = x - x.mean(0)
    return lambda before, i: -float(np.square(centred[[*before, i]].sum(0)).sum())


def covering_gain(x: NDArray[np.float64]) -> Callable[[Sequence[int], int], float]:
    """Squared distance to the nearest sample taken."""
    return lambda before, i: min(float(np.square(x[i] - x[j]).sum()) for j in before)


def kl(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    """KL(p, q) by its definition in extended reals."""
    total = 0.0
    for a, b in zip(p.tolist(), q.tolist(), strict=True):
        if a > 0:
            total += math.inf if b == 0 else a * math.log(a / b)
    return total


def diversity_gain(p: NDArray[np.float64]) -> Callable[[Sequence[int], int], float]:
    """Symmetric KL divergence to the nearest sample taken."""
    return lambda before, i: min((kl(p[i], p[j]) + kl(p[j], p[i])) / 2 for j in before)


def pairwise(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """All distances, `(n, n)`, from differences."""
    return np.linalg.norm(x[:, None] - x[None], axis=2)


def facility_location(distances: NDArray[np.float64], subset: Sequence[int], far: float) -> float:
    """Sum over samples of far minus the distance to the nearest in the subset; 0 if it is empty."""
    if not len(subset):
        return 0.0
    return float((far - distances[:, list(subset)].min(1)).sum())


def random_layer(
    n: int, c: int, h: int, seed: int, dtype: torch.dtype = torch.float64
) -> LastLayer:
    """A last layer over Gaussian features, its logits those of a Gaussian linear map."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, h, generator=generator, dtype=dtype)
    weights = torch.randn(c, h + 1, generator=torch.Generator().manual_seed(0), dtype=dtype)
    logits = features @ weights[:, :h].T + weights[:, h]
    targets = torch.randint(c, (n,), generator=generator)
    return LastLayer(logits, features, targets)


def weights_of(layer: LastLayer) -> Tensor:
    """The `(c, h + 1)` map that gives the layer's logits."""
    return torch.linalg.lstsq(layer.inputs, layer.logits.double()).solution.T


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
