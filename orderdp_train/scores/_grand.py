"""GraNd: the expected gradient norm early in training."""

from dataclasses import replace

import torch
from jaxtyping import Float64, Real
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.rules.base import real_tensor
from orderdp_train.rules.registry import register
from orderdp_train.scores._arrays import Array, finite_matrix
from orderdp_train.scores.recording import Recording, Schedule
from orderdp_train.scores.static_rule import ENSEMBLE, ScoreRule, early, up_to


def grand(gradient_norms: Real[Array, "*networks n"]) -> Float64[Tensor, "n"]:
    """Gradient normed, float64 `(n,)`: the mean over networks of |grad L_i|_2.

    Args:
        gradient_norms: `(networks, n)` norms of *per-sample* gradients, as
            `per_sample_gradient_norms` gives them; `(n,)` for one network.

    Source: Paul, Ganguli, Dziugaite (2021), Definition 2.1: the expectation of the norm, not its
    square and not the norm of the expectation. Cost O(networks n).

    Example:
        >>> grand(np.array([[1.0, 2.0], [3.0, 2.0]])).tolist()  # two networks
        [2.0, 2.0]
    """
    norms = finite_matrix(
        torch.atleast_2d(real_tensor("gradient_norms", gradient_norms)), "gradient_norms"
    )
    if (norms < 0).any():
        raise InputError("gradient_norms must not be negative")
    return norms.mean(0)


@register
class GraNd(ScoreRule):
    """`grand` of ten proxies early in training, in all parameters."""

    name, label = "grand", "GraNd"
    options = {**ScoreRule.options, "epoch": early(4)}

    def schedule(self) -> Schedule:
        usual = super().schedule()
        epochs = up_to(usual.epochs, *usual.grand, int(self.values["epoch"]))
        return replace(usual, proxies=ENSEMBLE, grand=epochs)

    def scores(self, recording: Recording, generator: torch.Generator) -> Tensor:
        [epoch] = up_to(len(recording.correct), int(self.values["epoch"]))
        return recording.grand[epoch]
