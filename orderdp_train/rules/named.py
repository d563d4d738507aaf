"""Rules by name at a kept fraction, for commands."""

import math

import torch

from orderdp_theory import Design
from orderdp_train.rules.base import SelectionRule
from orderdp_train.rules.full import FullData
from orderdp_train.rules.infobatch import InfoBatch
from orderdp_train.rules.moving_average import UCB, EpsilonGreedy
from orderdp_train.rules.orderdp import OrderDP, Scorer
from orderdp_train.rules.random_subset import RandomSubset
from orderdp_train.rules.unbiased import UnbiasedOrderDP

RULES = (
    "full",
    "random",
    "orderdp",
    "orderdp-fresh",
    "orderdp-unbiased",
    "infobatch",
    "epsilon-greedy",
    "ucb",
)


def build_rule(
    name: str,
    n: int,
    keep: float,
    *,
    explore: float = 0.5,
    initial_score: float = math.inf,
    anneal_from: int | None = None,
    scorer: Scorer | None = None,
    device: torch.device | str = "cpu",
) -> SelectionRule:
    """The rule `name`, one of `RULES`, that keeps round(keep * n) of n samples.

    `explore` is s/n of the OrderDP rules; where it is below `keep`, which no design allows, s = q.
    The unbiased rule spends a tenth of its budget on the uniform part. For InfoBatch `keep` is one
    minus the prune probability: it keeps more, and says how many. `scorer` is for "orderdp-fresh"
    and must then be given. Raises `ValueError` for an unknown name and impossible numbers.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"the kept fraction must lie in (0, 1], got {keep}")
    if not 0 < explore <= 1:
        raise ValueError(f"the explored fraction must lie in (0, 1], got {explore}")
    k = max(round(keep * n), 1)

    def design(q: int) -> Design:
        return Design(n, max(round(explore * n), q), q)

    match name:
        case "full":
            return FullData(n, device=device)
        case "random":
            return RandomSubset(n, k, device=device)
        case "orderdp":
            return OrderDP(design(k), initial_score=initial_score, device=device)
        case "orderdp-fresh":
            if scorer is None:
                raise ValueError("orderdp-fresh needs a scorer that gives the candidates' losses")
            return OrderDP(design(k), scorer=scorer, device=device)
        case "orderdp-unbiased":
            q2 = max(round(0.1 * k), 1)
            if q2 == k:
                raise ValueError(f"orderdp-unbiased must keep at least 2 samples, got {k}")
            return UnbiasedOrderDP(design(k - q2), q2, initial_score=initial_score, device=device)
        case "infobatch":
            return InfoBatch(n, 1 - keep, anneal_from=anneal_from, device=device)
        case "epsilon-greedy":
            return EpsilonGreedy(n, k, device=device)
        case "ucb":
            return UCB(n, k, device=device)
    raise ValueError(f"unknown rule {name!r}: choose one of {', '.join(RULES)}")
