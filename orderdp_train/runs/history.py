"""What a run left behind."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Gradients:
    """Pruned gradients against ∇L after an epoch.

    Cosines of the gradient over one `drawn` selection and of the rule's exact expectation, and the
    `bias` of the latter, |E g~ − ∇L| / |∇L|. The paper measures the first, which mixes the bias of
    the rule with the noise of one draw.
    """

    epoch: int
    drawn: float
    expected: float
    bias: float


@dataclass(frozen=True)
class History:
    """The epochs of a training, finished or not.

    `rows`: metrics of each epoch, as in `metrics.jsonl`; `usage` int32 `(n,)`: how often each
    sample was trained on; `gradients` where they were measured.
    """

    rows: list[dict[str, Any]]
    usage: NDArray[np.int32]
    gradients: list[Gradients] = field(default_factory=list)
