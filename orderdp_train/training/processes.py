"""Several processes, each with a shard of every batch. With one process all of it does nothing.

A group of processes has to be gone before the interpreter is: its threads release the tensors of
finished collectives, need Python for it, and abort a process that is shutting down. A group ends
with the last reference to it, not with `destroy_process_group`, so nothing here may keep one.
"""

import atexit
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

if dist.is_available() and "RANK" in os.environ:
    # Imported while there is a group, these would keep it for good: the first has the group of that
    # moment in default arguments, the second (which DistributedDataParallel and vmap import at
    # their first use) leaves its importers' frames, and all that they hold, in a reference cycle.
    import torch._dynamo
    import torch.distributed.nn


@contextmanager
def processes(device: torch.device) -> Iterator[torch.device]:
    """Join the group that `torchrun` started, if it did, and leave it in the end.

    Yields this process's device: its own GPU (NCCL), or the CPU (gloo). A group that is there
    already is used and left alone. However the block is left, the group's threads have ended.
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
    with _released(_leave):
        yield device


@contextmanager
def replicated(model: nn.Module) -> Iterator[nn.Module]:
    """The model, with gradients averaged over the processes while the block lasts."""
    if world_size() == 1:
        yield model
        return
    replica = nn.parallel.DistributedDataParallel(model)

    def release() -> None:
        for name in ("reducer", "logger", "process_group"):
            vars(replica).pop(name, None)

    with _released(release):
        yield replica


@contextmanager
def _released(release: Callable[[], None]) -> Iterator[None]:
    """Call `release` when the block is left, or when the interpreter exits in the middle of it.

    The block of a suspended generator is not left before the interpreter ends, which is too late.
    """
    atexit.register(release)
    try:
        yield
    except BaseException as error:
        _clear_torch_frames(error)
        raise
    finally:
        atexit.unregister(release)
        release()


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _clear_torch_frames(error: BaseException | None) -> None:
    """Drop the local variables of a failed collective, the group among them, from a traceback."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_globals.get("__name__", "").startswith("torch."):
                with suppress(RuntimeError):  # it is still running
                    frame.clear()
        error = error.__context__


def share_buffers(model: nn.Module) -> None:
    """Give all processes the buffers of process 0, such as the statistics of BatchNorm."""
    if world_size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)


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
    home = vector.device
    if dist.get_backend() == "nccl":
        vector = vector.cuda()
    lengths = [torch.zeros(1, dtype=torch.long, device=vector.device) for _ in range(world_size())]
    dist.all_gather(lengths, torch.tensor([len(vector)], device=vector.device))
    longest = int(torch.stack(lengths).max())
    padded = torch.zeros(longest, dtype=vector.dtype, device=vector.device)
    padded[: len(vector)] = vector
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(n)] for part, n in zip(parts, lengths, strict=True)]).to(home)


def gather_objects(value: Any) -> list[Any]:
    """The picklable values of all processes in order of rank."""
    values = [value] * world_size()
    if dist.is_initialized():
        dist.all_gather_object(values, value)
    return values
