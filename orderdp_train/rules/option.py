"""The options of a rule: default, bounds and help, once for commands, configurations and tables."""

from __future__ import annotations

import math
from dataclasses import dataclass

from orderdp_theory.common.errors import InputError

Value = float | str


@dataclass(frozen=True)
class Option:
    """A number that a rule takes, or one of a few `words` in its place.

    It lies in `[low, high]`, without the ends that are `open`. A `share` is a fraction of the n
    samples: where every step makes a selection of its own, it is scaled with the rule's budget.

    Example:
        >>> keep = Option(0.3, "Fraction kept.", low=0.0, high=1.0, open="low")
        >>> keep.range(), keep.parse("keep", "0.5")
        ('a number in (0, 1]', 0.5)
    """

    default: Value
    help: str
    low: float = -math.inf
    high: float = math.inf
    open: str = ""  # "low", "high", "low high"
    words: tuple[str, ...] = ()
    share: bool = False

    def parse(self, name: str, text: str | float) -> Value:
        """The value that a command's words say; `ValueError` naming the option."""
        if isinstance(text, str) and text in self.words:
            return text
        try:
            return self.check(name, float(text))
        except (TypeError, ValueError):
            raise InputError(f"{name} must be {self.range()}, got {text}") from None

    def check(self, name: str, value: Value) -> Value:
        """The value itself; `ValueError` unless one of the words or within the bounds."""
        if isinstance(value, str) and value in self.words:
            return value
        if (
            isinstance(value, str | bool)
            or not (self.low <= value <= self.high)
            or (value == self.low and "low" in self.open.split())
            or (value == self.high and "high" in self.open.split())
        ):
            raise InputError(f"{name} must be {self.range()}, got {value}")
        return float(value)

    def range(self) -> str:
        """The allowed values in words, such as "a number in (0, 1]"."""
        ends = self.open.split()
        if math.isfinite(self.low) and math.isfinite(self.high):
            left, right = "(" if "low" in ends else "[", ")" if "high" in ends else "]"
            said = f"a number in {left}{self.low:g}, {self.high:g}{right}"
        elif math.isfinite(self.low):
            said = f"a number {'above' if 'low' in ends else 'of at least'} {self.low:g}"
        else:
            said = "a number"
        return " or ".join([*self.words, said])


@dataclass(frozen=True)
class Choice(Option):
    """One of a few `words`, and never a number."""

    def check(self, name: str, value: Value) -> Value:
        if value not in self.words:
            raise InputError(f"{name} must be {self.range()}, got {value}")
        return value

    def range(self) -> str:
        return " or ".join(self.words)


KEEP = Option(0.3, "Kept fraction q/n.", low=0, high=1, open="low", share=True)
EXPLORE = Option(
    0.5, "Explored fraction s/n, at least the kept one.", low=0, high=1, open="low", share=True
)
INITIAL_SCORE = Option(
    "unused-first",
    "Score of a sample not used yet: unused-first, first-pass (its loss in a first pass over the "
    "data) or a number.",
    words=("unused-first", "first-pass"),
)


def as_number(value: Value) -> float:
    """The number that an initial score stands for: infinity until the first loss is known."""
    return math.inf if isinstance(value, str) else value
