"""Lightning: a callback that keeps a sampler's state, epochs and accumulation."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

import lightning as L
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.training.sampler import (
    EveryProcess,
    RuleBatchSampler,
    RuleSampler,
    check_length,
)


class SelectionCallback(L.Callback):
    """Give it to a `Trainer(use_distributed_sampler=False)` that trains on `sampler`'s loader.

    In `training_step` return `loss`. Checkpoints hold rule and sampler, of all processes, and
    a training that is interrupted in an epoch continues there.
    """

    def __init__(self, sampler: RuleSampler) -> None:
        self.sampler = sampler
        self._batches = 1

    def loss(self, indices: Tensor, losses: Tensor, **options: Any) -> Tensor:
        """`sampler.loss` over the trainer's accumulated batches, by which Lightning divides."""
        weighted = self.sampler.loss(indices, losses, accumulate=self._batches, **options)
        return weighted * self._batches

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if isinstance(trainer.strategy, DeepSpeedStrategy | FSDPStrategy | ModelParallelStrategy):
            raise InputError(
                f"{type(trainer.strategy).__name__} shards the model, which is not supported: use "
                "strategy='ddp'"
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        loader: Any = trainer.train_dataloader
        found = getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)
        samplers = [s.sampler if isinstance(s, RuleBatchSampler) else s for s in found]
        if self.sampler not in samplers:
            raise InputError(
                f"Lightning trains on {type(found[0]).__name__} instead of the rule's sampler: use "
                "Trainer(use_distributed_sampler=False) and a DataLoader with this sampler"
            )
        check_length(self.sampler.rule.n, len(loader.dataset))
        self._batches = trainer.accumulate_grad_batches

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Tell Lightning how many batches the pass has, where it knows an upper bound only."""
        loader: Any = trainer.train_dataloader
        if self.sampler.rule.budget is None:
            batches, limit = len(loader), trainer.limit_train_batches
            batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
            progress = trainer.fit_loop.epoch_loop.batch_progress
            progress.is_last_batch |= batch_idx + 1 == batches
            if isinstance(trainer.val_check_interval, float):
                trainer.val_check_batch = max(1, int(batches * trainer.val_check_interval))

    def state_dict(self) -> dict[str, Any]:
        return EveryProcess(self.sampler).state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        EveryProcess(self.sampler).load_state_dict(state_dict)


class AuditCallback(L.Callback):
    """Calls `audit(model)` before the optimizer steps whose numbers are in `steps`.

    `audit` is the user's: `lambda module: found.append(audit(module.model, population, rules))`.
    """

    def __init__(self, audit: Callable[[L.LightningModule], Any], steps: Container[int]) -> None:
        self.audit = audit
        self.steps = steps
        self._last = -1

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step in self.steps and trainer.global_step != self._last:
            self._last = trainer.global_step
            self.audit(pl_module)
