"""The two bandit-like rules of Raju et al. (2021), which rank by a moving average of the loss."""

import math
from typing import Any

import torch
from torch import Tensor

from orderdp_theory import Ranking
from orderdp_train.rules.base import (
    ScoredRule,
    Selection,
    check_budget,
    finite,
    random_subset,
    top,
)


class _MovingAverage(ScoredRule):
    """Scores start as the first loss, then m <- (1-decay) m + decay loss; unused samples first."""

    def __init__(self, n: int, k: int, *, decay: float, device: torch.device | str) -> None:
        super().__init__(n, initial_score=math.inf, device=device)
        if not 0 < decay <= 1:
            raise ValueError(f"the weight of a new loss must lie in (0, 1], got {decay}")
        self.k = self.budget = check_budget(k, n)
        self.decay = decay

    def update(self, indices: Tensor, losses: Tensor) -> None:
        indices, losses = self._checked(indices, losses)
        old = self.scores[indices]
        average = (1 - self.decay) * old + self.decay * losses
        self.scores[indices] = torch.where(old.isinf(), losses, average)

    def _by_rank(self, scores: Tensor, per_rank: Tensor) -> Tensor:
        """Give every sample the value of its score's rank, tied ranks sharing their mean."""
        ranking = Ranking.of(finite(scores).cpu().numpy())
        values = ranking.to_input_order(ranking.average_ties(per_rank.numpy()))
        return torch.from_numpy(values).to(self.scores.device)


class EpsilonGreedy(_MovingAverage):
    """Keep the k - round(epsilon k) samples with the largest average loss, the rest at random.

    The random part is uniform over the samples not kept by rank. Every sample has a chance, but
    those kept by rank are over-represented and no weights correct for it: biased for the mean loss.

    Cost of a selection: two random permutations, a gather and a partial selection over n.
    """

    def __init__(
        self,
        n: int,
        k: int,
        *,
        epsilon: float = 0.1,
        decay: float = 0.8,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(n, k, decay=decay, device=device)
        if not 0 <= epsilon <= 1:
            raise ValueError(f"epsilon must lie in [0, 1], got {epsilon}")
        self.num_random = round(epsilon * k)
        self.num_top = self.k - self.num_random

    def select(self, generator: torch.Generator) -> Selection:
        order = random_subset(self.n, self.n, generator, self.scores.device)
        by_rank = top(self.scores[order], self.num_top)
        rest = order[~by_rank]
        # A draw of its own: among ties the rest comes late in `order`, which is no longer uniform.
        drawn = rest[random_subset(len(rest), self.num_random, generator, rest.device)]
        kept = torch.cat([order[by_rank], drawn])
        return kept, torch.ones(len(kept), device=kept.device)

    def expected_weights(self, scores: Tensor | None = None) -> Tensor:
        chance = torch.ones(self.n, dtype=torch.float64)
        chance[self.num_top :] = self.num_random / max(self.n - self.num_top, 1)
        scores = self.scores if scores is None else scores
        return self._by_rank(scores, chance / self.k)


class UCB(_MovingAverage):
    """Keep the k samples with the largest average loss + c * its moving standard deviation.

    The variance follows v <- (1-decay)(v + decay (loss - m)^2), the exponentially weighted
    counterpart of the average m. Apart from ties the selection is deterministic: a sample outside
    the top k stays out until others fall below it.

    Cost of a selection: a random permutation (for ties), a gather and a partial selection over n;
    memory 8n bytes.
    """

    def __init__(
        self,
        n: int,
        k: int,
        *,
        c: float = 1.0,
        decay: float = 0.8,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(n, k, decay=decay, device=device)
        if not (math.isfinite(c) and c >= 0):
            raise ValueError(f"c must be a non-negative number, got {c}")
        self.c = c
        self.variances = torch.zeros_like(self.scores)

    def update(self, indices: Tensor, losses: Tensor) -> None:
        indices, losses = self._checked(indices, losses)
        old = self.scores[indices]
        spread = self.variances[indices] + self.decay * (losses - old).square()
        self.variances[indices] = torch.where(old.isinf(), 0, (1 - self.decay) * spread)
        super().update(indices, losses)

    def bounds(self) -> Tensor:
        """The upper confidence bounds that rank the samples, float32 `(n,)`."""
        return self.scores + self.c * self.variances.sqrt()

    def select(self, generator: torch.Generator) -> Selection:
        order = random_subset(self.n, self.n, generator, self.scores.device)
        kept = order[top(self.bounds()[order], self.k)]
        return kept, torch.ones(len(kept), device=kept.device)

    def expected_weights(self, scores: Tensor | None = None) -> Tensor:
        chance = torch.zeros(self.n, dtype=torch.float64)
        chance[: self.k] = 1 / self.k
        return self._by_rank(self.bounds() if scores is None else scores, chance)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"variances": self.variances}
