"""DeepFool: the distance to the decision boundary."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from orderdp_theory.arguments import integer, number
from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import require
from orderdp_train.scores._per_sample import check_chunks, eval_mode
from orderdp_train.scores.recording import Recording, Schedule
from orderdp_train.scores.static_rule import ScoreRule


def deepfool(
    model: nn.Module,
    inputs: Float[Tensor, "b *sample"],
    *,
    max_steps: int = 50,
    overshoot: float = 0.02,
    chunk_size: int = 16,
) -> Float[Tensor, "b"]:
    """Minus the length of DeepFool's adversarial perturbation, `(b,)`: nearest to a boundary first.

    From x a step goes to the nearest boundary of the classifier linearised at x: with f the logits
    and a the class predicted at first, to class k = argmin |f_k - f_a| / |grad (f_k - f_a)|, by
    |f_k - f_a| grad (f_k - f_a) / |grad (f_k - f_a)|^2. Steps add up to r until
    x + (1 + overshoot) r is of another class. A sample that has not changed class after
    `max_steps` counts with its r so far.

    Args:
        model: maps `(b, ...)` to logits `(b, c)`, c >= 2; evaluated in eval mode, sample by sample.
        inputs: `(b, ...)`.

    Source: Ducoffe, Precioso (2018), Section 3; Moosavi-Dezfooli et al. (2016), Algorithm 2.
    Cost a Jacobian, c backward passes, a step; memory `chunk_size` Jacobians.

    Example:
        >>> model = torch.nn.Linear(1, 2, bias=False)
        >>> model.weight = torch.nn.Parameter(torch.tensor([[1.0], [-1.0]]))  # a boundary at 0
        >>> deepfool(model, torch.tensor([[0.5], [2.0]])).detach().numpy().round(4).tolist()
        [-0.5, -2.0]
    """
    require(nn.Module, model=model)
    check_chunks(inputs, chunk_size)
    overshoot, max_steps = number("overshoot", overshoot), integer("max_steps", max_steps)
    weights = {name: w.detach() for name, w in model.named_parameters()}
    weights |= {name: b.detach() for name, b in model.named_buffers()}

    def logits_of(x: Tensor) -> tuple[Tensor, Tensor]:
        logits = functional_call(model, weights, (x[None],))[0]
        return logits, logits

    linearise = vmap(jacrev(logits_of, has_aux=True), chunk_size=chunk_size)
    start = inputs.detach()
    moved = torch.zeros_like(start)
    active = torch.arange(len(start), device=start.device)
    first = torch.zeros_like(active)
    with eval_mode(model):
        for step in range(max_steps + 1):
            if len(active) == 0:
                break
            jacobian, logits = linearise(start[active] + (1 + overshoot) * moved[active])
            if step == 0:
                first = logits.argmax(1)
            same = logits.argmax(1) == first[active]
            active, jacobian, logits = active[same], jacobian[same].flatten(2), logits[same]
            if step < max_steps:
                moved[active] += _to_nearest_boundary(logits, jacobian, first[active]).view(
                    -1, *start.shape[1:]
                )
    return -moved.flatten(1).norm(dim=1)


def _to_nearest_boundary(logits: Tensor, jacobian: Tensor, own: Tensor) -> Tensor:
    """DeepFool's step `(b, d)` from logits `(b, c)` and their Jacobian `(b, c, d)`."""
    rows = torch.arange(len(own), device=own.device)
    gaps = (logits - logits[rows, own][:, None]).abs()
    slopes = jacobian - jacobian[rows, own][:, None]
    lengths = slopes.norm(dim=2)
    # A class whose difference is flat here cannot be reached.
    distances = torch.where(lengths > 0, gaps / lengths, torch.inf)
    distances[rows, own] = torch.inf
    nearest = distances.argmin(1)
    reachable = distances[rows, nearest].isfinite()
    length = torch.where(reachable, lengths[rows, nearest], 1.0)[:, None]
    scale = torch.where(reachable, gaps[rows, nearest], 0.0)[:, None]
    return scale * slopes[rows, nearest] / length.square()


@register
class DeepFool(ScoreRule):
    """`deepfool` of the proxy: the samples nearest to its decision boundary."""

    name, label = "deepfool", "DeepFool"

    def schedule(self) -> Schedule:
        return replace(super().schedule(), deepfool=True)

    def scores(self, recording: Recording, generator: torch.Generator) -> Tensor:
        assert recording.deepfool is not None  # as its schedule asks
        return recording.deepfool
