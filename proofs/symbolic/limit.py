"""n γ_j → γ(j/n) for fixed s and q, with the term of order 1/n."""

import sympy
from sympy import Expr, Integer, factorial

from .certificate import Certificate, Obligation, Witness
from .notation import LIMIT, POSITION, at, j, k, l, n, q, s, z

WITNESS: Witness = {
    # x (x−1) … (x−k+1) = x^k (1 + c(k)/x + O(1/x²))
    "c(k)": -k * (k - 1) / 2,
    # the l-th summand of n γ_j is LIMIT · (1 + ρ(l)/n + O(1/n²))
    "ρ(l)": s * (s - 1) / 2 - l * (l - 1) / (2 * z) - (s - l) * (s - l - 1) / (2 * (1 - z)),
    # LIMIT · ρ = W(l+1) − W(l)
    "W(l)": (l - 1)
    * (l - s * z)
    / (2 * z)
    * factorial(s)
    / (factorial(l - 1) * factorial(s - l))
    * z ** (l - 1)
    * (1 - z) ** (s - l),
}


def correction() -> Expr:
    """δ(z): n γ_{zn} = γ(z) + δ(z)/n + O(1/n²)."""
    constant = factorial(s) / (2 * factorial(q - 1) * factorial(s - q - 1))
    return constant * z ** (q - 1) * (1 - z) ** (s - q - 1) * (q + 1 - s * z)


def _falling(x: Expr, length: Expr) -> Expr:
    return factorial(x) / factorial(x - length)


def _obligations(witness: Witness) -> tuple[Obligation, ...]:
    c, rho, antidifference = witness["c(k)"], witness["ρ(l)"], witness["W(l)"]
    constant = factorial(s) / (factorial(l - 1) * factorial(s - l))
    epsilon = sympy.Symbol("ε")
    series = (
        (1 + at(c, (k, l)) * epsilon / z)
        * (1 + at(c, (k, s - l)) * epsilon / (1 - z))
        / (1 + at(c, (k, s)) * epsilon)
    )
    return (
        Obligation(
            "n · (l-th summand of γ_j) as falling factorials of j, n − j and n",
            (
                (
                    n * POSITION,
                    constant * (n / j) * _falling(j, l) * _falling(n - j, s - l) / _falling(n, s),
                ),
            ),
            "1 <= l <= s <= n and l <= j <= n - s + l",
        ),
        Obligation(
            "with x^k for each falling factorial and j = zn, that is the summand of γ(z)",
            (
                (
                    constant / z * (z * n) ** l * ((1 - z) * n) ** (s - l) / n**s,
                    LIMIT,
                ),
            ),
            "1 <= l <= s <= n",
        ),
        Obligation(
            "c(0) = 0 and c(k+1) = c(k) − k: the second coefficient of a falling factorial",
            ((at(c, (k, 0)), Integer(0)), (at(c, (k, k + 1)), c - k)),
            "0 <= k",
        ),
        Obligation(
            "the factors 1 + c/x multiply to 1 + ρ/n + O(1/n²)",
            ((at(sympy.diff(series, epsilon), (epsilon, 0)), rho),),
            "1 <= l <= s",
        ),
        Obligation(
            "LIMIT · ρ(l) = W(l+1) − W(l)",
            ((LIMIT * rho, at(antidifference, (l, l + 1)) - antidifference),),
            "1 <= l <= s - 1",
        ),
        Obligation(
            "lower boundary W(1) = 0; upper boundary W(q+1) = δ(z)",
            (
                (at(antidifference, (l, 1)), Integer(0)),
                (at(antidifference, (l, q + 1)), correction()),
            ),
            "1 <= q <= s - 1",
        ),
    )


LIMIT_CERTIFICATE = Certificate(
    name="limit",
    statement="n γ_j = γ(z) + δ(z)/n + O(1/n²) at z = j/n, uniformly, for fixed q < s, with "
    "δ(z) = s!/(2 (q−1)! (s−q−1)!) z^(q−1) (1−z)^(s−q−1) (q + 1 − sz)",
    source="Proposition 2, Eq. 12–15; the term of order 1/n is not in the paper",
    witness=WITNESS,
    obligations=_obligations,
    logic=(
        "x^(k+1 falling) = x^(k falling) · (x − k), so the coefficients of x^k and x^(k−1) are 1 "
        "and c(k) by induction on k. This holds for each l separately, hence for the sum.",
        "Summing the terms of order 1/n over l = 1 … q telescopes to W(q+1) − W(1) = δ(z).",
        "Uniformly in z: at j = zn the l-th summand of n γ_j is a polynomial in z of degree s − 1 "
        "whose coefficients are rational in 1/n and finite at 1/n = 0, so each coefficient has "
        "an expansion with its own O(1/n²).",
    ),
)
