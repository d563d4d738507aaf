"""Random draws of the kept ranks."""

import numpy as np
from numpy.typing import NDArray

from orderdp_theory.design import Design


def draw_ranks(design: Design, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Ranks kept in `size` independent draws: int64 `(size, q)`, 1-based, each row ascending."""
    n, s, q = design.n, design.s, design.q
    rows = [np.sort(rng.choice(n, s, replace=False))[:q] + 1 for _ in range(size)]
    return np.array(rows, dtype=np.int64).reshape(size, q)
