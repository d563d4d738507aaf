"""The last layer of a classifier over all samples, and its per-sample gradients in closed form."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int64, Integer, Real
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.rules.base import real_tensor
from orderdp_train.scores._arrays import Array, class_targets, finite_matrix


@dataclass(frozen=True, eq=False, init=False)
class LastLayer:
    """What a linear last layer with bias saw of n samples and made of them, under cross entropy.

    Args:
        logits: `(n, c)`.
        features: `(n, h)`, the layer's inputs ("embeddings").
        targets: class numbers `(n,)`.

    The gradient of sample i's own loss is (p_i - y_i) in the logits and the outer product
    (p_i - y_i) [h_i, 1]^T in weights and bias: never a mean over a batch, and O(n (c + h)) numbers
    stand for n c (h + 1). Arrays are kept in their own precision; what is derived is float64.

    Example:
        >>> layer = LastLayer(np.eye(2), features=np.ones((2, 3)), targets=np.array([0, 0]))
        >>> layer.correct.tolist(), tuple(layer.gradients().shape)  # c (h + 1) = 8 a sample
        ([True, False], (2, 8))
        >>> torch.allclose(layer.gradient_norms(), layer.gradients().norm(dim=1))
        True
    """

    logits: Float[Tensor, "n c"]
    features: Real[Tensor, "n h"]
    targets: Int64[Tensor, "n"]

    def __init__(
        self,
        logits: Real[Array, "n c"],
        features: Real[Array, "n h"],
        targets: Integer[Array, "n"],
    ) -> None:
        n, c = finite_matrix(logits, "logits").shape
        if len(finite_matrix(features, "features")) != n:
            raise InputError(f"{n} samples have logits and {len(features)} have features")
        z = real_tensor("logits", logits)
        object.__setattr__(self, "logits", z)
        object.__setattr__(self, "features", real_tensor("features", features).to(z.device))
        object.__setattr__(self, "targets", class_targets(targets, n, c).to(z.device))

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def probabilities(self) -> Float64[Tensor, "{len(self)} c"]:
        """Softmax outputs, float64 `(n, c)`."""
        return self.logits.double().softmax(1)

    @property
    def correct(self) -> Bool[Tensor, "{len(self)}"]:
        """Where the largest logit is the target's, bool `(n,)`."""
        return self.logits.argmax(1) == self.targets

    @property
    def inputs(self) -> Float64[Tensor, "{len(self)} {self.features.shape[1]+1}"]:
        """Features and a 1 for the bias, float64 `(n, h + 1)`."""
        return F.pad(self.features.double(), (0, 1), value=1.0)

    def logit_gradients(self) -> Float64[Tensor, "{len(self)} c"]:
        """Per-sample gradients p - y in the logits, float64 `(n, c)`: the embedding of CRAIG."""
        return residuals(self.logits.double(), self.targets)

    def gradients(self) -> Float64[Tensor, "{len(self)} d"]:
        """Per-sample gradients in weights and bias, float64 `(n, c (h + 1))`, class by class."""
        return (self.logit_gradients()[:, :, None] * self.inputs[:, None, :]).flatten(1)

    def gradient_norms(self) -> Float64[Tensor, "{len(self)}"]:
        """Norms of `gradients()`, float64 `(n,)`, at O(n (c + h))."""
        return self.logit_gradients().norm(dim=1) * self.inputs.norm(dim=1)

    def reduced(self, most: int) -> "LastLayer":
        """The same logits over the first `most` principal components of the features.

        The layer itself if it has no more features than that. Cost O(n h^2 + h^3).
        """
        if self.features.shape[1] <= most:
            return self
        centred = self.features.double() - self.features.double().mean(0)
        axes = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -most:]
        return LastLayer(self.logits, centred @ axes, self.targets)


def residuals(
    logits: Float64[Tensor, "n c"], targets: Int64[Tensor, "n"]
) -> Float64[Tensor, "n c"]:
    """softmax(logits) - onehot(targets), `(n, c)`."""
    error = logits.softmax(1)
    error[torch.arange(len(targets), device=targets.device), targets] -= 1
    return error
