"""One reading of a sentence, what its computation found, and the verdict that follows from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Generic, Literal, TypeVar, get_args

from orderdp_theory.common.errors import InputError

# From the most to the least favourable to the authors.
Verdict = Literal["verified", "misprint", "conditional", "not checkable", "inconsistent", "refuted"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Words = Literal["as printed", "evident slip", "with a condition", "not in the words"]
Method = Literal[
    "exact enumeration",
    "exact rational",
    "symbolic identity",
    "certified enclosure",
    "exact tail probability",
    "counterexample",
    "operation count",
    "floating point",
    "simulation",
    "arithmetic on printed numbers",
    "comparison of printed words",
]
Number = int | float | Fraction
T = TypeVar("T")


class UndecidedError(Exception):
    """An error bar is too wide to tell whether the claim holds.

    Example:
        >>> def check(): raise UndecidedError("0.1 ± 0.3 may be 0")
        >>> (result,) = decide([Claim("mine", "toolkit", None, (Quote("README"),), check)])
        >>> result.verdict, result.error
        (None, 'UndecidedError: 0.1 ± 0.3 may be 0')
    """


@dataclass(frozen=True)
class Reading:
    """A sentence understood in one way, and what the computation gave for it.

    Attributes:
        says: the statement in this reading.
        holds: it agrees with the computation in every case examined; None if data are missing.
        found: what the computation gave; the decisive evidence.
        method: how that was computed.
        numbers: the evidence, by name.
        words: how the reading relates to what is printed. "evident slip": a wrong symbol or number
            where what was meant is plain; "with a condition": a restriction that is not stated;
            "not in the words": excluded by what is printed, and named because it is tempting.
        rival: another place that says otherwise, so that only the authors can tell which is right.
        missing: data that the decision needs and that are not given; exactly where `holds` is None.
        correction: what does hold, where the reading does not and something is known.

    Example:
        >>> Reading("s may exceed n", holds=False, found="s <= n", method="counterexample").verdict
        'refuted'
    """

    says: str
    holds: bool | None
    found: str
    method: Method
    numbers: Mapping[str, Number] = field(default_factory=dict)
    words: Words = "as printed"
    rival: str = ""
    missing: tuple[str, ...] = ()
    correction: str | None = None

    def __post_init__(self) -> None:
        if (self.holds is None) != bool(self.missing):
            raise InputError(f"a reading is open exactly where data are missing: {self.says}")

    @property
    def verdict(self) -> Verdict:
        """The only place where a verdict is named."""
        if self.holds is None:
            return "not checkable"
        if not self.holds:
            return "inconsistent" if self.rival else "refuted"
        return {"evident slip": "misprint", "with a condition": "conditional"}.get(
            self.words, "verified"
        )  # pyright: ignore[reportReturnType]


def decided(readings: Sequence[Reading]) -> Reading:
    """The reading most favourable to the authors among those that the words allow.

    Example:
        >>> literal = Reading("it is 2", holds=False, found="1", method="exact rational")
        >>> meant = Reading("it is 1", True, "1", "exact rational", words="evident slip")
        >>> decided([literal, meant]).verdict
        'misprint'
    """
    allowed = [reading for reading in readings if reading.words != "not in the words"]
    return min(allowed, key=lambda reading: VERDICTS.index(reading.verdict))


@dataclass(frozen=True)
class Tally(Generic[T]):
    """A statement examined case by case; `T` is whatever names a case."""

    cases: int
    failures: tuple[T, ...]

    @property
    def agreeing(self) -> int:
        """The number of cases in which the statement holds."""
        return self.cases - len(self.failures)

    @property
    def holds(self) -> bool:
        """Every case agrees, and there is one."""
        return self.cases > 0 and not self.failures

    def numbers(self, noun: str) -> dict[str, Number]:
        """The counts as evidence, named after the cases."""
        return {noun: self.cases, f"{noun} that fail": len(self.failures)}


def tally(cases: Iterable[tuple[T, bool]]) -> Tally[T]:
    """Count cases given as (name, statement holds).

    Example:
        >>> found = tally((n, n * n < 10) for n in range(5))
        >>> found.cases, found.failures, found.holds
        (5, (4,), False)
    """
    examined = list(cases)
    return Tally(len(examined), tuple(name for name, holds in examined if not holds))
