"""Influence functions, at the last layer."""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import require
from orderdp_train.scores._last_layer import LastLayer
from orderdp_train.scores.recording import Recording
from orderdp_train.scores.static_rule import HELD_OUT, ScoreRule

DAMPING = 0.01
"""Of the Hessian in the rules by name, as in the experiments of Koh and Liang."""

TOO_SMALL = "damping must be larger: the system is singular up to rounding"


def influence(
    train: LastLayer, validation: LastLayer, damping: float
) -> Float64[Tensor, "{len(train)}"]:
    """How much the validation loss would rise without a sample, float64 `(n,)`: helpful ones first.

    grad L_V^T H^-1 grad L_i, with L_V the mean validation loss and H the Hessian of the mean
    training loss plus `damping` |.|^2 / 2: to first order, n times the rise of L_V when sample i is
    left out. It is minus I_up,loss of the source; harmful samples are negative.

    Args:
        train: n samples at the proxy's last layer, where the loss is convex and its Hessian exact.
        validation: samples that decide what helps, at the same layer.
        damping: > 0, the weight decay of the proxy or a little more.

    Source: Koh, Liang (2017), Equation 2, as they apply it to a network's top layer. One linear
    system by conjugate gradients: O(n h c) time an iteration, O(n (c + h)) memory.

    Example:
        >>> train = LastLayer(np.zeros((2, 2)), np.ones((2, 1)), np.array([0, 1]))
        >>> validation = LastLayer(np.zeros((1, 2)), np.ones((1, 1)), np.array([0]))
        >>> influence(train, validation, damping=0.1).sign().tolist()  # the first helps
        [1.0, -1.0]
    """
    require(LastLayer, train=train, validation=validation)
    _check(train, damping)
    if validation.logits.shape[1] != train.logits.shape[1]:
        raise InputError("training and validation samples have different numbers of classes")
    target = validation.logit_gradients().T @ validation.inputs / len(validation)
    x = train.inputs
    direction = _solve(train.probabilities, x, target, damping)
    return (train.logit_gradients() * (x @ direction.T)).sum(1)


def parameter_influences(train: LastLayer, damping: float) -> Float64[Tensor, "{len(train)} d"]:
    """How the last layer would move without sample i: rows H^-1 grad L_i / n, float64 `(n, d)`.

    d = c (h + 1). To first order in 1/n; H as in `influence`. This is what `dataset_pruning` takes.

    Source: Koh, Liang (2017), Section 2.1; Yang et al. (2023). One Cholesky
    factorisation: O(n d^2 + d^3) time and O(n d + d^2) memory, so for large d reduce the features.

    Example:
        >>> train = LastLayer(np.zeros((4, 2)), np.ones((4, 3)), np.array([0, 1, 0, 1]))
        >>> moves = parameter_influences(train, damping=0.1)
        >>> tuple(moves.shape), torch.allclose(moves.sum(0), torch.zeros(8, dtype=torch.float64))
        ((4, 8), True)
    """
    require(LastLayer, train=train)
    _check(train, damping)
    n, c = train.logits.shape
    x, p = train.inputs, train.probabilities
    w = x.shape[1]
    hessian = torch.empty(c, w, c, w, dtype=x.dtype, device=x.device)
    for a in range(c):
        for b in range(a, c):
            curvature = p[:, a] * (float(a == b) - p[:, b])
            hessian[a, :, b] = (x * curvature[:, None]).T @ x / n
            hessian[b, :, a] = hessian[a, :, b].T
    hessian = hessian.reshape(c * w, c * w)
    hessian.diagonal().add_(damping)
    factor, failed = torch.linalg.cholesky_ex(hessian)
    if failed:
        raise InputError(f"{TOO_SMALL}, got {damping}")
    return torch.cholesky_solve(train.gradients().T, factor).T / n


def _check(train: LastLayer, damping: float) -> None:
    if not 0 < damping < math.inf:
        raise InputError(f"damping must be positive, got {damping}: the Hessian alone is singular")


def _solve(p: Tensor, x: Tensor, target: Tensor, damping: float) -> Tensor:
    """H^-1 target, `(c, h + 1)`, by conjugate gradients to a relative residual of 1e-10."""

    def hessian_times(v: Tensor) -> Tensor:
        u = x @ v.T
        return (p * (u - (p * u).sum(1, keepdim=True))).T @ x / len(x) + damping * v

    solution, residual = torch.zeros_like(target), target.clone()
    direction, norm = residual.clone(), float(residual.square().sum())
    enough = 1e-20 * norm
    # In exact arithmetic one iteration a dimension is enough; rounding may need a few times more.
    for _ in range(10 * target.numel()):
        if norm <= enough:
            return solution
        image = hessian_times(direction)
        if not (curvature := float((direction * image).sum())) > 0:
            break
        step = norm / curvature
        solution += step * direction
        residual -= step * image
        previous, norm = norm, float(residual.square().sum())
        direction = residual + (norm / previous) * direction
    raise InputError(f"{TOO_SMALL}, got {damping}")


@register
class Influence(ScoreRule):
    """`influence` on the loss of samples that the proxy was not trained on: helpful ones first."""

    name, label = "influence", "influence"
    held_out = HELD_OUT

    def scores(self, recording: Recording, generator: torch.Generator) -> Tensor:
        assert recording.validation is not None  # as `held_out` asks
        return influence(recording.last_layer, recording.validation, DAMPING)
