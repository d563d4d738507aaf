"""The epsilon-greedy rule of Raju et al. (2021)."""

import torch

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.palette import AMBER
from orderdp_train.rules.base import Scores, Selection, Weights, random_subset, top, where_true
from orderdp_train.rules.moving_average import MovingAverage
from orderdp_train.rules.option import Option
from orderdp_train.rules.pairs import SecondOrder
from orderdp_train.rules.registry import register


@register
class EpsilonGreedy(MovingAverage):
    """Keep the k - round(epsilon k) samples with the largest average loss, the rest at random.

    The random part is uniform over the samples not kept by rank. Every sample has a chance, but
    those kept by rank are over-represented and no weights correct for it: biased for the mean loss.

    Cost of a selection: two random permutations, a gather and a partial selection over n.

    Example:
        >>> rule = EpsilonGreedy(4, 2, epsilon=0.5)  # the top one, and one of the other three
        >>> rule.update(range(4), [3.0, 2.0, 1.0, 0.0])
        >>> rule.expected_weights().numpy().round(4).tolist()
        [0.5, 0.1667, 0.1667, 0.1667]
    """

    name, label, colour, marker = "epsilon-greedy", "ε-greedy", AMBER, "X"
    order = 6
    options = {
        **MovingAverage.options,
        "epsilon": Option(0.1, "Part of the budget drawn uniformly.", low=0, high=1),
    }

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
            raise InputError(f"epsilon must lie in [0, 1], got {epsilon}")
        self.num_random = round(epsilon * k)
        self.num_top = self.k - self.num_random

    def select(self, generator: torch.Generator) -> Selection:
        order = random_subset(self.n, self.n, generator, self.scores.device)
        by_rank = top(self.scores[order], self.num_top)
        rest = order[where_true(~by_rank, self.n - self.num_top)]
        # A draw of its own: among ties the rest comes late in `order`, which is no longer uniform.
        drawn = rest[random_subset(len(rest), self.num_random, generator, rest.device)]
        kept = torch.cat([order[where_true(by_rank, self.num_top)], drawn])
        return kept, torch.ones(len(kept), device=kept.device)

    def expected_weights(self, scores: Scores | None = None) -> Weights:
        chance = torch.ones(self.n, dtype=torch.float64)
        chance[self.num_top :] = self.num_random / max(self.n - self.num_top, 1)
        return self._by_rank(self._given(scores), chance / self.k)

    def second_order(self) -> SecondOrder | None:
        return self._by_threshold(self.num_top)
