"""The samples an audit speaks about: how many, how to read them, which loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from orderdp_theory.common.errors import InputError
from orderdp_train.data import ImageData
from orderdp_train.training.mixing import sample_losses
from orderdp_train.training.processes import gather_vectors, shard
from orderdp_train.training.recipe import Recipe

Losses = Callable[[Any, Any], Tensor]
Batch = tuple[Any, Any]
FORWARD_BATCH = 512  # at least, where nothing is kept for a backward pass


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each sample, ``(B,)``."""
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


@dataclass(frozen=True)
class Population:
    """``n`` samples; ``batch(indices)`` gives the inputs and targets of an int64 ``(B,)``.

    ``loss(outputs, targets)`` returns one loss a sample, ``(B,)``. ``labels`` ``(n,)``, if the
    samples have classes, lets the audit say which classes a method never sees. ``stream``, for
    samples that worker processes read ahead, gives the batches of many index tensors in turn.
    """

    n: int
    batch: Callable[[Tensor], Batch]
    loss: Losses = cross_entropy
    labels: Tensor | None = None
    stream: Callable[[Iterable[Tensor]], Iterable[Batch]] | None = None

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError("the data set is empty, so there is nothing to audit")

    def batches(self, indices: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Batch]]:
        """The samples ``indices`` in batches of ``batch_size``, each with the indices in it."""
        parts = indices.split(batch_size) if len(indices) else ()
        batches = map(self.batch, parts) if self.stream is None else self.stream(parts)
        return zip(parts, batches, strict=True)

    def losses(self, model: nn.Module, indices: Tensor, batch: Batch | None = None) -> Tensor:
        """Losses ``(B,)`` of the samples ``indices``, with the graph that leads to them.

        ``batch`` are these samples, if they have been read.
        """
        inputs, targets = self.batch(indices) if batch is None else batch
        losses = self.loss(model(inputs), targets)
        if losses.shape != indices.shape:
            raise InputError(
                f"the loss gave shape {tuple(losses.shape)} for {len(indices)} samples; an audit "
                "needs one loss per sample, so use reduction='none'"
            )
        return losses

    @torch.no_grad()
    def all_losses(self, model: nn.Module, batch_size: int = FORWARD_BATCH) -> Tensor:
        """Losses of all samples, float64 ``(n,)`` on the CPU; non-finite ones are an error.

        Several processes compute a part each.
        """
        device = next(model.parameters()).device
        batches = self.batches(shard(torch.arange(self.n)), batch_size)
        parts = [self.losses(model, indices, batch) for indices, batch in batches]
        own = torch.cat(parts or [torch.zeros(0, device=device)]).double()
        losses = gather_vectors(own).cpu()
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            i = int(bad[0])
            raise InputError(
                f"the loss of sample {i} is {losses[i].item()}, so no ranking exists; check the "
                "sample and whether training diverged"
            )
        return losses


def population_of(
    dataset: Any, *, device: torch.device, loss: Losses = cross_entropy
) -> Population:
    """A :class:`Population` of any map-style dataset of ``(input, target)`` pairs."""
    if isinstance(dataset, Population):
        return dataset
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise TypeError(
            f"{type(dataset).__name__} has no length or indexing; an audit visits samples by "
            "index, so give it a map-style dataset"
        )

    def batch(indices: Tensor) -> tuple[Any, Any]:
        inputs, targets = default_collate([dataset[int(i)][:2] for i in indices])
        return _to(inputs, device), _to(targets, device)

    return Population(len(dataset), batch, loss, _labels(dataset))


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


def _labels(dataset: Any) -> Tensor | None:
    targets = getattr(dataset, "targets", None)
    if targets is None and hasattr(dataset, "tensors"):
        targets = dataset.tensors[-1]
    if targets is None or not isinstance(targets, Tensor | Iterable):
        return None
    labels = torch.as_tensor(targets)
    return (
        labels.cpu() if labels.shape == (len(dataset),) and not labels.is_floating_point() else None
    )


def population_of_images(data: ImageData, recipe: Recipe) -> Population:
    """The training images, unaugmented, with the loss that ``recipe`` trains on."""

    def stream(parts: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        for _, images, labels in data.batches(parts):
            yield images, labels

    return Population(
        data.num_train,
        lambda indices: next(stream([indices])),
        lambda outputs, labels: sample_losses(outputs, labels, None, recipe.label_smoothing),
        getattr(data, "train_labels", None),
        stream,
    )
