"""One loss a sequence, for language models."""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64, Real
from torch import Tensor

from orderdp_theory.common.errors import InputError


def sequence_losses(
    logits: Float[Tensor, "B T V"],
    labels: Int64[Tensor, "B T"],
    *,
    ignore_index: int = -100,
    shift: bool = True,
    reduction: Literal["mean", "sum"] = "mean",
    label_smoothing: float = 0.0,
) -> Float32[Tensor, "B"]:
    """Cross-entropy of each sequence, float32 `(B,)`, from logits `(B, T, V)`, labels `(B, T)`.

    With `shift`, the logits at a place predict the label of the next. Labels `ignore_index`,
    padding say, do not count; a sequence without any other has loss 0.

    "mean" is over the tokens of the sequence. A rule that is unbiased for the mean loss of its
    samples is then unbiased for the mean over *sequences* of their mean token loss: a token of a
    short sequence weighs more. "sum" makes it unbiased for the sum over all *tokens*, divided by
    the number of sequences; divide by the fixed mean number of tokens a sequence for the mean over
    tokens. The mean over the tokens of each batch, which many trainers use, is neither: its random
    divisor makes it a biased ratio. Raises `InputError` for shapes that do not fit.

    Example:
        >>> logits = torch.zeros(1, 3, 5)  # a sequence of three, five words, all as likely
        >>> sequence_losses(logits, torch.tensor([[1, 2, -100]])).exp().round(decimals=4).tolist()
        [5.0]
    """
    if not (isinstance(logits, Tensor) and isinstance(labels, Tensor)):
        raise TypeError(f"logits and labels must be tensors, got {logits!r} and {labels!r}")
    if logits.ndim != 3 or logits.shape[:2] != labels.shape:
        raise InputError(
            "need logits (B, T, V) and labels (B, T), got "
            f"{tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    if shift:
        logits, labels = logits[:, :-1], labels[:, 1:]
    losses = F.cross_entropy(
        logits.float().transpose(1, 2),
        labels,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction="none",
    ).sum(1)
    if reduction == "sum":
        return losses
    return losses / (labels != ignore_index).sum(1).clamp(min=1)


def next_token_accuracy(
    logits: Real[Tensor, "B T V"], labels: Int64[Tensor, "B T"]
) -> Float32[Tensor, "B"]:
    """The share `(B,)` of the places of each sequence whose most likely next token is right."""
    return (logits[:, :-1].argmax(2) == labels[:, 1:]).float().mean(1)
