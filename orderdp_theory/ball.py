"""Inclusion probabilities of a design as certified enclosures."""

from itertools import accumulate

from flint import arb, ctx

from orderdp_theory.design import Design


def inclusion_probabilities_ball(design: Design, bits: int = 128) -> list[arb]:
    """gamma_1, ..., gamma_n as `arb` balls that are guaranteed to contain the true values."""
    n, s, q = design.n, design.s, design.q
    if isinstance(bits, bool) or not isinstance(bits, int):
        raise TypeError(f"bits must be an integer, got {bits!r}")
    if bits < 2:
        raise ValueError(f"bits must be at least 2, got {bits}")
    saved, ctx.prec = ctx.prec, bits + 32
    try:
        if q == s:
            return [arb(s) / n] * n
        pmf = [arb(1)]
        for j in range(q, n - s + q):
            pmf.append(pmf[-1] * (j * (n - j - s + q)) / ((j - q + 1) * (n - j - 1)))
        tails = list(accumulate(reversed(pmf)))[::-1]
        scale = arb(s) / n / tails[0]
        ctx.prec = bits
        gamma = [tail * scale for tail in tails]
        return [gamma[0]] * (q - 1) + gamma + [arb(0)] * (s - q)
    finally:
        ctx.prec = saved
