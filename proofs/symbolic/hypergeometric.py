"""Decide identities between sums of hypergeometric terms.

A *term* is a product of binomials, factorials and powers whose arguments are integer-linear in the
symbols, times a rational function. Two terms are *similar* if their ratio is a rational function;
that ratio follows from these rules,

    1/(x − 1)! = x/x!    (for every integer x, with 1/(−1)! = 1/(−2)! = … = 0)
    b^(k + 1) = b · b^k, and (a b)^k = a^k b^k for positive a and b,

and is computed here by them alone, without a general simplifier. A sum of similar terms is zero
if and only if the sum of its ratios to one of them is the zero rational function, and *that* is
decided by expanding a numerator. So an answer is a decision, not a failure to simplify. The zero
holds at the edges too, where a binomial is out of range: clearing denominators writes every term as
a polynomial times one product of factorials and reciprocals of factorials, defined there as well.
"""

from collections import defaultdict
from typing import cast

import sympy
from sympy import Basic, Expr, Integer, binomial, factorial

from orderdp_theory.common.errors import InputError


class NotSimilarError(InputError):
    """The ratio of two terms is not a rational function by the rules above."""


def is_zero(expression: Expr) -> bool:
    """Whether a sum of similar terms vanishes identically.

    Raises:
        NotSimilarError: the terms are not similar, so the rules decide nothing.
    """
    terms = [term for term in _terms(expression.replace(binomial, _factorials)) if term != 0]
    if not terms:
        return True
    total = sum((_ratio(term, terms[0]) for term in terms), Integer(0))
    return sympy.expand(sympy.fraction(sympy.together(total))[0]) == 0


def _factorials(a: Expr, b: Expr) -> Expr:
    return factorial(a) / (factorial(b) * factorial(a - b))


def _terms(expression: Basic) -> list[Expr]:
    """The terms of a sum; products are multiplied out only where a factor is a sum of terms."""
    if expression.is_Add:
        return [term for summand in expression.args for term in _terms(summand)]
    products: list[Expr] = [Integer(1)]
    for factor in sympy.Mul.make_args(cast(Expr, expression)):
        distribute = factor.is_Add and not factor.is_rational_function()
        summands = _terms(factor) if distribute else [factor]
        products = [product * summand for product in products for summand in summands]
    return products


def _ratio(term: Expr, reference: Expr) -> Expr:
    """`term / reference` as a rational function."""
    rational = Integer(1)
    factorials: defaultdict[Expr, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    powers: defaultdict[Expr, Expr] = defaultdict(lambda: Integer(0))
    for expression, sign in ((term, 1), (reference, -1)):
        for factor in sympy.Mul.make_args(expression):
            base, exponent = factor.as_base_exp()
            if isinstance(base, factorial) and exponent.is_Integer:
                shift, free = sympy.expand(base.args[0]).as_coeff_Add()
                factorials[free][int(shift)] += sign * int(exponent)
            elif factor.is_rational_function():
                rational *= factor**sign
            elif not exponent.is_Integer:
                for part in sympy.Mul.make_args(base):
                    powers[part] += sign * exponent
            else:
                raise NotSimilarError(f"{factor} is not a factor of a hypergeometric term")
    for base, exponent in powers.items():
        difference = sympy.expand(exponent)
        if not difference.is_Integer:
            raise NotSimilarError(f"powers of {base} differ by {difference}")
        rational *= base**difference
    for free, exponents in factorials.items():
        if sum(exponents.values()) != 0:
            raise NotSimilarError(f"unequal numbers of factorials of {free} + integer")
        lowest = min(exponents)
        for shift, exponent in exponents.items():
            for step in range(lowest + 1, shift + 1):
                rational *= (free + step) ** exponent
    return rational
