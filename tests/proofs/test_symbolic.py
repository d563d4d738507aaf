"""The symbolic certificates: they check, broken ones do not, and plain arithmetic agrees."""

import itertools
import math
import random
from dataclasses import replace
from fractions import Fraction

import pytest
import sympy
from orderdp_theory.proofs.symbolic import CERTIFICATES, Certificate, Obligation
from orderdp_theory.proofs.symbolic.chebyshev_gap import double_sum, w, x
from orderdp_theory.proofs.symbolic.hypergeometric import NotSimilarError, is_zero
from orderdp_theory.proofs.symbolic.limit import correction
from orderdp_theory.proofs.symbolic.notation import LIMIT, POSITION, j, k, l, n, q, s, z
from sympy import Expr, binomial, factorial

from orderdp_theory import Design, inclusion_probabilities_exact, joint_inclusion_probabilities

SMALL = 6  # integers 0 … SMALL are substituted, so every edge of every range occurs
LETTERS = {str(symbol): symbol for symbol in (n, s, q, l, j, k)} | {
    name: sympy.Symbol(name, positive=True) for name in ("q1", "q2")
}


def evaluate(expr: Expr, values: dict[Expr, Fraction]) -> Fraction:
    """The value of an expression by walking it: rational arithmetic and counting, no algebra."""
    if expr in values:
        return values[expr]
    arguments = [evaluate(arg, values) for arg in expr.args]
    if expr.is_Rational:
        return Fraction(int(expr.p), int(expr.q))
    if isinstance(expr, binomial):
        top, bottom = map(int, arguments)
        assert top >= 0, f"{expr} has a negative upper argument"
        return Fraction(math.comb(top, bottom) if bottom >= 0 else 0)
    if isinstance(expr, factorial):
        return Fraction(math.factorial(int(arguments[0])))
    if expr.is_Pow:
        return arguments[0] ** int(arguments[1])
    assert expr.is_Add or expr.is_Mul, f"no rule for {expr!r}"
    return sum(arguments, Fraction(0)) if expr.is_Add else math.prod(arguments)


def points(piece: Obligation):
    """All small integers within ``piece.where``, and fixed random rationals for the rest."""
    rng = random.Random(piece.claim)
    used = set().union(*(side.free_symbols for pair in piece.equations for side in pair))
    others = {
        symbol: Fraction(rng.randint(1, 9), rng.randint(10, 19))
        for symbol in sorted(used - set(LETTERS.values()), key=str)
    }
    names = [name for name in LETTERS if LETTERS[name] in used or name in piece.where.split()]
    condition = compile(piece.where or "True", "where", "eval")
    for numbers in itertools.product(range(SMALL + 1), repeat=len(names)):
        if eval(condition, {}, dict(zip(names, numbers, strict=True))):
            yield {LETTERS[name]: Fraction(i) for name, i in zip(names, numbers, strict=True)} | (
                others
            )


@pytest.mark.parametrize("certificate", CERTIFICATES.values(), ids=lambda c: c.name)
def test_certificate_checks(certificate: Certificate):
    assert certificate.check().holds
    assert certificate.statement in str(certificate)


@pytest.mark.parametrize("certificate", CERTIFICATES.values(), ids=lambda c: c.name)
def test_obligations_hold_at_every_small_point(certificate: Certificate):
    """Both sides of each equation, evaluated without computer algebra, edges included."""
    for piece in certificate.obligations(certificate.witness):
        compared = 0
        for values in points(piece):
            for left, right in piece.equations:
                try:
                    equal = evaluate(left, values) == evaluate(right, values)
                except ZeroDivisionError:
                    # A rational certificate R = T/t has poles where t = 0; nothing else may.
                    assert "R·" in piece.claim, f"{piece.claim}: division by zero at {values}"
                    continue
                assert equal, f"{piece.claim} fails at {values}"
                compared += 1
        assert compared >= 5, f"{piece.claim}: only {compared} comparisons"


BROKEN = [
    (certificate.name, entry, change, expr)
    for certificate in CERTIFICATES.values()
    for entry, right in certificate.witness.items()
    for change, expr in [
        ("sign", -right),
        *((f"{v} + 1", right.subs(v, v + 1)) for v in sorted(right.free_symbols, key=str)),
    ]
]


@pytest.mark.parametrize(
    ("name", "entry", "change", "expr"), BROKEN, ids=[" ".join(b[:3]) for b in BROKEN]
)
def test_broken_certificate_fails(name: str, entry: str, change: str, expr: Expr):
    certificate = CERTIFICATES[name]
    broken = replace(certificate, witness={**certificate.witness, entry: expr})
    assert not broken.check().holds


def test_every_certificate_is_broken_in_some_way():
    assert {name for name, *_ in BROKEN} == set(CERTIFICATES)


@pytest.mark.parametrize(
    ("expr", "zero"),
    [
        (binomial(n, l) - binomial(n, n - l), True),
        (binomial(n, l) - binomial(n - 1, l) - binomial(n - 1, l - 1), True),
        (binomial(n, l) - binomial(n - 1, l) - binomial(n - 1, l - 2), False),
        (binomial(n, l) * z**l * (1 - z) ** (s - l) - binomial(n, l) * z**l, None),
        (factorial(n + 1) - (n + 1) * factorial(n), True),
        (factorial(n + 1) - n * factorial(n), False),
        (factorial(n) ** 2 - factorial(n), None),
        (binomial(2 * n, n) - binomial(n, l), None),
        ((z * n) ** l - z**l * n**l, True),
        ((z + 1) ** 2 - z**2 - 2 * z - 1, True),
        (n * (factorial(l) + 1) - n * factorial(l) - n, None),
        (sympy.sin(z) - sympy.sin(z), True),
        (sympy.sin(z) * n - n, None),
        (sympy.nan, None),
    ],
)
def test_is_zero_decides_or_refuses(expr: Expr, zero: bool | None):
    if zero is None:
        with pytest.raises(NotSimilarError):
            is_zero(expr)
    else:
        assert is_zero(sympy.sympify(expr)) is zero


@pytest.mark.parametrize(
    ("n_", "s_", "q_"), [(1, 1, 1), (5, 5, 2), (6, 4, 4), (7, 4, 1), (9, 5, 3)]
)
def test_summands_are_the_library_s_probabilities(n_: int, s_: int, q_: int):
    """The γ_j and π_k that are certified are those that the library computes."""
    design = Design(n_, s_, q_)
    joint = CERTIFICATES["joint-inclusion"].witness["p(k, l)"]

    def total(term: Expr, rank: Expr, at: int, first: int) -> Fraction:
        fixed = {n: Fraction(n_), s: Fraction(s_), rank: Fraction(at)}
        return sum(
            (evaluate(term, fixed | {l: Fraction(i)}) for i in range(first, q_ + 1)), Fraction(0)
        )

    certified = [total(POSITION, j, at, 1) for at in range(1, n_ + 1)]
    assert certified == list(inclusion_probabilities_exact(design))
    pairs = [float(total(joint, k, at, 2)) for at in range(2, n_ + 1)]
    assert list(joint_inclusion_probabilities(design)[1:]) == pytest.approx(pairs, rel=1e-12)


@pytest.mark.parametrize(("s_", "q_"), [(2, 1), (5, 2), (7, 6), (10, 3)])
def test_first_order_term_of_the_limit(s_: int, q_: int):
    """n (n γ_j − γ(z)) tends to δ(z), and ten times the population leaves a tenth of the error."""
    fixed = {s: Fraction(s_), q: Fraction(q_), z: Fraction(2, 5)}
    delta = evaluate(correction(), fixed)
    limit = sum(evaluate(LIMIT, fixed | {l: Fraction(i)}) for i in range(1, q_ + 1))

    def error(size: int) -> Fraction:
        rank = {n: Fraction(size), s: fixed[s], j: fixed[z] * size}
        gamma = sum(evaluate(POSITION, rank | {l: Fraction(i)}) for i in range(1, q_ + 1))
        return size * (size * gamma - limit) - delta

    coarse, fine = error(1_000), error(10_000)
    assert abs(fine) < Fraction(1, 100) * (1 + abs(delta))
    assert 8 < coarse / fine < 12


def test_double_sum_is_the_explicit_sum():
    """Linearity as `chebyshev-gap` uses it, against all n² summands written out."""
    summand = CERTIFICATES["chebyshev-gap"].witness["summand(j, k)"]
    size = 4
    rng = random.Random(4)
    ws, xs = ([Fraction(rng.randint(-9, 9), 7) for _ in range(size)] for _ in "wx")
    explicit = sum(
        evaluate(summand, {w(j): ws[a], w(k): ws[b], x(j): xs[a], x(k): xs[b]})
        for a in range(size)
        for b in range(size)
    )
    sums = {
        n: Fraction(size),
        sympy.Symbol("Σwx"): sum(a * b for a, b in zip(ws, xs, strict=True)),
        sympy.Symbol("Σw"): sum(ws),
        sympy.Symbol("Σx"): sum(xs),
    }
    assert evaluate(double_sum(summand), sums) == explicit
    with pytest.raises(NotSimilarError):
        double_sum(w(j) * w(k))
