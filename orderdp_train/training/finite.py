"""Losses, gradients and weights that are not finite are noticed before they are stored."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from orderdp_theory.common.errors import InputError

LAG = 8  # verdicts that may be under way from an accelerator
NAMED = 5  # samples that a message names


class NonFiniteLossError(InputError):
    """A training loss, gradient or weight is NaN or infinite.

    Example:
        >>> sampler = RuleSampler(FullData(2), torch.Generator().manual_seed(0))
        >>> index = torch.tensor(list(sampler))
        >>> sampler.loss(index, torch.tensor([1.0, float("nan")]))
        Traceback (most recent call last):
            ...
        orderdp_train.training.finite.NonFiniteLossError: the loss is not finite at epoch 1, ...
    """


@dataclass(frozen=True)
class _Verdict:
    """Whether `values` were finite, on its way to the host; `arrived` says when it is there."""

    values: Tensor
    samples: Tensor
    what: str
    finite: Tensor
    arrived: Any = None

    def hold(self) -> None:
        """Raise `NonFiniteLossError` if they were not."""
        if self.arrived is not None:
            self.arrived.synchronize()
        if not self.finite:
            samples = self.samples.cpu()
            if self.values.shape == samples.shape:
                samples = samples[~self.values.isfinite().cpu()]
            more = f" and {len(samples) - NAMED} more" if len(samples) > NAMED else ""
            raise NonFiniteLossError(
                f"{self.what}, for samples {samples[:NAMED].tolist()}{more}: lower the learning "
                "rate"
            )


class Watch:
    """Raises for what is not finite without making the host wait for an accelerator.

    On the CPU it raises at once. A GPU's verdicts are copied while both go on, and each is read
    when `LAG` others have followed, which are a few steps; `settle` reads the rest.
    """

    def __init__(self) -> None:
        self._under_way: deque[_Verdict] = deque()

    def see(self, values: Tensor, samples: Tensor, what: str) -> None:
        """Look at `values`: one for each of `samples` `(b,)`, or one for all of them.

        Raises `NonFiniteLossError`, which begins with `what` and names a few of the samples.
        """
        values = values.detach()
        finite = values.isfinite().all()
        if values.device.type != "cuda":
            _Verdict(values, samples, what, finite).hold()
            return
        host = torch.empty((), dtype=torch.bool, pin_memory=True)
        host.copy_(finite, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        self._under_way.append(_Verdict(values, samples, what, host, arrived))
        if len(self._under_way) > LAG:
            self._under_way.popleft().hold()

    def settle(self) -> None:
        """Wait for all verdicts."""
        while self._under_way:
            self._under_way.popleft().hold()


def check_weights(model: nn.Module, epoch: int) -> None:
    """`NonFiniteLossError` if a parameter or buffer is not finite after `epoch` epochs."""
    weights = {name: w for name, w in model.state_dict().items() if isinstance(w, Tensor)}
    if not torch.stack([w.isfinite().all() for w in weights.values()]).all():
        name = next(name for name, w in weights.items() if not w.isfinite().all())
        raise NonFiniteLossError(
            f"the weight {name} is not finite after epoch {epoch}: lower the learning rate"
        )
