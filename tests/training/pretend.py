"""A GPU that is not there: its tensors live on the CPU and count what would make a host wait.

Inside `PretendedGPU` a tensor made on, or sent to, "cuda" says that it lies there; every operator
on it runs on the CPU. What the host could not do without the device's answer is noted in `waits`:
reading a number, operators whose result has a size that depends on values, masks as indices, and
copies either way that are not through pinned memory and non-blocking.
"""

from collections import Counter
from unittest import mock

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

GPU = torch.device("cuda", 0)
aten = torch.ops.aten
DATA_DEPENDENT = (
    *(aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten._unique, aten._unique2),
    *(aten.unique_dim, aten.unique_consecutive, aten.bincount, aten.equal, aten.is_nonzero),
    *(aten.repeat_interleave, aten.unique_dim_consecutive, aten._nested_tensor_from_tensor_list),
)
INDEXING = (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_)
COPIES = (aten.copy_, aten._to_copy)


class OnGPU(torch.Tensor):
    """A tensor that says it is on the GPU; the autograd engine takes it for one on "meta"."""

    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)

    @staticmethod
    def __new__(cls, held):
        shell = torch.empty_strided(held.shape, held.stride(), dtype=held.dtype, device="meta")
        self = torch.Tensor._make_subclass(cls, shell, False, device_for_backend_keys=GPU)
        self.held = held
        return self

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} on a pretended GPU, outside of it")


class Event:
    """A mark that has been passed."""

    def __init__(self, enable_timing=False):
        pass

    def record(self):
        pass

    def synchronize(self):
        pass

    def elapsed_time(self, end):
        return 1.0


class PretendedGPU(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.pinned: list[torch.Tensor] = []
        always = {
            "torch.cuda._lazy_init": None,
            "torch.cuda.is_bf16_supported": True,
            "torch.cuda.amp.common.amp_definitely_not_available": False,
        }
        self._patches = [mock.patch(name, return_value=value) for name, value in always.items()]
        self._patches += [
            mock.patch("torch.cuda.Event", Event),
            mock.patch("torch.cuda.get_rng_state", side_effect=lambda _: torch.get_rng_state()),
            mock.patch("torch.cuda.synchronize", side_effect=lambda _: self._wait("synchronize")),
        ]

    def __enter__(self):
        torch._C._ensureCUDADeviceGuardSet()
        for patch in self._patches:
            patch.start()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        for patch in self._patches:
            patch.stop()

    def move(self, model: nn.Module) -> nn.Module:
        """What `model.to("cuda")` would do."""
        for module in model.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    module._parameters[name] = nn.Parameter(parameter.detach().to(GPU))
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = buffer.to(GPU)
        return model

    def _wait(self, what):
        self.waits[what] += 1

    def _is_pinned(self, tensor):
        return tensor.untyped_storage().data_ptr() in {
            one.untyped_storage().data_ptr() for one in self.pinned
        }

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        leaves = tree_leaves((args, kwargs))
        here = any(isinstance(leaf, OnGPU) for leaf in leaves)
        packet = getattr(func, "overloadpacket", None)
        if packet is aten.is_pinned:
            return self._is_pinned(args[0])
        if packet is aten._pin_memory:
            self.pinned.append(args[0].clone())
            return self.pinned[-1]
        to_gpu, wanted = here, kwargs.get("device")
        if wanted is not None:
            to_gpu = torch.device(wanted).type != "cpu"
            kwargs["device"] = torch.device("cpu")
        pin = kwargs.pop("pin_memory", False)
        self._note(packet, args, kwargs, leaves, here, to_gpu)
        plain, named = tree_map_only(OnGPU, lambda t: t.held, (args, kwargs))
        found = func(*plain, **named)
        if pin:
            self.pinned.append(found)
        if packet is aten.copy_:
            return args[0]
        if not to_gpu or packet in (aten._local_scalar_dense, aten.equal):
            return found
        same = {id(leaf.held): leaf for leaf in leaves if isinstance(leaf, OnGPU)}

        def wrapped(tensor):
            return same[id(tensor)] if id(tensor) in same else OnGPU(tensor)

        return tree_map_only(torch.Tensor, wrapped, found)

    def _note(self, packet, args, kwargs, leaves, here, to_gpu):
        name = str(packet)
        if here:
            self.seen[name] += 1
        if here and packet in DATA_DEPENDENT:
            self._wait(name)
        if here and packet in INDEXING:
            masks = [i for i in args[1] if i is not None and i.dtype in (torch.bool, torch.uint8)]
            if masks:
                self._wait(f"{name} by a mask")
        if packet not in COPIES:
            return
        there = isinstance(args[0], OnGPU) if packet is aten.copy_ else to_gpu
        source = args[1] if packet is aten.copy_ else args[0]
        if there == isinstance(source, OnGPU):
            return
        blocking = args[2:3] != (True,) and not kwargs.get("non_blocking", False)
        host = args[0] if packet is aten.copy_ and not there else source
        scalar = there and source.ndim == 0 and packet is aten.copy_
        if not scalar and (blocking or not self._is_pinned(host)):
            self._wait("host to device" if there else "device to host")
