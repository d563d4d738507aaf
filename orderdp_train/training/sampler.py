"""Selection rules inside anybody's training script: a `Sampler` for any `DataLoader`."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from orderdp_train.rules.base import Selection, SelectionRule


def draw_epoch(rule: SelectionRule, generator: torch.Generator) -> Selection:
    """One selection in uniformly random order, so that its minibatches are unbiased for it."""
    indices, weights = rule.select(generator)
    order = torch.randperm(len(indices), generator=generator, device=generator.device)
    order = order.to(indices.device)
    return indices[order], weights[order]


class RuleSampler(Sampler[int]):
    """Each pass over it draws a new selection of `rule` from `generator` and yields it shuffled.

    Train on :meth:`loss` of each batch: it passes the per-sample losses on to the rule and returns
    their weighted mean. Whole batches of a pass are drawn before it starts, so worker processes and
    prefetching change nothing.
    """

    def __init__(self, rule: SelectionRule, generator: torch.Generator) -> None:
        self.rule = rule
        self.generator = generator
        self._epoch = 0
        self._weights = torch.zeros(rule.n)

    def __iter__(self) -> Iterator[int]:
        self.rule.set_epoch(self._epoch)
        self._epoch += 1
        indices, weights = draw_epoch(self.rule, self.generator)
        self._weights = torch.zeros(self.rule.n, device=weights.device)
        self._weights[indices] = weights
        yield from indices.tolist()

    def __len__(self) -> int:
        if self.rule.budget is None:
            raise TypeError(
                f"{type(self.rule).__name__} keeps a number of samples that depends on the losses: "
                "count the batches instead of asking for their number"
            )
        return self.rule.budget

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch, from 0, the next pass is, when continuing an earlier training."""
        self._epoch = epoch

    def weights_of(self, indices: Tensor) -> Tensor:
        """Weights float32 `(b,)` of samples drawn in the present pass, 0 for any other sample."""
        return self._weights[indices.to(self._weights.device)]

    def loss(self, indices: Tensor, losses: Tensor) -> Tensor:
        """The weighted mean of the losses `(b,)` of samples `indices` `(b,)`, to be differentiated.

        The rule is told the losses.
        """
        self.rule.update(indices, losses.detach())
        return (self.weights_of(indices).to(losses) * losses).mean()


class WithIndex(Dataset[tuple[Any, ...]]):
    """A map-style data set whose samples start with their index: `(index, *sample)`."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        sample = self.dataset[index]
        return (index, *sample) if isinstance(sample, tuple | list) else (index, sample)
