"""The symbols and the terms that several certificates share."""

from typing import cast

import sympy
from sympy import Expr, binomial, factorial

# Positive, so that powers of products split; that they are integers is stated where it matters.
n, s, q, l, j, k = sympy.symbols("n s q l j k", positive=True)  # noqa: E741, the paper's l
z = sympy.Symbol("z", positive=True)

# The l-th summand of γ_j (Eq. 3): probability that rank j is drawn and is the l-th largest drawn.
POSITION: Expr = binomial(j - 1, l - 1) * binomial(n - j, s - l) / binomial(n, s)

# The l-th summand of γ(z) (Proposition 2): its limit when multiplied by n.
LIMIT: Expr = (
    factorial(s) / (factorial(l - 1) * factorial(s - l)) * z ** (l - 1) * (1 - z) ** (s - l)
)


def at(expression: Expr, *replacements: tuple[Expr, Expr | int]) -> Expr:
    """The expression with symbols replaced, all at once."""
    return cast(Expr, expression.subs(dict(replacements), simultaneous=True))
