"""What a run left behind."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cosines:
    """Cosine to ∇L of the gradient over one drawn selection, and of the rule's exact expectation.

    The paper measures the first kind, which mixes the bias of the rule with the noise of one draw.
    """

    epoch: int
    drawn: float
    expected: float


@dataclass(frozen=True)
class History:
    """The epochs of a training, finished or not.

    `rows`: metrics of each epoch, as in `metrics.jsonl`; `usage` int32 `(n,)`: how often each
    sample was trained on; `cosines` where they were measured.
    """

    rows: list[dict[str, Any]]
    usage: NDArray[np.int32]
    cosines: list[Cosines] = field(default_factory=list)
