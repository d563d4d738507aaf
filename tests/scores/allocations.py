"""How much memory tensors take while a function runs, counted allocation by allocation."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Counter(TorchDispatchMode):
    """Bytes of the storages that operations have made and whose tensors still live."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[int, int] = {}
        self.sizes: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {t.untyped_storage().data_ptr() for t in tree_leaves(args) if torch.is_tensor(t)}
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if not torch.is_tensor(tensor):
                continue
            storage = tensor.untyped_storage()
            key = storage.data_ptr()
            if key in given and key not in self.users:
                continue  # a view of the caller's own array
            self.users[key] = self.users.get(key, 0) + 1
            self.sizes[key] = storage.nbytes()
            weakref.finalize(tensor, self._release, key)
        self.peak = max(self.peak, sum(self.sizes.values()))
        return result

    def _release(self, key: int) -> None:
        self.users[key] -= 1
        if not self.users[key]:
            del self.users[key], self.sizes[key]


def peak_bytes(run: Callable[[], Any]) -> int:
    """The most bytes of tensors made by `run` that lived at once; inputs do not count."""
    with _Counter() as counter:
        run()
    return counter.peak
