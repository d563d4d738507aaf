"""The list of claims: one function each, entered by decorating it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, get_args

from orderdp_theory.claims.reading import Number, Reading, Verdict, decided
from orderdp_theory.common.errors import InputError

About = Literal["paper", "release", "toolkit"]
Part = Literal["theory", "algorithm", "experiments", "arithmetic of tables"]
PARTS: tuple[Part, ...] = get_args(Part)
Check = Callable[..., Sequence[Reading]]


@dataclass(frozen=True)
class Quote:
    """A place and its words, exactly as the extracted text has them; `[…]` marks what is left out.

    Without words it is a place where nothing is said: what code does, what the toolkit asks.

    Example:
        >>> all_claims()["thm1-unbiased-stale"].quotes[1].place
        'Algorithm 1, line 5'
        >>> Quote("Section 3.1").words  # a place where nothing is said
        ''
    """

    place: str
    words: str = ""


@dataclass(frozen=True)
class Claim:
    """A sentence and the function that decides its readings.

    `part` splits the claims about the paper and is None for the others.

    Example:
        >>> found = all_claims()["thm1-unbiased-stale"]
        >>> found.about, found.part, found.where
        ('paper', 'theory', 'Theorem 1; Algorithm 1, line 5; Algorithm 1, line 11')
    """

    id: str
    about: About
    part: Part | None
    quotes: tuple[Quote, ...]
    check: Check

    @property
    def where(self) -> str:
        """The places of the quotes."""
        return "; ".join(quote.place for quote in self.quotes)


@dataclass(frozen=True)
class Result:
    """A claim after its computation: its readings, or the error that stopped it.

    Example:
        >>> (result,) = decide([all_claims()["e1-bias-eliminated"]])
        >>> result.verdict, result.error
        ('refuted', None)
    """

    claim: Claim
    readings: tuple[Reading, ...]
    error: str | None = None

    @property
    def decided(self) -> Reading | None:
        """The most favourable reading that the words allow; None where the computation failed."""
        return decided(self.readings) if self.readings else None

    @property
    def others(self) -> tuple[Reading, ...]:
        """The other readings, as the claim lists them."""
        return tuple(reading for reading in self.readings if reading is not self.decided)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict of the decided reading, or None where the computation failed."""
        return self.decided.verdict if self.decided else None

    @property
    def statement(self) -> str:
        """The decided reading; the quoted words where the computation failed."""
        words = " ".join(quote.words for quote in self.claim.quotes)
        return self.decided.says if self.decided else words or self.claim.where

    @property
    def correction(self) -> str | None:
        """What holds in place of what is printed; None where that holds or nothing is known."""
        if self.decided is None or self.verdict in ("verified", "not checkable"):
            return None
        if self.verdict in ("misprint", "conditional"):
            return self.decided.says
        return self.decided.correction

    def to_json(self) -> dict[str, Any]:
        """The result as JSON-ready values; `error` appears only where there is one."""
        fields = {
            "id": self.claim.id,
            "about": self.claim.about,
            "part": self.claim.part,
            "where": self.claim.where,
            "quotes": [{"place": q.place, "words": q.words} for q in self.claim.quotes if q.words],
            "statement": self.statement,
            "verdict": self.verdict,
            "evidence": self.decided and _evidence(self.decided),
            "readings": [
                {
                    "statement": reading.says,
                    "words": reading.words,
                    "verdict": reading.verdict,
                    "evidence": _evidence(reading),
                }
                for reading in self.others
            ],
            "correction": self.correction,
        }
        return fields | ({"error": self.error} if self.error else {})


def _evidence(reading: Reading) -> dict[str, Any]:
    return {
        "method": reading.method,
        "found": reading.found,
        **{name: _plain(value) for name, value in reading.numbers.items()},
        **({"missing": list(reading.missing)} if reading.missing else {}),
        **({"contradicts": reading.rival} if reading.verdict == "inconsistent" else {}),
    }


def _plain(value: Number) -> int | float:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Fraction) and value.denominator == 1:
        return value.numerator
    return float(value)


_claims: dict[str, Claim] = {}


def claim(kind: Part | Literal["release", "toolkit"], *quotes: Quote) -> Callable[[Check], Check]:
    """Enter a claim: the function's name is its id, its parameters are what is printed.

    Args:
        kind: "release" or "toolkit", or the part of the paper that the claim belongs to.
        quotes: the sentences that are decided; a claim about the paper quotes at least one.

    The function returns the readings. Its parameters have the printed version as default, so that
    a test can break it and see the verdict change.

    Example:
        >>> @claim("toolkit", Quote("a reader's question"))
        ... def two_is_prime():
        ...     return [Reading("2 is prime", True, "no divisor", "exact enumeration")]
        >>> all_claims()["two-is-prime"].check()[0].verdict
        'verified'
        >>> claim("theory")
        Traceback (most recent call last):
            ...
        orderdp_theory.common.errors.InputError: a claim names its place, and one about the ...
    """
    if not quotes or (kind in PARTS and not all(quote.words for quote in quotes)):
        raise InputError("a claim names its place, and one about the paper quotes its words")

    def enter(check: Check) -> Check:
        identifier = getattr(check, "__name__", "").replace("_", "-")
        if identifier in _claims:
            raise InputError(f"claim {identifier} is entered twice")
        about, part = ("paper", kind) if kind in PARTS else (kind, None)
        _claims[identifier] = Claim(identifier, about, part, quotes, check)  # pyright: ignore[reportArgumentType]
        return check

    return enter


def all_claims() -> dict[str, Claim]:
    """Every claim by id: the paper's in the order of its sections, the release's, the toolkit's.

    Example:
        >>> list(all_claims())[:3]
        ['sec2-prune-ratio', 'sec2-nonzero-chance', 'sec2-constant-memory']
    """
    order = get_args(About)
    return {c.id: c for c in sorted(_claims.values(), key=lambda c: order.index(c.about))}


def decide(claims: Sequence[Claim]) -> Iterator[Result]:
    """Compute claims one after the other; one that raises is a result with an error.

    Example:
        >>> (result,) = decide([all_claims()["thm1-unbiased-stale"]])
        >>> result.verdict, len(result.readings)
        ('refuted', 2)
    """
    for item in claims:
        try:
            yield Result(item, tuple(item.check()))
        except Exception as error:  # the others must still run
            yield Result(item, (), f"{type(error).__name__}: {error}")
