"""What is recorded of proxies in training: when, and what comes of it."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Float64
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.scores._last_layer import LastLayer


@dataclass(frozen=True)
class Schedule:
    """What is recorded when: epochs count from 1, after training.

    The first proxy trains `epochs` epochs, is asked after each what it gets right, and gives the
    last layer at the end, and DeepFool's scores if it is asked for them, which cost a Jacobian a
    step and sample. All `proxies` give EL2N and GraNd after the epochs listed, the others train no
    longer than that. The defaults are EL2N-2, EL2N-20 and GraNd-4 over ten networks.

    Example:
        >>> Schedule(epochs=20).epochs_of(seed=3)  # for EL2N-20
        20
        >>> Schedule(epochs=20, el2n=(2,)).epochs_of(seed=3)  # for GraNd-4
        4
    """

    epochs: int
    proxies: int = 10
    el2n: tuple[int, ...] = (2, 20)
    grand: tuple[int, ...] = (4,)
    deepfool: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.proxies < 1:
            raise InputError("a recording needs at least one epoch of at least one proxy")
        if wrong := [e for e in (*self.el2n, *self.grand) if not 1 <= e <= self.epochs]:
            raise InputError(f"no scores can be taken after epochs {wrong} of {self.epochs}")

    def epochs_of(self, seed: int) -> int:
        """How long proxy `seed` is trained."""
        return self.epochs if seed == 0 else max((*self.el2n, *self.grand), default=0)


@dataclass(frozen=True, eq=False)
class Recording:
    """What the methods take, over n training samples.

    `el2n` and `grand` map an epoch to the score `(n,)`, float64, a mean over the proxies.
    `correct` is bool `(epochs, n)`, `last_layer` (probabilities, embeddings, gradients) and
    `validation` are those of the first proxy after its last epoch, and so is `deepfool` `(n,)`.

    Example:
        >>> layer = LastLayer(np.eye(2), features=np.ones((2, 3)), targets=np.array([0, 0]))
        >>> correct = torch.tensor([[True, False], [False, True]])
        >>> found = Recording({}, {}, correct=correct, last_layer=layer, validation=None)
        >>> forgetting(found.correct).tolist()
        [1.0, 0.0]
    """

    el2n: dict[int, Float64[Tensor, "n"]]
    grand: dict[int, Float64[Tensor, "n"]]
    correct: Bool[Tensor, "epochs n"]
    last_layer: LastLayer
    validation: LastLayer | None
    deepfool: Float[Tensor, "n"] | None = None
