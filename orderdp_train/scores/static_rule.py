"""A static method as a rule: its subset is selected once, from a recording of proxies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.rules.base import Scores, Selection, SelectionRule, Weights, drawn_once, rounded
from orderdp_train.rules.fixed_subset import FixedSubset
from orderdp_train.rules.option import KEEP, Choice, Option
from orderdp_train.rules.pairs import SecondOrder
from orderdp_train.rules.registry import Setting
from orderdp_train.scores._balance import keep_top
from orderdp_train.scores.recording import Recording, Schedule

BALANCE = Choice(
    "none",
    "Keep the same share of every class: classes, or none.",
    words=("none", "classes"),
)
BALANCED = Choice("classes", BALANCE.help, words=BALANCE.words)
ENSEMBLE = 10  # networks whose mean EL2N and GraNd are
HELD_OUT = 0.1  # share of the samples that validate a proxy, of each class the same


def early(default: int) -> Option:
    """The option of scores that are taken early in training."""
    return Option(default, "Epoch after which scores are taken, the last one at most.", low=1)


class StaticRule(SelectionRule):
    """The `FixedSubset` that a method selects from what proxies showed of the samples.

    It is selected when it is first needed, by asking the setting's `recorder` for a recording, and
    not at all if a state is loaded before: a run goes on and is audited without its proxies.

    A method has a `subset`, or `scores` as a `ScoreRule`. What it needs beyond the last layer and
    the forgetting events of one proxy is in its `schedule`.

    Example:
        >>> class First(StaticRule):
        ...     def subset(self, recording, k, classes, generator): return torch.arange(k)
        >>> layer = LastLayer(torch.eye(4), torch.eye(4), torch.arange(4))
        >>> recording = Recording({}, {}, torch.ones(1, 4).bool(), layer, None)
        >>> setting = Setting(4, recorder=lambda schedule, held_out: recording, epochs=1)
        >>> First(setting, {"keep": 0.5, "balance": "none"}).fixed.indices.tolist()
        [0, 1]
    """

    per_step = False
    needs_recording = True
    order = 20
    options = {"keep": KEEP, "balance": BALANCE}
    held_out: ClassVar[float] = 0.0
    """Share of the samples that its proxy is validated and not trained on."""

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        return cls(setting, options)

    def __init__(self, setting: Setting, options: Mapping[str, Any]) -> None:
        self.setting, self.values = setting, options
        self.n = setting.n
        self.k = self.budget = rounded(options["keep"], setting.n)
        self._fixed: FixedSubset | None = None

    def subset(
        self,
        recording: Recording,
        k: int,
        classes: Int64[Tensor, "n"] | None,
        generator: torch.Generator,
    ) -> Int64[Tensor, "{k}"] | tuple[Int64[Tensor, "{k}"], Float64[Tensor, "{k}"]]:
        """The k samples that are kept, int64 `(k,)`, and their weights if they have any."""
        raise NotImplementedError

    @property
    def fixed(self) -> FixedSubset:
        """What is kept; the first call makes the recording if there is none yet."""
        if self._fixed is None:
            if self.setting.recorder is None:
                raise InputError(f"{self.name} needs a recorder that gives a recording of proxies")
            recording: Recording = self.setting.recorder(self.schedule(), self.held_out)
            if len(recording.last_layer) != self.n:
                raise InputError(
                    f"the recording is of {len(recording.last_layer)} samples, not of {self.n}"
                )
            balanced = self.values["balance"] == "classes"
            classes = recording.last_layer.targets if balanced else None
            found = self.subset(recording, self.k, classes, drawn_once(self.setting.seed))
            indices, weights = found if isinstance(found, tuple) else (found, None)
            self._fixed = FixedSubset(self.n, indices, weights, device=self.setting.device)
        return self._fixed

    def schedule(self) -> Schedule:
        """What is recorded for it: of a proxy that sees all samples EL2N-2, EL2N-20 and GraNd-4
        too, whoever asks, so that all methods share it."""
        last = self.setting.epochs
        if last is None:
            raise InputError(f"{self.name} needs the epochs of the training that its proxies have")
        if self.held_out:
            return Schedule(last, proxies=1, el2n=(), grand=())
        return Schedule(last, proxies=1, el2n=up_to(last, 2, 20), grand=up_to(last, 4))

    def prepare(self) -> None:
        self.state_dict()

    def select(self, generator: torch.Generator) -> Selection:
        return self.fixed.select(generator)

    def expected_weights(self, scores: Scores | None = None) -> Weights:
        return self.fixed.expected_weights(scores)

    def second_order(self) -> SecondOrder:
        return self.fixed.second_order()

    def state_dict(self) -> dict[str, Any]:
        return self.fixed.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._fixed is None:
            kept = FixedSubset(
                self.n, state["indices"], state["weights"], device=self.setting.device
            )
            kept.weights.copy_(state["weights"])  # bit for bit, not normalised once more
            self._fixed = kept
        self._fixed.load_state_dict(state)


class ScoreRule(StaticRule):
    """The samples with the largest `scores`; ties are broken uniformly at random.

    Example:
        >>> class Longest(ScoreRule):
        ...     def scores(self, recording, generator):
        ...         return recording.last_layer.features.norm(dim=1)
        >>> layer = LastLayer(torch.eye(4), torch.diag(torch.arange(4.0)), torch.arange(4))
        >>> recording = Recording({}, {}, torch.ones(1, 4).bool(), layer, None)
        >>> setting = Setting(4, recorder=lambda schedule, held_out: recording, epochs=1)
        >>> Longest(setting, {"keep": 0.5, "balance": "none"}).expected_weights().tolist()
        [0.0, 0.0, 0.5, 0.5]
    """

    def scores(self, recording: Recording, generator: torch.Generator) -> Float[Tensor, "n"]:
        """A score a sample, `(n,)`, larger = kept first."""
        raise NotImplementedError

    def subset(
        self,
        recording: Recording,
        k: int,
        classes: Int64[Tensor, "n"] | None,
        generator: torch.Generator,
    ) -> Int64[Tensor, "{k}"]:
        return keep_top(self.scores(recording, generator), k, generator, classes=classes)


def up_to(last: int, *epochs: int) -> tuple[int, ...]:
    """The epochs, ascending, the last one in place of those beyond it."""
    return tuple(sorted({min(epoch, last) for epoch in epochs}))
