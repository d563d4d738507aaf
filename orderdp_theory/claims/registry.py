"""The list of claims: one function each, entered by decorating it."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from orderdp_theory.claims.finding import Finding, Number, Verdict
from orderdp_theory.common.errors import InputError

Check = Callable[..., Finding]


@dataclass(frozen=True)
class Claim:
    """A statement of the paper and the function that decides it."""

    id: str
    where: str
    statement: str
    check: Check


@dataclass(frozen=True)
class Result:
    """A claim after its computation: decided (`verdict`) or failed (`error`)."""

    claim: Claim
    finding: Finding | None
    error: str | None = None

    @property
    def verdict(self) -> Verdict | None:
        """The verdict, or None where the computation failed."""
        return self.finding.verdict if self.finding else None

    @property
    def correction(self) -> str | None:
        """The statement that does hold, or None where the paper's does or nothing is known."""
        if self.finding is None or self.verdict in ("verified", "not checkable"):
            return None
        return self.finding.correction

    def to_json(self) -> dict[str, Any]:
        """The result as JSON-ready values; `error` appears only where there is one."""
        finding = self.finding
        evidence = None if finding is None else {
            "method": finding.method,
            "claimed": finding.claimed,
            "found": finding.found,
            **{name: _plain(value) for name, value in finding.numbers.items()},
            **({"missing": list(finding.missing)} if finding.missing else {}),
            **({"contradicts": finding.rival} if self.verdict == "inconsistent" else {}),
        }  # fmt: skip
        fields = {
            "id": self.claim.id,
            "where": self.claim.where,
            "statement": self.claim.statement,
            "verdict": self.verdict,
            "evidence": evidence,
            "correction": self.correction,
        }
        return fields | ({"error": self.error} if self.error else {})


def _plain(value: Number) -> int | float:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Fraction) and value.denominator == 1:
        return value.numerator
    return float(value)


_claims: dict[str, Claim] = {}


def claim(check: Check) -> Check:
    """Enter a claim: its id is the function's name, statement and place are its docstring.

    The docstring's first paragraph is the statement; a last line `Source: …` names the place in
    the paper. Everything between is for the reader of the code. The parameters of the function
    are what the paper prints, with the paper's version as default, so that a test can perturb it.
    """
    identifier = getattr(check, "__name__", "").replace("_", "-")
    text = inspect.getdoc(check) or ""
    body, _, source = text.rpartition("Source:")
    if not body or not source.strip():
        raise InputError(f"claim {identifier} needs a docstring with a statement and `Source:`")
    if identifier in _claims:
        raise InputError(f"claim {identifier} is entered twice")
    statement = " ".join(body.split("\n\n")[0].split())
    where = " ".join(source.split()).rstrip(".")
    _claims[identifier] = Claim(identifier, where, statement, check)
    return check


def all_claims() -> dict[str, Claim]:
    """Every claim by id, in the order of the paper's sections."""
    return dict(_claims)


def decide(claims: Sequence[Claim]) -> Iterator[Result]:
    """Compute claims one after the other; one that raises is a result with an error."""
    for item in claims:
        try:
            yield Result(item, item.check())
        except Exception as error:  # the others must still run
            yield Result(item, None, f"{type(error).__name__}: {error}")
