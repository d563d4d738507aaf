"""Several processes, each with a shard of every batch. With one process all of it does nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@contextmanager
def processes(device: torch.device) -> Iterator[torch.device]:
    """Join the group that `torchrun` started, if it did, and leave it in the end.

    Yields this process's device: its own GPU (NCCL), or the CPU (gloo). A group that is there
    already is used and left alone.
    """
    if "RANK" not in os.environ:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if dist.is_initialized():
        yield device
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def shard(indices: Tensor) -> Tensor:
    """This process's contiguous part of a vector; the parts are disjoint and cover it."""
    return indices.tensor_split(world_size())[rank()]


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """The sum over the processes, in place."""
    if dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor


def gather_vectors(vector: Tensor) -> Tensor:
    """The vectors `(b_r,)` of all processes, of whatever lengths, one after the other."""
    if not dist.is_initialized():
        return vector
    lengths = [torch.zeros(1, dtype=torch.long, device=vector.device) for _ in range(world_size())]
    dist.all_gather(lengths, torch.tensor([len(vector)], device=vector.device))
    longest = int(torch.stack(lengths).max())
    padded = torch.zeros(longest, dtype=vector.dtype, device=vector.device)
    padded[: len(vector)] = vector
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(n)] for part, n in zip(parts, lengths, strict=True)])


def gather_objects(value: Any) -> list[Any]:
    """The picklable values of all processes in order of rank."""
    values = [value] * world_size()
    if dist.is_initialized():
        dist.all_gather_object(values, value)
    return values
