"""Proposition 2 and A.2: the limit of n γ_j for fixed (s, q)."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import comb, factorial
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from flint import arb, ctx

from orderdp_theory.claims.exact_training import gamma
from orderdp_theory.claims.finding import Finding, tally
from orderdp_theory.claims.registry import claim
from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities
from orderdp_theory.limits import limit_gamma

Z, N = sp.symbols("z n", positive=True)
LARGEST_S = 6  # the symbolic statements are proved for every q ≤ s ≤ this


def pairs(with_equality: bool) -> Iterator[tuple[int, int]]:
    """All (s, q) with q < s, or q ≤ s, up to the largest s."""
    for s in range(1, LARGEST_S + 1):
        for q in range(1, s + 1 if with_equality else s):
            yield s, q


def factor(s: int, at: int) -> int:
    """s!/((l−1)!(s−l)!)."""
    return factorial(s) // (factorial(at - 1) * factorial(s - at))


def curve(s: int, q: int) -> sp.Expr:
    """γ(z) of Proposition 2."""
    return sp.Add(*(factor(s, at) * Z ** (at - 1) * (1 - Z) ** (s - at) for at in range(1, q + 1)))


def falling(base: sp.Expr, count: int) -> sp.Expr:
    """base (base − 1) … over `count` factors."""
    return sp.Mul(*(base - k for k in range(count)))


def limit_of_ratio(numerator: sp.Expr, denominator: sp.Expr) -> sp.Expr:
    """The limit, as n → ∞, of a ratio of two polynomials in n of equal degree."""
    top, bottom = sp.Poly(numerator, N), sp.Poly(denominator, N)
    if top.degree() != bottom.degree():
        raise ArithmeticError("the ratio has no finite non-zero limit")
    return sp.expand(top.LC() / bottom.LC())


@claim
def prop2_limit(
    limit: Callable[[int, int], sp.Expr] = curve,
) -> Finding:
    """n γ_j → γ(z) as j, n → ∞ with j/n = z, for fixed s and q.

    n γ_j is a ratio of polynomials in n at j = z n, so its limit is the ratio of the leading
    coefficients.

    Source: Proposition 2.
    """
    result = tally(
        (
            (s, q),
            sp.expand(
                sum(
                    factor(s, at)
                    * limit_of_ratio(
                        N * falling(Z * N - 1, at - 1) * falling(N - Z * N, s - at), falling(N, s)
                    )
                    for at in range(1, q + 1)
                )
                - limit(s, q)
            )
            == 0,
        )
        for s, q in pairs(with_equality=True)
    )
    errors = {}
    for n in (1_000, 10_000, 100_000):
        ranks = np.arange(1, n + 1)
        found = n * inclusion_probabilities(Design(n, 100, 30))
        errors[n] = float(np.max(np.abs(found - limit_gamma(ranks / n, 100, 30)))) / 100
    return Finding(
        claimed="lim n γ_j = γ(z)",
        found=f"proved for all q ≤ s ≤ {LARGEST_S}; at (s, q) = (100, 30) the largest error "
        f"relative to s is {errors[1000]:.1e}, {errors[10000]:.1e}, {errors[100000]:.1e} at "
        "n = 10³, 10⁴, 10⁵",
        holds=result.holds,
        method="symbolic proof",
        numbers=result.numbers("pairs (s, q)")
        | {f"largest error over s at n = {n}, (s, q) = (100, 30)": e for n, e in errors.items()},
    )


def beta_cdf_error(
    scale: Callable[[int, int], Fraction],
    first: Callable[[Any, int], Any],
    s: int,
    q: int,
    n: int,
) -> Any:
    """Largest |1 − scale · γ(z) − I_z(first, s − q)| over a grid of z inside (0, 1)."""
    with mpmath.workdps(40):
        worst = mpmath.mpf(0)
        for k in range(1, 16):
            z = mpmath.mpf(k) / 16
            value = sum(
                factor(s, at) * z ** (at - 1) * (1 - z) ** (s - at) for at in range(1, q + 1)
            )
            ratio = scale(n, s)
            left = 1 - value * ratio.numerator / ratio.denominator
            right = mpmath.betainc(first(z, q), s - q, 0, z, regularized=True)
            worst = max(worst, abs(left - right))
        return worst


@claim
def prop2_beta_main(
    scale: Callable[[int, int], Fraction] = lambda n, s: Fraction(n, s),
    first: Callable[[Any, int], Any] = lambda z, q: z,
) -> Finding:
    """1 − (n/s) γ(z) is the CDF of Beta(z; s − q).

    A.2 has 1 − γ(z)/s and Beta(q, s − q).

    Source: Proposition 2, main text.
    """
    n = 100
    errors = {pair: beta_cdf_error(scale, first, *pair, n) for pair in pairs(False)}
    meant = {
        pair: beta_cdf_error(lambda n, s: Fraction(1, s), lambda z, q: q, *pair, n)
        for pair in pairs(False)
    }
    at_zero = 1 - scale(n, 2) * factor(2, 1)
    return Finding(
        claimed="1 − (n/s) γ(z) is a Beta CDF",
        found=f"it is {at_zero} at z = 0 (n = {n}), not 0; 1 − γ(z)/s is the CDF of Beta(q, s−q), "
        f"largest error {mpmath.nstr(max(meant.values()), 1)} in 40 digits",
        holds=max(errors.values()) < 1e-30,
        holds_as_meant=max(meant.values()) < 1e-30,
        method="certified enclosure",
        numbers={
            "printed left side at z = 0, n = 100, (s, q) = (2, 1)": at_zero,
            "largest error of the printed identity": float(max(errors.values())),
            "largest error with 1/s and Beta(q, s − q)": float(max(meant.values())),
        },
        correction="1 − γ(z)/s is the CDF of Beta(q, s − q), for q < s.",
    )


@claim
def a2_beta_appendix() -> Finding:
    """1 − γ(z)/s is the CDF of Beta(q, s − q), for s > q.

    Source: A.2, last line.
    """
    result = tally(
        (
            (s, q),
            sp.expand(
                1
                - curve(s, q) / s
                - sp.integrate(
                    sp.expand(Z ** (q - 1) * (1 - Z) ** (s - q - 1))
                    * Fraction(factorial(s - 1), factorial(q - 1) * factorial(s - q - 1)),
                    (Z, 0, Z),
                )
            )
            == 0,
        )
        for s, q in pairs(with_equality=False)
    )
    return Finding(
        claimed="∫₀^z of the Beta(q, s − q) density",
        found=f"equal as polynomials for all {result.cases} pairs q < s ≤ {LARGEST_S}",
        holds=result.holds,
        method="symbolic proof",
        numbers=result.numbers("pairs (s, q)"),
    )


@claim
def a2_sum_placement(inside: bool = False) -> Finding:
    """The factor s!/((l−1)!(s−l)!) stands outside the sum over l.

    Outside the sum its l is free; no fixed value of it gives the limit. Proposition 2 has it
    inside.

    Source: A.2 Eq. 12.
    """
    cases = list(pairs(with_equality=True))

    def outside(s: int, q: int, at: int) -> sp.Expr:
        return factor(s, at) * sp.Add(*(Z ** (k - 1) * (1 - Z) ** (s - k) for k in range(1, q + 1)))

    def agrees(form: Callable[[int, int], sp.Expr], s: int, q: int) -> bool:
        limit = sum(
            factor(s, at)
            * limit_of_ratio(
                N * falling(Z * N - 1, at - 1) * falling(N - Z * N, s - at), falling(N, s)
            )
            for at in range(1, q + 1)
        )
        return sp.expand(limit - form(s, q)) == 0

    fixed = {
        (s, q): [
            at for at in range(1, s + 1) if agrees(lambda s, q, at=at: outside(s, q, at), s, q)
        ]
        for s, q in cases
    }
    meant = tally(((s, q), agrees(curve, s, q)) for s, q in cases)
    printed = meant if inside else tally((pair, bool(values)) for pair, values in fixed.items())
    return Finding(
        claimed="lim n γ_j = s!/((l−1)!(s−l)!) Σ_l z^{l−1}(1−z)^{s−l}",
        found=f"no value of the free l works for {len(printed.failures)} of {printed.cases} "
        "pairs (s, q); inside the sum it works for all",
        holds=printed.holds,
        holds_as_meant=meant.holds,
        method="symbolic proof",
        numbers={
            **printed.numbers("pairs (s, q)"),
            "pairs for which the factor inside the sum fails": len(meant.failures),
        },
        correction="lim n γ_j = Σ_l z^{l−1}(1−z)^{s−l} s!/((l−1)!(s−l)!)",
    )


def stirling_ratio(n: int, j: int) -> arb:
    """C(n, j) divided by the printed Stirling form, enclosed."""
    a, b, c = arb(n), arb(j), arb(n - j)
    exact = (a + 1).lgamma() - (b + 1).lgamma() - (c + 1).lgamma()
    form = (a / (2 * arb.pi() * b * c)).log() / 2 + a * a.log() - b * b.log() - c * c.log()
    return (exact - form).exp()


@claim
def a2_stirling() -> Finding:
    """C(n, j) ~ √(n/(2π j (n−j))) n^n / (j^j (n−j)^{n−j}) along j/n = z.

    Robbins' bounds put the logarithm of the ratio within (1/n + 1/j + 1/(n−j))/12.

    Source: A.2 Eq. 13.
    """
    shares = (Fraction(1, 10), Fraction(1, 2), Fraction(9, 10))
    sizes = [10**k for k in range(2, 10)]

    def robbins(n: int, j: int) -> arb:
        return (arb(1) / n + arb(1) / j + arb(1) / (n - j)) / 12

    with ctx.workprec(256):
        logs = {
            (n, int(n * z)): abs(stirling_ratio(n, int(n * z)).log()) for n in sizes for z in shares
        }
        result = tally((at, bool(value < robbins(*at))) for at, value in logs.items())
        errors = {n: max(float(logs[at].mid()) for at in logs if at[0] == n) for n in sizes}
    return Finding(
        claimed="ratio → 1",
        found=f"|ln ratio| ≤ {errors[100]:.1e} at n = 100, {errors[10**9]:.1e} at n = 10⁹, always "
        "within Robbins' bound",
        holds=result.holds,
        method="certified enclosure",
        numbers={f"largest |ln ratio| at n = {n}": e for n, e in errors.items()},
    )


@claim
def a2_stirling_condition(distance: Callable[[int], int] | None = None) -> Finding:
    """For Eq. 13 it is enough that n and j are sufficiently large.

    n − j has to be large as well: at j = n − 1 the ratio tends to √(2π)/e.

    Source: A.2, above Eq. 13.
    """
    families: dict[str, Callable[[int], int]] = {
        "n − j = 1": lambda n: 1,
        "n − j = 5": lambda n: 5,
        "n − j = √n": lambda n: int(n**0.5),
        "n − j = n/2": lambda n: n // 2,
    }
    if distance is not None:
        families = {"given": distance}
    n = 10**9
    with ctx.workprec(256):
        error = {
            name: abs(float((stirling_ratio(n, n - gap(n)) - 1).mid()))
            for name, gap in families.items()
        }
    result = tally((name, e < 1e-4, families[name](n) >= n**0.5 // 1) for name, e in error.items())
    return Finding(
        claimed="ratio → 1 as n, j → ∞",
        found=f"at n = 10⁹ and n − j = 1 the ratio is still off by {error['n − j = 1']:.4f}"
        if "n − j = 1" in error
        else f"off by {max(error.values()):.1e} at n = 10⁹",
        holds=result.holds,
        holds_under_condition=result.holds_inside,
        method="certified enclosure",
        numbers={f"|ratio − 1| at n = 10⁹, {name}": e for name, e in error.items()},
        correction="It holds as n, j and n − j all tend to infinity, as they do along j/n = z "
        "with 0 < z < 1.",
    )


@claim
def a2_ratio_limit() -> Finding:
    """C(n−s, j−l)/C(n−1, j−1) tends to z^{l−1}(1−z)^{s−l}.

    Source: A.2 Eq. 14.
    """
    identity = tally(
        (
            (n, s, j, at),
            Fraction(comb(n - s, j - at), comb(n - 1, j - 1))
            == Fraction(
                int(falling(sp.Integer(j - 1), at - 1) * falling(sp.Integer(n - j), s - at)),
                int(falling(sp.Integer(n - 1), s - 1)),
            ),
        )
        for n in range(6, 9)
        for s in range(1, 5)
        for at in range(1, s + 1)
        for j in range(at, n - s + at + 1)
    )
    result = tally(
        (
            (s, at),
            sp.expand(
                limit_of_ratio(
                    falling(Z * N - 1, at - 1) * falling(N - Z * N, s - at), falling(N - 1, s - 1)
                )
                - Z ** (at - 1) * (1 - Z) ** (s - at)
            )
            == 0,
        )
        for s in range(1, LARGEST_S + 1)
        for at in range(1, s + 1)
    )
    return Finding(
        claimed="z^{l−1}(1−z)^{s−l}",
        found=f"proved for all {result.cases} pairs l ≤ s ≤ {LARGEST_S}",
        holds=result.holds and identity.holds,
        method="symbolic proof",
        numbers=result.numbers("pairs (s, l)"),
    )


@claim
def a2_rearrangement() -> Finding:
    """(1/n) C(n−s, j−l)/C(n−1, j−1) · s!/((l−1)!(s−l)!) = C(j−1, l−1) C(n−j, s−l)/C(n, s).

    Source: A.2, second Eq. 12.
    """
    result = tally(
        (
            (n, s, j, at),
            Fraction(comb(n - s, j - at) * factor(s, at), n * comb(n - 1, j - 1))
            == Fraction(comb(j - 1, at - 1) * comb(n - j, s - at), comb(n, s)),
        )
        for n in range(1, 16)
        for s in range(1, n + 1)
        for at in range(1, s + 1)
        for j in range(at, n - s + at + 1)
    )
    return Finding(
        claimed="both sides equal",
        found=f"equal for all {result.cases} (n, s, j, l) with n ≤ 15",
        holds=result.holds,
        method="exact rational",
        numbers=result.numbers("cases"),
    )


@claim
def a2_derivative(
    derivative: Callable[[int, int], sp.Expr] = lambda s, q: (
        -(Z ** (q - 1))
        * (1 - Z) ** (s - q - 1)
        * sp.Integer(factorial(s) // (factorial(q - 1) * factorial(s - q - 1)))
    ),
) -> Finding:
    """γ'(z) = −z^{q−1}(1−z)^{s−q−1} s!/((q−1)!(s−q−1)!), for s > q.

    Source: A.2 Eq. 16.
    """
    result = tally(
        ((s, q), sp.expand(sp.diff(curve(s, q), Z) - derivative(s, q)) == 0)
        for s, q in pairs(with_equality=False)
    )
    return Finding(
        claimed="−z^{q−1}(1−z)^{s−q−1} s!/((q−1)!(s−q−1)!)",
        found=f"equal as polynomials for {result.agreeing} of {result.cases} "
        f"pairs q < s ≤ {LARGEST_S}",
        holds=result.holds,
        method="symbolic proof",
        numbers=result.numbers("pairs (s, q)"),
    )


@claim
def d2_fig5_convergence(growing: bool = True) -> Finding:
    """Fig. 5 fixes (s, q) and shows n γ_j converge to γ(z) as n, s and q increase.

    n γ_1 = s, so nothing converges while s grows; Proposition 2 and the figure fix s and q.

    Source: D.2, first paragraph vs Proposition 2.
    """
    sizes = (200, 400, 800)
    designs = [Design(n, n // 2, 3 * n // 20) if growing else Design(n, 100, 30) for n in sizes]
    heights = [n * gamma(d)[0] for n, d in zip(sizes, designs, strict=True)]
    return Finding(
        claimed="n γ_j converges while n, s and q increase",
        found=f"n γ_1 = {', '.join(map(str, heights))} at n = {', '.join(map(str, sizes))}",
        holds=len(set(heights)) == 1,
        rival="Proposition 2 and Fig. 5, which fix (s, q) = (100, 30)",
        method="exact rational",
        numbers={f"n γ_1 at n = {n}": h for n, h in zip(sizes, heights, strict=True)},
        correction="n γ_j converges to γ(z) as n increases with s and q fixed.",
    )
