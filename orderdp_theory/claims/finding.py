"""What a claim's computation found, and the verdict that follows from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Generic, Literal, TypeVar

Verdict = Literal["verified", "misprint", "conditional", "refuted", "inconsistent", "not checkable"]
Method = Literal[
    "exact enumeration",
    "exact rational",
    "symbolic proof",
    "certified enclosure",
    "counterexample",
    "simulation with error rate",
    "arithmetic on printed numbers",
]
Number = int | float | Fraction
T = TypeVar("T")


class UndecidedError(Exception):
    """An error bar is too wide to tell whether the claim holds."""


@dataclass(frozen=True)
class Finding:
    """One claim compared with its computation.

    Every field below is computed by the claim's function; `verdict` is the only place where a
    verdict is named.

    Attributes:
        claimed: what the paper states, in a few words or a number.
        found: what the computation gave; the decisive evidence.
        holds: the statement as printed agrees with the computation in every case examined.
        method: how the finding was computed.
        numbers: the evidence, by name.
        holds_as_meant: the evident reading of a slip of the pen agrees in every case examined.
        holds_under_condition: the statement holds in every case examined that meets a condition
            on what the user chooses (designs, losses, estimators), there are such cases that
            both explore and prune, and it fails elsewhere.
        rival: the other place of the paper, when the statement fails because that place says
            otherwise and nothing but the authors can tell which of the two is right.
        missing: data the decision needs and the paper does not print.
        correction: the statement that does hold; dropped when the claim holds as printed.
    """

    claimed: str
    found: str
    holds: bool
    method: Method
    numbers: Mapping[str, Number] = field(default_factory=dict)
    holds_as_meant: bool = False
    holds_under_condition: bool = False
    rival: str | None = None
    missing: tuple[str, ...] = ()
    correction: str | None = None

    @property
    def verdict(self) -> Verdict:
        """The verdict, strictly in this order.

        Missing data decide nothing; a statement that holds is verified; of those that fail, a
        contradiction inside the paper comes first (no computation can settle it), then a slip
        whose evident reading holds, then a statement with an unstated condition.
        """
        if self.missing:
            return "not checkable"
        if self.holds:
            return "verified"
        if self.rival is not None:
            return "inconsistent"
        if self.holds_as_meant:
            return "misprint"
        if self.holds_under_condition:
            return "conditional"
        return "refuted"


@dataclass(frozen=True)
class Tally(Generic[T]):
    """A statement examined case by case; `T` is whatever names a case."""

    cases: int
    failures: tuple[T, ...]
    inside: int
    failures_inside: int

    @property
    def agreeing(self) -> int:
        """The number of cases in which the statement holds."""
        return self.cases - len(self.failures)

    def numbers(self, noun: str, condition: str | None = None) -> dict[str, Number]:
        """The counts as evidence, named after the cases and, if given, the condition."""
        counts: dict[str, Number] = {noun: self.cases, f"{noun} that fail": len(self.failures)}
        if condition:
            inside = f"{noun} with {condition}"
            counts |= {inside: self.inside, f"{inside} that fail": self.failures_inside}
        return counts

    @property
    def holds(self) -> bool:
        """Every case agrees, and there is one."""
        return self.cases > 0 and not self.failures

    @property
    def holds_inside(self) -> bool:
        """Every case inside the condition agrees, and there is one."""
        return self.inside > 0 and self.failures_inside == 0


def tally(cases: Iterable[tuple[T, bool] | tuple[T, bool, bool]]) -> Tally[T]:
    """Count cases given as (name, statement holds) or (name, statement holds, condition met)."""
    total = inside = failures_inside = 0
    failures: list[T] = []
    for name, holds, *condition in cases:
        total += 1
        met = bool(condition and condition[0])
        inside += met
        if not holds:
            failures.append(name)
            failures_inside += met
    return Tally(total, tuple(failures), inside, failures_inside)
