"""Proposition 2 and A.2: the limit of n γ_j for fixed (s, q)."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import comb, factorial

import sympy as sp
from flint import arb, ctx

from orderdp_theory import Design
from orderdp_theory.claims.exact_training import factor, gamma, gamma_limit
from orderdp_theory.claims.reading import Reading, tally
from orderdp_theory.claims.registry import Quote, claim

Z, N = sp.symbols("z n", positive=True)
LARGEST_S = 6  # the symbolic statements are proved for every q ≤ s ≤ this
Curve = Callable[[int, int], sp.Expr]


def pairs(with_equality: bool) -> Iterator[tuple[int, int]]:
    """All (s, q) with q < s, or q ≤ s, up to the largest s."""
    for s in range(1, LARGEST_S + 1):
        for q in range(1, s + 1 if with_equality else s):
            yield s, q


def curve(s: int, q: int) -> sp.Expr:
    """γ(z) of Proposition 2 as a polynomial."""
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


def true_limit(s: int, q: int) -> sp.Expr:
    """lim n γ_j along j = z n, from the binomials: the leading coefficients."""
    return sp.Add(
        *(
            factor(s, at)
            * limit_of_ratio(
                N * falling(Z * N - 1, at - 1) * falling(N - Z * N, s - at), falling(N, s)
            )
            for at in range(1, q + 1)
        )
    )


def equal(a: sp.Expr, b: sp.Expr) -> bool:
    """Equality of two polynomials."""
    return sp.expand(a - b) == 0


def beta_cdf(first: int, second: int) -> sp.Expr:
    """The CDF of Beta(first, second) for integers, a polynomial in z."""
    constant = Fraction(factorial(first + second - 1), factorial(first - 1) * factorial(second - 1))
    density = sp.expand(Z ** (first - 1) * (1 - Z) ** (second - 1)) * constant
    return sp.integrate(density, (Z, 0, Z))


PROPOSITION_2 = Quote(
    "Proposition 2",
    r"*Denote $z = j/n$ and $\gamma(z) = \sum_{l=1}^q z^{l-1} (1-z)^{s-l} "
    r"\frac{s!}{(l-1!(s-l)!}$. Then, as $j, n \rightarrow \infty$ it holds that* "
    r"$$\lim_{j, n \rightarrow \infty, j/n=z} n \gamma_j = \gamma(z). \quad (5)$$",
)


@claim("theory", PROPOSITION_2)
def prop2_limit(limit: Curve = curve) -> list[Reading]:
    result = tally(((s, q), equal(true_limit(s, q), limit(s, q))) for s, q in pairs(True))
    return [
        Reading(
            "n γ_j → γ(z) as j, n → ∞ with j/n = z, for fixed s and q.",
            result.holds,
            f"equal as polynomials for {result.agreeing} of {result.cases} pairs "
            f"q ≤ s ≤ {LARGEST_S}",
            "symbolic identity",
            result.numbers("pairs (s, q)"),
        )
    ]


@claim(
    "theory",
    Quote(
        "Proposition 2",
        r"Furthermore, $1 - \frac{n}{s} \gamma(z)$ is the cumulative distribution of "
        r"$\text{Beta}(z; s - q)$.",
    ),
)
def prop2_beta_main(
    scale: Callable[[int, int], Fraction] = lambda n, s: Fraction(n, s),
) -> list[Reading]:
    sizes = (10, 100, 1000)
    at_zero = {n: 1 - scale(n, 2) * gamma_limit(Fraction(0), 2, 1) for n in sizes}
    result = tally(
        (
            (n, s, q),
            all(0 <= 1 - scale(n, s) * gamma_limit(Fraction(k, 8), s, q) <= 1 for k in range(9)),
        )
        for n in sizes
        for s, q in pairs(False)
    )
    meant = tally(((s, q), equal(1 - curve(s, q) / s, beta_cdf(q, s - q))) for s, q in pairs(False))
    return [
        Reading(
            "1 − (n/s) γ(z) is a cumulative distribution function.",
            result.holds,
            "outside [0, 1]: at z = 0 and (s, q) = (2, 1) it is "
            + ", ".join(f"{v} for n = {n}" for n, v in at_zero.items())
            if result.failures
            else f"within [0, 1] for all {result.cases} (n, s, q)",
            "exact rational",
            result.numbers("cases (n, s, q)"),
        ),
        Reading(
            "1 − γ(z)/s is the CDF of Beta(q, s − q), for q < s, as A.2 concludes.",
            meant.holds,
            f"equal as polynomials for {meant.agreeing} of {meant.cases} pairs q < s ≤ {LARGEST_S}",
            "symbolic identity",
            meant.numbers("pairs (s, q)"),
            words="evident slip",
        ),
    ]


@claim(
    "theory",
    Quote(
        "A.2, last line",
        r"In other words, $1 - \frac{1}{s} \gamma(z)$ is the cumulative distribution function "
        r"of Beta($q, s-q$) when $n \rightarrow \infty$.",
    ),
)
def a2_beta_appendix(limit: Curve = curve) -> list[Reading]:
    result = tally(
        ((s, q), equal(1 - limit(s, q) / s, beta_cdf(q, s - q))) for s, q in pairs(False)
    )
    return [
        Reading(
            "1 − γ(z)/s is the CDF of Beta(q, s − q), for q < s.",
            result.holds,
            f"equal as polynomials for {result.agreeing} of {result.cases} pairs "
            f"q < s ≤ {LARGEST_S}",
            "symbolic identity",
            result.numbers("pairs (s, q)"),
        )
    ]


@claim(
    "theory",
    Quote(
        "A.2 Eq. 12",
        r"= \frac{1}{n} \frac{s!}{(l-1)!(s-l)!} \sum_{l=1}^q \left(\frac{j}{n}\right)^{l-1} "
        r"\left(1 - \frac{j}{n}\right)^{s-l}. \quad (12)",
    ),
)
def a2_sum_placement(inside: bool = False) -> list[Reading]:
    def outside(s: int, q: int, at: int) -> sp.Expr:
        return factor(s, at) * sp.Add(*(Z ** (k - 1) * (1 - Z) ** (s - k) for k in range(1, q + 1)))

    meant = tally(((s, q), equal(true_limit(s, q), curve(s, q))) for s, q in pairs(True))
    printed = meant if inside else tally(
        ((s, q), any(equal(true_limit(s, q), outside(s, q, at)) for at in range(1, s + 1)))
        for s, q in pairs(True)
    )  # fmt: skip
    return [
        Reading(
            "lim n γ_j = s!/((l−1)!(s−l)!) Σ_l z^{l−1}(1−z)^{s−l} for some value of the free l.",
            printed.holds,
            f"no value works for {len(printed.failures)} of {printed.cases} pairs (s, q)",
            "symbolic identity",
            printed.numbers("pairs (s, q)"),
        ),
        Reading(
            "lim n γ_j = Σ_l z^{l−1}(1−z)^{s−l} s!/((l−1)!(s−l)!), as in Proposition 2.",
            meant.holds,
            f"equal for {meant.agreeing} of {meant.cases} pairs (s, q)",
            "symbolic identity",
            meant.numbers("pairs (s, q)"),
            words="evident slip",
        ),
    ]


def stirling_ratio(n: int, j: int) -> arb:
    """C(n, j) divided by the printed Stirling form, enclosed."""
    a, b, c = arb(n), arb(j), arb(n - j)
    exact = (a + 1).lgamma() - (b + 1).lgamma() - (c + 1).lgamma()
    form = (a / (2 * arb.pi() * b * c)).log() / 2 + a * a.log() - b * b.log() - c * c.log()
    return (exact - form).exp()


@claim(
    "theory",
    Quote(
        "A.2 Eq. 13",
        r"We begin the proof by changing the variable $z = \frac{j}{n}$. At first, the "
        "Stirling's approximation yields that when n and j are both sufficiently large, it "
        "holds that",
    ),
)
def a2_stirling(factor: int = 1) -> list[Reading]:
    shares = (Fraction(1, 10), Fraction(1, 2), Fraction(9, 10))
    sizes = [10**k for k in range(2, 10)]
    with ctx.workprec(256):
        logs = {
            (n, int(n * z)): abs((factor * stirling_ratio(n, int(n * z))).log())
            for n in sizes
            for z in shares
        }
        # Robbins' bounds on n! put the logarithm of the ratio below this.
        result = tally(
            ((n, j), bool(v < (arb(1) / n + arb(1) / j + arb(1) / (n - j)) / 12))
            for (n, j), v in logs.items()
        )
        worst = {n: max(float(logs[at].mid()) for at in logs if at[0] == n) for n in sizes}
        edge = abs(float((factor * stirling_ratio(sizes[-1], sizes[-1] - 1) - 1).mid()))
    return [
        Reading(
            "C(n, j) over the printed form tends to 1 along j/n = z with 0 < z < 1.",
            result.holds,
            f"|ln ratio| ≤ {worst[100]:.1e} at n = 100, {worst[10**9]:.1e} at n = 10⁹; within "
            f"Robbins' bound in {result.agreeing} of {result.cases} cases",
            "certified enclosure",
            {f"largest |ln ratio| at n = {n}": e for n, e in worst.items()},
        ),
        Reading(
            "It tends to 1 whenever n and j are large, n − j or not.",
            edge < 1e-3,
            f"at n = 10⁹, j = n − 1 the ratio is off by {edge:.4f} (it tends to √(2π)/e)",
            "certified enclosure",
            {"|ratio − 1| at n = 10⁹, j = n − 1": edge},
        ),
    ]


@claim(
    "theory",
    Quote(
        "A.2 Eq. 14", r"\left(\frac{j}{n}\right)^{l-1} \left(\frac{n-j}{n}\right)^{s-l} \quad (14)"
    ),
)
def a2_ratio_limit(
    limit: Curve = lambda s, at: Z ** (at - 1) * (1 - Z) ** (s - at),
) -> list[Reading]:
    cases = [(s, at) for s in range(1, LARGEST_S + 1) for at in range(1, s + 1)]
    # The binomials' ratio is this ratio of falling factorials, checked before the limit is taken.
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
            equal(
                limit_of_ratio(
                    falling(Z * N - 1, at - 1) * falling(N - Z * N, s - at), falling(N - 1, s - 1)
                ),
                limit(s, at),
            ),
        )
        for s, at in cases
    )
    return [
        Reading(
            "C(n−s, j−l)/C(n−1, j−1) tends to z^{l−1}(1−z)^{s−l}.",
            result.holds and identity.holds,
            f"equal for {result.agreeing} of {result.cases} pairs l ≤ s ≤ {LARGEST_S}",
            "symbolic identity",
            result.numbers("pairs (s, l)"),
        )
    ]


@claim(
    "theory",
    Quote(
        "A.2, second Eq. 12",
        r"$$\frac{1}{n} \frac{\binom{n-s}{j-l}}{\binom{n-1}{j-1}} \frac{s!}{(l-1)!(s-l)!} = "
        r"\frac{\binom{j-1}{l-1} \binom{n-j}{s-l}}{\binom{n}{s}}. \quad (12)$$",
    ),
)
def a2_rearrangement(scale: Callable[[int], int] = lambda n: n) -> list[Reading]:
    result = tally(
        (
            (n, s, j, at),
            Fraction(comb(n - s, j - at) * factor(s, at), scale(n) * comb(n - 1, j - 1))
            == Fraction(comb(j - 1, at - 1) * comb(n - j, s - at), comb(n, s)),
        )
        for n in range(1, 16)
        for s in range(1, n + 1)
        for at in range(1, s + 1)
        for j in range(at, n - s + at + 1)
    )
    return [
        Reading(
            "(1/n) C(n−s, j−l)/C(n−1, j−1) · s!/((l−1)!(s−l)!) = C(j−1, l−1) C(n−j, s−l)/C(n, s).",
            result.holds,
            f"equal for {result.agreeing} of {result.cases} (n, s, j, l) with n ≤ 15",
            "exact rational",
            result.numbers("cases"),
        )
    ]


@claim(
    "theory",
    Quote("A.2 Eq. 16", r"&= -z^{q-1} (1-z)^{s-q-1} \frac{s!}{(q-1)!(s-q-1)!} \\"),
)
def a2_derivative(
    derivative: Curve = lambda s, q: (
        -(Z ** (q - 1))
        * (1 - Z) ** (s - q - 1)
        * sp.Integer(factorial(s) // (factorial(q - 1) * factorial(s - q - 1)))
    ),
) -> list[Reading]:
    result = tally(
        ((s, q), equal(sp.diff(curve(s, q), Z), derivative(s, q))) for s, q in pairs(False)
    )
    return [
        Reading(
            "γ'(z) = −z^{q−1}(1−z)^{s−q−1} s!/((q−1)!(s−q−1)!), for s > q.",
            result.holds,
            f"equal as polynomials for {result.agreeing} of {result.cases} pairs "
            f"q < s ≤ {LARGEST_S}",
            "symbolic identity",
            result.numbers("pairs (s, q)"),
        )
    ]


@claim(
    "theory",
    Quote(
        "D.2, first paragraph",
        "Figure 5 empirically validates Proposition 2 by fixing $(s, q) = (100, 30)$ and "
        r"increasing n , showing how $n\gamma_j$ converges to $\gamma(z)$ as n , s , and q "
        "increase.",
    ),
)
def d2_fig5_convergence(
    growing: Callable[[int], tuple[int, int]] = lambda n: (n // 2, 3 * n // 20),
    sizes: Sequence[int] = (200, 400, 800),
) -> list[Reading]:
    heights = {n: n * gamma(Design(n, *growing(n)))[0] for n in sizes}
    fixed = {
        n: max(
            abs(n * g - gamma_limit(Fraction(j, n), 100, 30))
            for j, g in enumerate(gamma(Design(n, 100, 30)), 1)
        )
        for n in sizes
    }
    return [
        Reading(
            "n γ_j converges while s and q increase with n.",
            len(set(heights.values())) == 1,
            "n γ_1 = s: " + ", ".join(f"{h} at n = {n}" for n, h in heights.items()),
            "exact rational",
            {f"n γ_1 at n = {n}": h for n, h in heights.items()},
        ),
        Reading(
            "n γ_j converges to γ(z) as n increases with (s, q) = (100, 30) fixed.",
            all(2 * fixed[2 * n] < fixed[n] * Fraction(11, 10) for n in sizes if 2 * n in fixed),
            "largest distance over s, halved with each doubling of n: "
            + ", ".join(f"{float(e / 100):.4f} at n = {n}" for n, e in fixed.items()),
            "exact rational",
            {f"largest distance over s at n = {n}": e / 100 for n, e in fixed.items()},
            words="evident slip",
        ),
    ]
