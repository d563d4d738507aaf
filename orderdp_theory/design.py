"""The sampling design: how many samples there are, how many are drawn, how many are kept."""

import operator
from dataclasses import dataclass
from fractions import Fraction

from orderdp_theory.common.errors import InputError


@dataclass(frozen=True)
class Design:
    """Random-then-top selection: draw s of n samples uniformly without replacement, keep the top q.

    `1 <= q <= s <= n`; anything else is a `ValueError` that names the broken rule, and a number
    that is not an integer (booleans included) is a `TypeError`. NumPy integers are accepted and
    stored as `int`.

    Example:
        >>> design = Design.from_ratios(50_000)  # the paper's: s = n/2, q = 0.6 s
        >>> design, design.kept_fraction
        (Design(n=50000, s=25000, q=15000), Fraction(3, 10))
        >>> Design(10, 5, 6)
        Traceback (most recent call last):
            ...
        orderdp_theory.common.errors.InputError: q must not exceed s: q are kept of the s ...
    """

    n: int
    s: int
    q: int

    def __post_init__(self) -> None:
        for name in ("n", "s", "q"):
            value = getattr(self, name)
            try:
                if isinstance(value, bool):
                    raise TypeError
                integer = operator.index(value)
            except TypeError:
                raise TypeError(f"{name} must be an integer, got {value!r}") from None
            object.__setattr__(self, name, integer)
        n, s, q = self.n, self.s, self.q
        if q < 1:
            raise InputError(f"q must be at least 1: a selection keeps something, got {q=}")
        if q > s:
            raise InputError(f"q must not exceed s: q are kept of the s drawn, got {q=}, {s=}")
        if s > n:
            raise InputError(f"s must not exceed n: s are drawn of the n samples, got {s=}, {n=}")

    @classmethod
    def from_ratios(cls, n: int, explore: float = 0.5, exploit: float = 0.6) -> "Design":
        """The design with s = int(explore * n) and q = int(exploit * s).

        The defaults are the paper's (Section 4.2), and so is the rounding: the released code
        truncates the floating-point product. Ratios outside (0, 1] are a `ValueError`.
        """
        for name, ratio in (("explore", explore), ("exploit", exploit)):
            if not 0 < ratio <= 1:
                raise InputError(f"{name} must lie in (0, 1], got {ratio!r}")
        s = int(explore * n)
        return cls(n, s, int(exploit * s))

    @property
    def kept_fraction(self) -> Fraction:
        """q/n, the part of the data that one selection keeps."""
        return Fraction(self.q, self.n)

    @property
    def prune_ratio(self) -> Fraction:
        """1 - q/n, the part of the data that one selection leaves out."""
        return 1 - self.kept_fraction
