"""The interface of all selection rules, and the scores that most of them store."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from numpy.typing import ArrayLike
from torch import Tensor

from orderdp_theory import Design
from orderdp_theory.arguments import integer
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_room
from orderdp_train.devices import sent
from orderdp_train.rules.option import Option

if TYPE_CHECKING:
    from orderdp_train.rules.pairs import SecondOrder
    from orderdp_train.rules.registry import Setting

SAMPLE = 64  # bytes of memory that a selection takes for each of n samples
LARGEST = torch.finfo(torch.float32).max
Selection = tuple[Int64[Tensor, "m"], Float32[Tensor, "m"]]
Scorer = Callable[[Int64[Tensor, "s"]], Float[Tensor, "s"]]
Scores = Float[Tensor, "{self.n}"]
Weights = Float64[Tensor, "{self.n}"]
Recorder = Callable[..., Any]
"""Trains proxies, or reads what an earlier call kept of them, and gives the recording."""
Holdout = Callable[[], Float[Tensor, "n"]]
"""Gives a loss of every sample by a model that was not trained on it."""


class SelectionRule(Protocol):
    """Decides which of n samples to train on, and with what weights.

    A rule knows nothing of models or data: it sees sample indices and losses. The gradient
    estimator that training with a rule follows is

        g~ = (1/m) sum_k weights[k] * grad L_{indices[k]},

    over one selection of m samples; a uniformly shuffled minibatch of it has the same expectation.
    A rule that keeps no scores inherits `update`, `state_dict` and `load_state_dict` as they are.

    For commands, tables and figures a rule has a `name`, a `label`, a `colour` and a `marker` (the
    next free ones if empty), its `options`, and `build`, which makes it from their values; see
    `orderdp_train.register`.

    Example:
        >>> class First(SelectionRule):
        ...     name, label, n, budget = "first", "the first one", 4, 1
        ...     def select(self, generator): return torch.tensor([0]), torch.ones(1)
        ...     def expected_weights(self, scores=None): return torch.eye(4, dtype=torch.float64)[0]
        >>> First().expected_weights().tolist()
        [1.0, 0.0, 0.0, 0.0]
    """

    name: ClassVar[str]
    label: ClassVar[str]
    colour: ClassVar[str] = ""
    marker: ClassVar[str] = ""
    order: ClassVar[int] = 99
    """Where it stands among the rules in tables and figures."""
    options: ClassVar[Mapping[str, Option]] = {}
    made_from: ClassVar[str] = ""
    """What its constructor needs that no option can say; such a rule is not built by name."""
    needs_scorer: ClassVar[bool] = False
    """Whether it ranks by present losses, for which a `scorer` must be given."""
    needs_recording: ClassVar[bool] = False
    """Whether it selects by what proxies showed, for which a `recorder` must be given."""
    needs_holdout: ClassVar[bool] = False
    """Whether it ranks by losses of models trained on other samples, that a `holdout` gives."""
    per_step: ClassVar[bool] = True
    """Whether its budget can be split, for a selection at every step (Algorithm 1)."""

    n: int
    budget: int | None
    """How many samples every selection keeps; None when the number depends on the scores."""

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        """The rule for a training, from a value for each of its `options`."""
        raise InputError(f"{cls.__name__} cannot be built by name: it has no build")

    def select(self, generator: torch.Generator) -> Selection:
        """Draw `(indices int64 (m,), weights float32 (m,))`: distinct indices in any order.

        All randomness comes from `generator`, drawn where it lives, so a seed means the same
        selection on every device. Drawing changes nothing in the rule.
        """
        ...

    def expected_weights(self, scores: Scores | None = None) -> Weights:
        """The exact w, float64 `(n,)`, of E[g~] = sum_i w_i grad L_i at the rule's present scores.

        With `scores` `(n,)` given, say the current losses: w as if the rule ranked by those.
        """
        ...

    def at_present(self) -> Self:
        """The rule for use at a fixed model: present losses are looked up, not computed again."""
        return self

    def surrogate_design(self) -> Design | None:
        """The design whose L_q it trains on when its scores are current, if it is of that kind."""
        return None

    def second_order(self) -> SecondOrder | None:
        """Inclusion probabilities of samples and pairs at the present scores, if known exactly."""
        return None

    def prepare(self) -> None:
        """Do what is done once, before a training that does not continue from a state."""

    def update(self, indices: ArrayLike, losses: ArrayLike) -> None:
        """Tell the rule the losses `(b,)` just seen of samples `indices` `(b,)`."""

    def set_epoch(self, epoch: int) -> None:
        """Tell the rule which epoch, from 0, comes next; only annealing rules care."""

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` of a rule built the same way needs to continue from here."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`; `ValueError` if it belongs to another rule."""


class ScoredRule(SelectionRule):
    """A rule that stores the latest loss of every sample as its score, float32 `(n,)`.

    `initial_score` stands for a sample that was never used; `inf` ranks those first. Memory 4n
    bytes on `device`; an update costs O(b).

    Example:
        >>> rule = OrderDP(Design(4, 2, 1))  # a ScoredRule
        >>> rule.update([2], [0.5])
        >>> rule.scores.tolist()
        [inf, inf, 0.5, inf]
    """

    def __init__(self, n: int, *, initial_score: float, device: torch.device | str) -> None:
        n = check_samples(n)
        if not isinstance(initial_score, int | float):
            raise TypeError(f"the initial score must be a number, got {initial_score!r}")
        if not abs(initial_score) <= LARGEST and not math.isinf(initial_score):
            raise InputError(
                f"the initial score must be a number in single precision, got {initial_score}: use "
                "inf for unused-first"
            )
        self.n = n
        self.scores = torch.full((n,), initial_score, dtype=torch.float32, device=device)

    def update(self, indices: ArrayLike, losses: ArrayLike) -> None:
        """Store losses as scores; refusals of `losses_of_samples`."""
        indices, losses = self._checked(indices, losses)
        self.scores[indices] = losses

    def _checked(
        self, indices: ArrayLike, losses: ArrayLike
    ) -> tuple[Int64[Tensor, "b"], Float32[Tensor, "b"]]:
        return losses_of_samples(indices, losses, self.n, self.scores)

    def _given(self, scores: Scores | None) -> Scores:
        """The present scores, or those `(n,)` that were given; `ValueError` for others and NaN."""
        if scores is None:
            return self.scores
        scores = as_vector("scores", scores)
        if scores.shape != (self.n,) or scores.isnan().any():
            raise InputError(
                f"scores must be a number for each of {self.n} samples, none of them NaN, "
                f"got shape {tuple(scores.shape)}"
            )
        return scores

    def state_dict(self) -> dict[str, Any]:
        return {"scores": self.scores}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        mine = self.state_dict()
        if (
            not isinstance(state, dict)
            or state.keys() != mine.keys()
            or any(not isinstance(v, Tensor) or v.shape != mine[k].shape for k, v in state.items())
        ):
            raise InputError(f"the state is not one of {type(self).__name__} over {self.n} samples")
        for name in mine:
            if state[name].isnan().any():
                raise InputError(f"the state of {type(self).__name__} holds NaN among its {name}")
        for name, tensor in mine.items():
            tensor.copy_(state[name])


def real_tensor(name: str, values: Any, form: str = "an array of numbers") -> Tensor:
    """Real numbers as a tensor, detached: from a tensor, an array or a list; else `TypeError`."""
    try:
        tensor = torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be {form}, got {values!r}") from None
    if tensor.is_complex() or tensor.is_meta or tensor.layout != torch.strided:
        raise TypeError(f"{name} must be real numbers, each of them there, got {tensor!r}")
    return tensor


def as_vector(name: str, values: Any) -> Tensor:
    """`real_tensor` of one dimension; else `TypeError` or `ValueError` that names them."""
    vector = real_tensor(name, values, "numbers in a vector")
    if vector.ndim != 1:
        raise InputError(f"{name} must be a vector (b,), got shape {tuple(vector.shape)}")
    return vector


def samples_of(name: str, indices: Any, n: int) -> Tensor:
    """Indices int64 `(b,)`; `TypeError` or `ValueError` for what are no integers in 0 ... n - 1.

    Not looked at where they lie on a GPU, which would have to be waited for.
    """
    indices = as_vector(name, indices)
    if indices.numel() and (indices.is_floating_point() or indices.dtype == torch.bool):
        raise TypeError(f"{name} must be integers, got {indices.dtype}")
    if indices.device.type != "cuda":  # which would make the host wait
        outside = indices[(indices < 0) | (indices >= n)]
        if len(outside):
            raise InputError(f"{name} must lie in 0..{n - 1}, got {int(outside[0])}")
    return indices.to(torch.int64)


def losses_of_samples(indices: Any, losses: Any, n: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Indices int64 `(b,)` and detached losses `(b,)` of the type and device of `like`.

    `TypeError` or `ValueError` for what are no integers in 0 ... n - 1 with as many finite losses.
    On a GPU, which would have to be waited for, what is in `like` stands for other losses instead.
    """
    indices, losses = as_vector("indices", indices), as_vector("losses", losses)
    if indices.numel() and (indices.is_floating_point() or indices.dtype == torch.bool):
        raise TypeError(f"indices must be integers, got {indices.dtype}")
    if indices.shape != losses.shape:
        raise InputError(
            "update needs one loss a sample: indices and losses of one shape (b,), "
            f"got {tuple(indices.shape)} and {tuple(losses.shape)}"
        )
    losses = sent(losses.detach(), like.device).to(like.dtype)
    indices = sent(indices, like.device).to(torch.int64)
    sound = losses.isfinite() & (indices >= 0) & (indices < n)
    if like.device.type == "cuda":
        return indices, torch.where(sound, losses, like[indices])
    if not sound.all():
        first = int(sound.logical_not().nonzero()[0])
        index, loss = int(indices[first]), float(losses[first])
        if not 0 <= index < n:
            raise InputError(f"indices must lie in 0..{n - 1}, got {index}")
        raise InputError(f"the loss of sample {index} is {loss}: scores must be finite")
    return indices, losses


def present_losses(scorer: Scorer, indices: Tensor) -> Tensor:
    """What a scorer gives; `ValueError` unless one finite loss for each index.

    On a GPU what is not finite ranks first, and is noticed when it is trained on.
    """
    losses = as_vector("the scorer's losses", scorer(indices))
    finite = losses.device.type == "cuda" or bool(losses.isfinite().all())
    if losses.shape != indices.shape or not finite:
        raise InputError(
            f"the scorer must give a finite loss for each of {len(indices)} samples, got shape "
            f"{tuple(losses.shape)} and {int((~losses.isfinite()).sum())} that are not finite"
        )
    return losses


def rounded(fraction: float, n: int) -> int:
    """The number of samples that a fraction of n is: the nearest, at least 1.

    The one place where commands, audits and grids turn fractions into numbers.
    """
    return max(round(fraction * n), 1)


def design_of(n: int, keep: float, explore: float, *, less: int = 0) -> Design:
    """Random-then-top selection with q/n = keep, `less` samples fewer, and s/n = explore.

    Where `explore` is below `keep`, which no design allows, s = q.
    """
    q = rounded(keep, n) - less
    return Design(n, max(rounded(explore, n), q), q)


def check_samples(n: int) -> int:
    """`n` itself; `ValueError` unless it is at least 1 and fits into memory."""
    n = integer("n", n)
    if n < 1:
        raise InputError(f"a rule needs at least one sample to select from, got n={n}")
    require_room("n", n, SAMPLE)
    return n


def check_budget(m: int, n: int) -> int:
    """`m` itself; `ValueError` unless 1 <= m <= n, `TypeError` unless both are integers."""
    m, n = integer("the number kept", m), integer("n", n)
    require_room("n", n, SAMPLE)
    if not 1 <= m <= n:
        raise InputError(f"cannot keep {m} of {n} samples: the number must lie in 1..{n}")
    return m


def check_generator(generator: Any) -> None:
    """`TypeError` unless it is a generator of torch: every draw names its randomness."""
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator, got {generator!r}")


def random_subset(
    n: int, m: int, generator: torch.Generator, device: torch.device
) -> Int64[Tensor, "{m}"]:
    """m of n in random order, int64 `(m,)`: every ordered choice equally likely.

    Few of many cost O(m); NumPy draws them from a seed that `generator` gives.
    """
    check_generator(generator)
    if few(n, m):
        seed = torch.randint(2**62, (2,), generator=generator, device=generator.device).tolist()
        chosen = torch.from_numpy(np.random.default_rng(seed).choice(n, m, replace=False))
    else:
        chosen = torch.randperm(n, generator=generator, device=generator.device)[:m]
    return sent(chosen, device)


def few(n: int, m: int) -> bool:
    """Whether m of n are so few that a permutation of n should be spared (NumPy's own border)."""
    return n > 10_000 and 50 * m <= n


def drawn_once(seed: int) -> torch.Generator:
    """Draws what stays for a whole training of this seed; not the stream that flips its labels."""
    return torch.Generator().manual_seed(10**6 + seed)


def top(scores: Float[Tensor, "s"], q: int) -> Bool[Tensor, "s"]:
    """Mask `(s,)` of the q largest scores; of equal ones at the border, the first.

    On scores in random order this breaks ties uniformly at random, at O(s): one partial selection
    finds the border, no sort.
    """
    if q == len(scores):
        return torch.ones_like(scores, dtype=torch.bool)
    if q == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    if scores.device.type == "cpu":  # where NumPy is several times faster
        border = torch.from_numpy(np.partition(scores.double().numpy(), -q))[-q]
        reached = scores >= border
        if int(reached.count_nonzero()) == q:  # no tie at the border
            return reached
    else:
        border = scores.topk(q, sorted=False).values.min()
    above, tied = scores > border, scores == border
    return above | (tied & (tied.cumsum(0) <= q - above.sum()))


def others(taken: Tensor, places: Tensor) -> Tensor:
    """The samples at these `places` `(b,)`, from 0, among those not in `taken` `(q,)`, ascending.

    At O((q + b) log q), however many others there are.
    """
    # Place j comes after as many taken samples as have at most j others before them.
    before = taken.sort().values - torch.arange(len(taken), device=taken.device)
    return places + torch.searchsorted(before, places, right=True)


def where_true(mask: Tensor, count: int) -> Tensor:
    """The places `(count,)`, ascending, where a mask `(s,)` is true: as many as are known to be.

    On an accelerator it does not wait, as `nonzero` would, for them to be counted.
    """
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return where_scattered(mask, count)


def where_scattered(mask: Tensor, count: int) -> Tensor:
    """The same without a count, each place written to where it belongs."""
    place = (mask.cumsum(0) - 1).masked_fill_(~mask, count).clamp_(max=count)
    found = torch.zeros(count + 1, dtype=torch.int64, device=mask.device)
    return found.scatter_(0, place, torch.arange(len(mask), device=mask.device))[:count]


def finite(scores: Float[Tensor, "n"]) -> Float64[Tensor, "n"]:
    """The scores as float64, infinity made the largest number: same order, same ties."""
    return torch.nan_to_num(scores.double(), nan=math.nan, posinf=torch.finfo(torch.float64).max)
