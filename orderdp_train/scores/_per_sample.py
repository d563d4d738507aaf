"""Per-sample gradient norms: the same whatever batch a sample comes in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from orderdp_theory.arguments import integer
from orderdp_theory.common.errors import InputError
from orderdp_train.scores._arrays import class_labels, require


def per_sample_gradient_norms(
    model: nn.Module,
    inputs: Shaped[Tensor, "b *sample"],
    targets: Int64[Tensor, "b"],
    *,
    chunk_size: int = 16,
) -> Float[Tensor, "b"]:
    """|grad L_i|_2 in all trainable parameters, for each sample's own cross entropy, `(b,)`.

    The model is evaluated in eval mode, one sample a call: no mean over the batch and no batch
    statistics. Memory is `chunk_size` gradients. `ValueError` for a target that is not one of the
    model's classes.

    Example:
        >>> model, inputs = torch.nn.Linear(3, 2), torch.zeros(2, 3)
        >>> norms = per_sample_gradient_norms(model, inputs, torch.tensor([0, 1]))
        >>> norms.shape
        torch.Size([2])
    """
    require(nn.Module, model=model)
    check_chunks(inputs, chunk_size)
    targets = class_labels(targets, len(inputs), "targets")
    lowest, highest = (int(edge) for edge in targets.aminmax())
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    fixed = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
    fixed |= {name: b.detach() for name, b in model.named_buffers()}
    if not trained:
        raise InputError("model has no trainable parameters, so that there is no gradient")

    def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        logits = functional_call(model, {**fixed, **parameters}, (x[None],))
        if lowest < 0 or highest >= logits.shape[1]:
            raise InputError(
                f"targets must lie in 0..{logits.shape[1] - 1}, the model's classes, "
                f"got {lowest}..{highest}"
            )
        return F.cross_entropy(logits, y[None], reduction="sum")

    def norm(x: Tensor, y: Tensor) -> Tensor:
        gradient: Any = grad(loss)(trained, x, y)
        return torch.stack([g.square().sum() for g in gradient.values()]).sum().sqrt()

    with eval_mode(model):
        return vmap(norm, chunk_size=chunk_size)(inputs, targets).detach()


def check_chunks(inputs: Any, chunk_size: Any) -> None:
    """Refuse what cannot be walked through, some samples at a time."""
    require(Tensor, inputs=inputs)
    if inputs.ndim < 1 or len(inputs) == 0:
        raise InputError(f"inputs must hold at least one sample, got shape {tuple(inputs.shape)}")
    if integer("chunk_size", chunk_size) < 1:
        raise InputError(f"chunk_size must be at least 1, got {chunk_size}")


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """All modules in eval mode; each gets its own mode back."""
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, was in training.items():
            module.training = was
