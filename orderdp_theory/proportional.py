"""Inclusion probabilities proportional to size, with a cap at 1 and a floor for everybody.

With sizes that are the norms of per-sample gradients, they make the main part of the variance of a
Horvitz-Thompson estimate as small as a budget allows. Statements and proofs:
proofs/survey_sampling.md.
"""

import operator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orderdp_theory.arguments import checked, double_array
from orderdp_theory.common.errors import InputError

Array = NDArray[np.float64]

# Sizes below this share of the largest count as 0: their reciprocals may overflow.
NEGLIGIBLE = 1e-300


@checked
def proportional_inclusion(sizes: ArrayLike, m: int, floor: float = 0.0) -> Array:
    """The pi, float64 `(n,)`, that minimise sum_i sizes_i^2 / pi_i at sum pi = m, floor <= pi <= 1.

    pi_i = min(1, max(floor, c sizes_i)) with the c at which they sum to m, to about 1e-15 m. What
    the samples of size 0 must take because the others have reached 1 is shared evenly.

    sizes: `(n,)`, not negative; only their ratios matter. m: the budget, 1 <= m <= n. floor: at
    most m / n. O(n log n), the time of a sort. `ValueError` for anything else.

    Example:
        >>> proportional_inclusion([6.0, 3.0, 2.0, 1.0], m=2).round(4).tolist()
        [1.0, 0.5, 0.3333, 0.1667]
        >>> proportional_inclusion([6.0, 3.0, 2.0, 1.0], m=2, floor=0.25).round(4).tolist()
        [0.9545, 0.4773, 0.3182, 0.25]
    """
    sizes = double_array(sizes, "sizes")
    if sizes.ndim != 1 or not sizes.size or not np.all(np.isfinite(sizes) & (sizes >= 0)):
        raise InputError(f"sizes must be finite numbers >= 0, shape (n,), got {sizes.shape}")
    n, m = len(sizes), operator.index(m)
    if not 1 <= m <= n:
        raise InputError(f"cannot keep {m} of {n} samples: the number must lie in 1..{n}")
    if not 0 <= floor <= m / n:
        raise InputError(f"a floor of {floor} for all of {n} does not fit a budget of {m}")
    x = sizes / (sizes.max() or 1.0)
    x[x < NEGLIGIBLE] = 0.0
    positive = x > 0
    others = n - int(positive.sum())
    if n - others + others * floor <= m:
        return np.where(positive, 1.0, (m - (n - others)) / max(others, 1))

    # The sum rises with c and is linear between the c at which a sample leaves the floor or
    # reaches the cap: find the piece, then solve on it.
    to_cap = np.divide(1.0, x, out=np.full(n, np.inf), where=positive)
    to_floor = np.divide(floor, x, out=np.full(n, np.inf), where=positive)
    bends = np.sort(np.concatenate([to_cap[positive], to_floor[positive]]))
    low, high = 0, len(bends) - 1  # the sum reaches m at bends[high], if not before
    while low < high:
        middle = (low + high) // 2
        if np.clip(bends[middle] * x, floor, 1).sum() < m:
            low = middle + 1
        else:
            high = middle
    reached = bends[high]
    before = bends[high - 1] if high else 0.0
    capped, floored = to_cap <= before, to_floor >= reached
    free = ~(capped | floored)
    pi = np.where(capped, 1.0, floor)
    if free.any():
        pi[free] = x[free] * ((m - pi[~free].sum()) / x[free].sum())
    return np.clip(pi, floor, 1)
