"""EL2N: the length of the error vector early in training."""

from dataclasses import replace

import torch
from jaxtyping import Float64, Integer, Real
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import Array, class_targets, distributions
from orderdp_train.scores.recording import Recording, Schedule
from orderdp_train.scores.static_rule import ENSEMBLE, ScoreRule, early, up_to


def el2n(
    probabilities: Real[Array, "*networks n c"], targets: Integer[Array, "n"]
) -> Float64[Tensor, "n"]:
    """Error L2-norm, float64 `(n,)`: the mean over networks of |p(x_i) - y_i|_2, in [0, sqrt(2)].

    Args:
        probabilities: softmax outputs `(n, c)`, or `(networks, n, c)`.
        targets: class numbers `(n,)`; y_i is their one-hot vector.

    Source: Paul, Ganguli, Dziugaite (2021), Definition 2.2; ten networks, a few epochs in. The
    "2" of EL2N-2 is read as the epoch. Cost O(networks n c).

    Example:
        >>> el2n(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0, 0])).numpy().round(4).tolist()
        [0.0, 0.7071]
    """
    p = distributions(probabilities)
    if p.ndim not in (2, 3):
        raise InputError(f"probabilities must be (n, c) or (networks, n, c), got {tuple(p.shape)}")
    y = class_targets(targets, p.shape[-2], p.shape[-1]).to(p.device)
    lengths = torch.stack([_error(network, y) for network in p.reshape(-1, *p.shape[-2:])])
    return lengths.mean(0)


def _error(p: Tensor, y: Tensor) -> Tensor:
    error = p.clone()
    error[torch.arange(len(y), device=y.device), y] -= 1
    return error.norm(dim=1)


@register
class EL2N(ScoreRule):
    """`el2n` of ten proxies early in training."""

    name, label = "el2n", "EL2N"
    options = {**ScoreRule.options, "epoch": early(20)}

    def schedule(self) -> Schedule:
        usual = super().schedule()
        epochs = up_to(usual.epochs, *usual.el2n, int(self.values["epoch"]))
        return replace(usual, proxies=ENSEMBLE, el2n=epochs)

    def scores(self, recording: Recording, generator: torch.Generator) -> Tensor:
        [epoch] = up_to(len(recording.correct), int(self.values["epoch"]))
        return recording.el2n[epoch]
