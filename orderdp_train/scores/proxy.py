"""What the recorder asks of a model in training, and the answer for any classifier in torch."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from orderdp_theory.common.errors import InputError
from orderdp_train.scores._arrays import Array
from orderdp_train.scores._deepfool import deepfool
from orderdp_train.scores._last_layer import LastLayer
from orderdp_train.scores._per_sample import eval_mode, per_sample_gradient_norms

Batches = Callable[[], Iterable[tuple[Tensor, Tensor]]]


class Proxy(Protocol):
    """A model as it is after an epoch, over the n training samples in the data set's order.

    Each method is called at most once an epoch, and only where its answer is wanted.

    Example:
        >>> x, y, head = torch.randn(6, 3), torch.arange(6) % 2, torch.nn.Linear(3, 2)
        >>> proxy: Proxy = ModelProxy(head, head, lambda: [(x, y)])
        >>> proxy.correct().shape, proxy.validation()
        (torch.Size([6]), None)
    """

    def correct(self) -> Bool[Array, "n"]:
        """Which samples it classifies correctly, bool `(n,)`.

        Forgetting is defined at presentation, so a training loop that knows which samples were
        right when they were trained on answers with those.
        """
        ...

    def last_layer(self) -> LastLayer:
        """The last layer over all training samples, without augmentation."""
        ...

    def gradient_norms(self) -> Float[Array, "n"]:
        """Norms of per-sample gradients in all parameters, `(n,)`."""
        ...

    def validation(self) -> LastLayer | None:
        """The last layer over validation samples, if there are any."""
        ...

    def deepfool(self) -> Float[Array, "n"]:
        """The scores that `orderdp_train.scores.deepfool` gives, `(n,)`."""
        ...


@dataclass(frozen=True)
class ModelProxy:
    """`Proxy` of a model that ends in a linear layer, by passes over its data in eval mode.

    Args:
        model: maps inputs to logits.
        head: its last layer, with bias.
        batches: gives, each time it is called, batches `(inputs, targets)` of all training samples
            in order. Answers do not depend on how they are cut.
        validation_batches: the same for validation samples.
        presented: bool `(n,)`, kept up to date by a training loop: what the model got right when it
            was last trained on it. None: what it gets right at the end of the epoch.

    Example:
        >>> x, y = torch.randn(6, 3), torch.arange(6) % 2
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
        >>> proxy = ModelProxy(model, model[-1], lambda: [(x, y)])
        >>> proxy.last_layer().features.shape, proxy.gradient_norms().shape
        (torch.Size([6, 4]), torch.Size([6]))
    """

    model: nn.Module
    head: nn.Linear
    batches: Batches
    validation_batches: Batches | None = None
    presented: Bool[Tensor, "n"] | None = None

    def __post_init__(self) -> None:
        if self.head.bias is None:
            raise InputError("the last layer needs a bias: its gradient is part of the scores")

    def correct(self) -> Bool[Tensor, "n"]:
        return self.last_layer().correct if self.presented is None else self.presented.cpu()

    def last_layer(self) -> LastLayer:
        return self._read(self.batches)

    def gradient_norms(self) -> Float[Tensor, "n"]:
        norms = [per_sample_gradient_norms(self.model, *batch) for batch in self.batches()]
        return torch.cat(norms).cpu()

    def validation(self) -> LastLayer | None:
        return None if self.validation_batches is None else self._read(self.validation_batches)

    def deepfool(self) -> Float[Tensor, "n"]:
        return torch.cat([deepfool(self.model, inputs) for inputs, _ in self.batches()]).cpu()

    @torch.no_grad()
    def _read(self, batches: Batches) -> LastLayer:
        embedded: list[Tensor] = []
        hook = self.head.register_forward_pre_hook(lambda _, given: embedded.append(given[0].cpu()))
        try:
            with eval_mode(self.model):
                outputs = [(self.model(x).cpu(), y.cpu()) for x, y in batches()]
        finally:
            hook.remove()
        logits, targets = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        return LastLayer(logits, torch.cat(embedded), targets)
