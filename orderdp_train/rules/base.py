"""The interface of all selection rules, and the scores that most of them store."""

import math
from typing import Any, Protocol

import torch
from torch import Tensor

Selection = tuple[Tensor, Tensor]


class SelectionRule(Protocol):
    """Decides which of n samples to train on, and with what weights.

    A rule knows nothing of models or data: it sees sample indices and losses. The gradient
    estimator that training with a rule follows is

        g~ = (1/m) sum_k weights[k] * grad L_{indices[k]},

    over one selection of m samples; a uniformly shuffled minibatch of it has the same expectation.
    A rule that keeps no scores inherits `update`, `state_dict` and `load_state_dict` as they are.
    """

    n: int
    budget: int | None
    """How many samples every selection keeps; None when the number depends on the scores."""

    def select(self, generator: torch.Generator) -> Selection:
        """Draw `(indices int64 (m,), weights float32 (m,))`: distinct indices in any order.

        All randomness comes from `generator`, drawn where it lives, so a seed means the same
        selection on every device. Drawing changes nothing in the rule.
        """
        ...

    def expected_weights(self, scores: Tensor | None = None) -> Tensor:
        """The exact w, float64 `(n,)`, of E[g~] = sum_i w_i grad L_i at the rule's present scores.

        With `scores` `(n,)` given, say the current losses: w as if the rule ranked by those.
        """
        ...

    def update(self, indices: Tensor, losses: Tensor) -> None:
        """Tell the rule the losses `(b,)` just seen of samples `indices` `(b,)`."""

    def set_epoch(self, epoch: int) -> None:
        """Tell the rule which epoch, from 0, comes next; only annealing rules care."""

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` of a rule built the same way needs to continue from here."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`; `ValueError` if it belongs to another rule."""


class ScoredRule(SelectionRule):
    """A rule that stores the latest loss of every sample as its score, float32 `(n,)`.

    `initial_score` stands for a sample that was never used; `inf` ranks those first. Memory 4n
    bytes on `device`; an update costs O(b).
    """

    def __init__(self, n: int, *, initial_score: float, device: torch.device | str) -> None:
        if n < 1:
            raise ValueError(f"a rule needs at least one sample to select from, got n={n}")
        if math.isnan(initial_score):
            raise ValueError(
                "the initial score must be a number, got nan: use inf for unused-first"
            )
        self.n = n
        self.scores = torch.full((n,), initial_score, dtype=torch.float32, device=device)

    def update(self, indices: Tensor, losses: Tensor) -> None:
        """Store losses as scores. `ValueError` for shapes that differ and for non-finite losses."""
        indices, losses = self._checked(indices, losses)
        self.scores[indices] = losses

    def _checked(self, indices: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        if indices.ndim != 1 or indices.shape != losses.shape:
            raise ValueError(
                "update needs one loss a sample: indices and losses of one shape (b,), "
                f"got {tuple(indices.shape)} and {tuple(losses.shape)}"
            )
        losses = losses.detach().to(self.scores)
        finite = losses.isfinite()
        if not finite.all():
            first = int(finite.logical_not().nonzero()[0])
            raise ValueError(
                f"the loss of sample {int(indices[first])} is {float(losses[first])}: "
                "scores must be finite"
            )
        return indices.to(self.scores.device), losses

    def state_dict(self) -> dict[str, Any]:
        return {"scores": self.scores}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        mine = self.state_dict()
        if state.keys() != mine.keys() or any(state[k].shape != mine[k].shape for k in mine):
            raise ValueError(f"the state is not one of {type(self).__name__} over {self.n} samples")
        for name, tensor in mine.items():
            tensor.copy_(state[name])


def check_budget(m: int, n: int) -> int:
    """`m` itself; `ValueError` unless 1 <= m <= n."""
    if not 1 <= m <= n:
        raise ValueError(f"cannot keep {m} of {n} samples: the number must lie in 1..{n}")
    return m


def random_subset(n: int, m: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """m of n in random order, int64 `(m,)`: every ordered choice equally likely."""
    return torch.randperm(n, generator=generator, device=generator.device)[:m].to(device)


def top(scores: Tensor, q: int) -> Tensor:
    """Mask `(s,)` of the q largest scores; of equal ones at the border, the first.

    On scores in random order this breaks ties uniformly at random, at O(s): one partial selection
    finds the border, no sort.
    """
    if q == len(scores):
        return torch.ones_like(scores, dtype=torch.bool)
    if q == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    border = scores.topk(q, sorted=False).values.min()
    kept = scores > border
    tied = (scores == border).nonzero().squeeze(1)
    kept[tied[: q - int(kept.sum())]] = True
    return kept


def finite(scores: Tensor) -> Tensor:
    """The scores as float64, infinity made the largest number: same order, same ties."""
    return torch.nan_to_num(scores.double(), nan=math.nan, posinf=torch.finfo(torch.float64).max)
