"""Hugging Face accelerate: loaders that are not split a second time.

`accelerator.prepare` would deal the batches of a loader among the processes, which a `RuleSampler`
has done already; give it the loader that `prepare` returns, or none.
"""

from collections.abc import Callable, Container, Iterator, Sized
from typing import Any, cast

from accelerate import Accelerator
from accelerate.data_loader import DataLoaderShard
from accelerate.utils import DistributedType
from torch import Tensor, nn
from torch.utils.data import DataLoader

from orderdp_theory.common.errors import InputError
from orderdp_train.training.sampler import (
    EveryProcess,
    RuleBatchSampler,
    RuleSampler,
    check_length,
)

SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)
KEPT = (
    *("collate_fn", "num_workers", "pin_memory", "timeout", "worker_init_fn", "prefetch_factor"),
    *("multiprocessing_context", "generator", "persistent_workers", "pin_memory_device"),
)


def prepare(accelerator: Accelerator, loader: DataLoader[Any]) -> DataLoaderShard:
    """The loader with batches on the accelerator's device, and its sampler in its checkpoints.

    Two processes with batches of b then train what one trains with 2b. The sampler counts epochs
    itself. Raises `InputError` for a loader without a `RuleSampler`, data of another length than
    the rule is over, and a model in shards (FSDP, DeepSpeed, Megatron, tensor parallelism).
    """
    if accelerator.distributed_type in SHARDED or accelerator.parallelism_config is not None:
        raise InputError(
            f"a selection rule does not work with {accelerator.distributed_type.value} or a "
            "parallelism_config, which shard the model: use DistributedDataParallel"
        )
    sampler = sampler_of(loader)
    check_length(sampler.rule.n, len(cast(Sized, loader.dataset)))
    accelerator.register_for_checkpointing(EveryProcess(sampler))
    return without_split(accelerator, loader)


def without_split(accelerator: Accelerator, loader: DataLoader[Any]) -> DataLoaderShard:
    """What `accelerator.prepare` makes of a loader in one process."""
    prepared = DataLoaderShard(
        loader.dataset,
        device=accelerator.device if accelerator.device_placement else None,
        batch_sampler=_AsItIs(loader.batch_sampler),
        **{name: getattr(loader, name) for name in KEPT},
    )
    vars(prepared)["_is_accelerate_prepared"] = True  # accelerator.prepare passes it through
    return prepared


def weighted_loss(
    accelerator: Accelerator, sampler: RuleSampler, indices: Tensor, losses: Tensor, **options: Any
) -> Tensor:
    """`sampler.loss` for `accelerator.backward`, which divides by the accumulated batches."""
    batches = accelerator.gradient_accumulation_steps
    return sampler.loss(indices, losses, accumulate=batches, **options) * batches


def sampler_of(loader: DataLoader[Any]) -> RuleSampler:
    """The loader's `RuleSampler`; `InputError` if it has another sampler."""
    for sampler in (loader.sampler, loader.batch_sampler):
        if isinstance(sampler, RuleBatchSampler):
            return sampler.sampler
        if isinstance(sampler, RuleSampler):
            return sampler
    raise InputError("the loader has no RuleSampler: DataLoader(data, sampler=RuleSampler(…))")


class AuditCallback:
    """Calls `audit(model)` before the optimizer steps whose numbers are in `steps`.

    Call it with the model within `accelerator.accumulate`, before each batch is trained.
    """

    def __init__(
        self, accelerator: Accelerator, audit: Callable[[nn.Module], Any], steps: Container[int]
    ) -> None:
        self.accelerator = accelerator
        self.audit = audit
        self.steps = steps
        self._done = 0
        self._begins = True  # a step, with the batch that comes

    def __call__(self, model: nn.Module) -> None:
        if self._begins and self._done in self.steps:
            self.audit(self.accelerator.unwrap_model(model))
        self._begins = self.accelerator.sync_gradients
        self._done += self._begins


class _AsItIs:
    """A batch sampler of which accelerate sees neither sampler nor epoch."""

    def __init__(self, batches: Any) -> None:
        self.batches = batches
        self.batch_size = getattr(batches, "batch_size", None)
        self.drop_last = False

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)
