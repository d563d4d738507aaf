"""What a certificate is: a statement, a witness, and the finitely many identities that it implies.

A certificate separates what a computer algebra system decides from what a reader has to grant. The
*witness* is the creative part (a rational function, a telescoping antidifference, a closed form).
From it follow *obligations*: identities for symbolic n, s, q, … that `Certificate.check`
decides. The *logic* lists the remaining steps in words: an induction, a sum that telescopes, a
counting argument. Nothing else enters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sympy import Add, Expr
from sympy.printing.str import StrPrinter

from .hypergeometric import NotSimilarError, is_zero

Witness: TypeAlias = Mapping[str, Expr]


@dataclass(frozen=True)
class Obligation:
    """Equations that have to hold identically.

    Attributes:
        claim: what the equations say, in words.
        equations: pairs of equal expressions.
        where: a chain of comparisons, valid Python, of the integers for which the equations are
            used; the tests evaluate both sides there, independently of `hypergeometric`.
    """

    claim: str
    equations: tuple[tuple[Expr, Expr], ...]
    where: str = ""

    def holds(self) -> bool:
        """Whether every equation is an identity."""
        try:
            return all(is_zero(left - right) for left, right in self.equations)
        except NotSimilarError:
            return False


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check: each obligation with whether it holds."""

    pieces: tuple[tuple[Obligation, bool], ...]

    @property
    def holds(self) -> bool:
        return all(ok for _, ok in self.pieces)


@dataclass(frozen=True)
class Certificate:
    """A statement with its machine-checkable proof.

    Attributes:
        name: how `orderdp-theory prove` and the index call it.
        statement: what is proved, for all values in the stated ranges.
        source: where the paper or the literature has it.
        witness: named expressions from which everything else follows.
        obligations: the identities that the witness has to satisfy.
        logic: the steps from the obligations to the statement that are not computation.
    """

    name: str
    statement: str
    source: str
    witness: Witness
    obligations: Callable[[Witness], tuple[Obligation, ...]]
    logic: tuple[str, ...]

    def check(self) -> Verdict:
        """Derive the obligations from the witness and decide each of them."""
        return Verdict(tuple((piece, piece.holds()) for piece in self.obligations(self.witness)))

    def __str__(self) -> str:
        """Statement, witness, obligations and logic as plain text."""
        lines = [self.name, f"  {self.statement}", f"  source: {self.source}", "  certificate:"]
        lines += [f"    {name} = {plain(expr)}" for name, expr in self.witness.items()]
        lines.append("  checked:")
        for piece in self.obligations(self.witness):
            lines.append(f"    {piece.claim}")
            lines += [f"      {line}" for line in shown(piece)]
        return "\n".join([*lines, "  logic:", *(f"    {step}" for step in self.logic)])


def shown(piece: Obligation, limit: int = 3) -> list[str]:
    """The equations of an obligation as text; of a long list only one from its middle."""
    equations = piece.equations
    if len(equations) > limit:
        equations = equations[len(equations) // 2 :][:1]
    lines = [
        f"{plain(left)} = {plain(right)}"
        for left, right in equations
        if not (left.is_Integer and right.is_Integer)  # sympy has evaluated a boundary already
    ]
    if len(piece.equations) > limit:
        lines.append(f"… and {len(piece.equations) - 1} others")
    return lines


def plain(expr: Expr) -> str:
    """An expression on one line, in the notation of the proofs."""
    return _Plain().doprint(expr)


def _negative(term: Expr) -> bool:
    return bool(term.as_coeff_Mul()[0].is_negative)


class _Plain(StrPrinter):
    def _print_Add(self, expr: Expr, order: str | None = None) -> str:  # noqa: N802
        """n - j rather than -j + n: what is added before what is subtracted."""
        terms = sorted(Add.make_args(expr), key=lambda term: (_negative(term), term.is_number))
        text = self._print(terms[0])
        for term in terms[1:]:
            text += f" - {self._print(-term)}" if _negative(term) else f" + {self._print(term)}"
        return text

    def _print_binomial(self, expr: Expr) -> str:
        return f"C({self.stringify(expr.args, ', ')})"

    def _print_factorial(self, expr: Expr) -> str:
        argument = expr.args[0]
        return f"{self._print(argument)}!" if argument.is_Atom else f"({self._print(argument)})!"

    def _print_Pow(self, expr: Expr, rational: bool = False) -> str:  # noqa: N802
        return super()._print_Pow(expr, rational=rational).replace("**", "^")
