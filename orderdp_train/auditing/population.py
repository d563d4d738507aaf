"""The samples an audit speaks about: how many, how to read them, which loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.data import IterableDataset, default_collate

from orderdp_theory.common.errors import InputError
from orderdp_train.data import TrainTestData
from orderdp_train.data.augment import seed_of
from orderdp_train.training.loop import AUTOCAST
from orderdp_train.training.mixing import augmented, sample_losses
from orderdp_train.training.processes import gather_vectors, shard
from orderdp_train.training.recipe import Recipe

Loss = Callable[[nn.Module, Any], Tensor]
# Samples of a pass that keeps nothing for a backward pass, and bytes of what they are.
FORWARD_BATCH = 256
FORWARD_BYTES = 2**20


def supervised(loss: Callable[[Any, Any], Tensor]) -> Loss:
    """For batches that begin with inputs and targets: the loss `(outputs, targets) -> (B,)`.

    Example:
        >>> squared = supervised(lambda outputs, targets: (outputs.squeeze(1) - targets).square())
        >>> squared(torch.nn.Linear(3, 1), (torch.zeros(5, 3), torch.zeros(5))).shape
        torch.Size([5])
    """
    return lambda model, batch: loss(model(batch[0]), batch[1])


def cross_entropy(model: nn.Module, batch: Any) -> Float[Tensor, "b"]:
    """Cross-entropy of each sample, `(B,)`, of a classifier; batches begin with inputs and targets.

    Example:
        >>> cross_entropy(torch.nn.Linear(3, 2), (torch.zeros(5, 3), torch.zeros(5).long())).shape
        torch.Size([5])
    """
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


@dataclass(frozen=True)
class Population:
    """`n` samples; `batch(indices)` gives the batch of an int64 `(B,)`, whatever that is.

    `loss(model, batch)` returns one loss a sample, `(B,)`, that of a sample independent of the
    others. It is taken under `autocast` in that precision, if any. `labels` `(n,)`, if the
    samples have classes, lets the audit say which classes a method never sees. `stream`, for
    samples that worker processes read ahead, gives the batches of many index tensors in turn.
    `view(k)`, if the samples are augmented in training, is the population in the k-th redraw of
    the augmentation, in which every sample has one look.

    Example:
        >>> x, y = torch.randn(10, 3), torch.arange(10) % 2
        >>> data = Population(10, lambda indices: (x[indices], y[indices]), labels=y)
        >>> data.all_losses(torch.nn.Linear(3, 2)).shape
        torch.Size([10])
    """

    n: int
    batch: Callable[[Tensor], Any]
    loss: Loss = cross_entropy
    labels: Int64[Tensor, "n"] | None = None
    stream: Callable[[Iterable[Tensor]], Iterable[Any]] | None = None
    autocast: torch.dtype | None = None
    view: Callable[[int], Population] | None = None

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError("the data set is empty, so there is nothing to audit")
        if not isinstance(self.autocast, torch.dtype | None):
            raise TypeError(f"autocast must be a torch.dtype or None, got {self.autocast!r}")
        if self.autocast not in (known := tuple(AUTOCAST.values())):
            raise InputError(
                f"autocast must be one of {', '.join(map(str, known))}, got {self.autocast}"
            )

    def batches(self, indices: Int64[Tensor, "m"], batch_size: int) -> Iterator[tuple[Tensor, Any]]:
        """The samples `indices` in batches of `batch_size`, each with the indices in it."""
        parts = indices.split(batch_size) if len(indices) else ()
        batches = map(self.batch, parts) if self.stream is None else self.stream(parts)
        return zip(parts, batches, strict=True)

    def losses(
        self, model: nn.Module, indices: Int64[Tensor, "b"], batch: Any = None
    ) -> Float[Tensor, "b"]:
        """Losses `(B,)` of the samples `indices`, with the graph that leads to them.

        `batch` are these samples, if they have been read.
        """
        batch = self.batch(indices) if batch is None else batch
        device = next(model.parameters()).device.type
        with torch.autocast(device, self.autocast, enabled=self.autocast is not None):
            losses = self.loss(model, batch)
        if losses.shape != indices.shape:
            raise InputError(
                f"the loss gave shape {tuple(losses.shape)} for {len(indices)} samples; an audit "
                "needs one loss per sample, so use reduction='none'"
            )
        return losses

    @torch.no_grad()
    def all_losses(
        self, model: nn.Module, batch_size: int = FORWARD_BATCH
    ) -> Float64[Tensor, "{self.n}"]:
        """Losses of all samples, float64 `(n,)` on the CPU; non-finite ones are an error.

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


def forward_batch(population: Population, batch_size: int) -> int:
    """Samples of a pass that keeps nothing: more than `batch_size` where they are small."""
    leaves = tree_leaves(population.batch(torch.arange(1)))
    size = sum(x.numel() * x.element_size() for x in leaves if isinstance(x, Tensor))
    return max(batch_size, min(FORWARD_BATCH, FORWARD_BYTES // max(size, 1)))


def counted(population: Population, tell: Callable[[int], None]) -> Population:
    """The same samples; `tell` hears how many are read, whenever some are."""
    stream = population.stream

    def batch(indices: Tensor) -> Any:
        tell(len(indices))
        return population.batch(indices)

    def told(parts: Iterable[Tensor]) -> Iterable[Any]:
        parts = list(parts)
        tell(sum(map(len, parts)))
        assert stream is not None
        return stream(parts)

    return replace(population, batch=batch, stream=stream and told)


def population_of(
    dataset: Any,
    *,
    device: torch.device,
    loss: Loss = cross_entropy,
    collate: Callable[[list[Any]], Any] = default_collate,
    autocast: torch.dtype | None = None,
) -> Population:
    """A `Population` of any map-style dataset, batched by `collate`.

    In a view torch's global generator, from which a transform draws, is seeded for each sample.
    """
    if isinstance(dataset, Population):
        return dataset
    indexed = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
    if isinstance(dataset, IterableDataset) or not indexed:
        raise TypeError(
            f"{type(dataset).__name__} has no length or indexing; an audit visits samples by "
            "index, so give it a map-style dataset"
        )

    def batch(indices: Tensor) -> Any:
        samples = [dataset[i] for i in indices.tolist()]
        return tree_map(partial(_to, device=device), collate(samples))

    def view(number: int) -> Population:
        def batch(indices: Tensor) -> Any:
            samples = []
            with torch.random.fork_rng(devices=[]):
                for i in indices.tolist():
                    torch.manual_seed(seed_of(number, i))
                    samples.append(dataset[i])
            return tree_map(partial(_to, device=device), collate(samples))

        return replace(plain, batch=batch)

    plain = Population(len(dataset), batch, loss, _labels(dataset), autocast=autocast, view=view)
    return plain


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if hasattr(value, "to") else value


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


def population_of_images(
    data: TrainTestData, recipe: Recipe, view: int | None = None
) -> Population:
    """The training images with the loss and precision that `recipe` trains in.

    They are unaugmented, or those of a `view` of the augmentation.

    Example:
        >>> data = load_data("digits")
        >>> population = population_of_images(data, RECIPES["smoke"])
        >>> population.n, population.labels.shape
        (1500, torch.Size([1500]))
    """

    seen = data if view is None else augmented(data, recipe)

    def stream(parts: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        for _, images, labels in seen.batches(parts, view=view):
            yield images, labels

    return Population(
        data.num_train,
        lambda indices: next(stream([indices])),
        supervised(lambda outputs, labels: sample_losses(outputs, labels, recipe.label_smoothing)),
        getattr(data, "train_labels", None),
        stream,
        AUTOCAST[recipe.precision],
        partial(population_of_images, data, recipe),
    )
