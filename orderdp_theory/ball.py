"""Inclusion probabilities of a design as certified enclosures."""

from itertools import accumulate

from flint import arb, ctx

from orderdp_theory._window import window
from orderdp_theory.arguments import checked, require_design, require_population
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_at_most, require_room
from orderdp_theory.design import Design

LARGEST_PRECISION = 10**8


@checked
def inclusion_probabilities_ball(design: Design, bits: int = 128) -> list[arb]:
    """gamma_1, ..., gamma_n as balls that contain the true values, however extreme they are.

    The relative radius is at most 2^(2-bits); zeros beyond the support are exact. Ranks whose
    values agree to that accuracy share one (immutable) `arb`. Unless bits is an integer >= 2 it
    is a `TypeError` or `ValueError`.

    Method: the recurrence that `inclusion_probabilities` explains, in ball arithmetic, from the
    first term p_f that matters. Terms increase up to p_f, so those left out sum to between 0 and
    (f - q) p_{f-1}, which the enclosures take into account.

    Example:
        >>> gamma = inclusion_probabilities_ball(Design(4000, 2000, 1))
        >>> print(gamma[1990])  # too small for float64
        [1.73551166099098e-1176 +/- 4.60e-1191]
    """
    require_design(design)
    if bits < 2:
        raise InputError(f"bits must be at least 2, got {bits}")
    require_population(design.n)
    require_at_most("bits", bits, LARGEST_PRECISION, "one number alone would take minutes")
    n, s, q = design.n, design.s, design.q
    if q < s:
        require_room("bits", bits, 4 * (n - s + q) / 8)
        require_room("n", n, 4 * (n - s + q) / n * (bits / 8 + 50))
    guard = n.bit_length() + 8  # each of up to n steps loses a few units in the last place
    if q == s:
        with ctx.workprec(bits):
            return [arb(s) / n] * n
    with ctx.workprec(bits + guard):
        first, last = window(design, bits_before=bits + 4)
        terms = [arb(1)]
        for j in range(first, last):
            terms.append(terms[-1] * (j * (n - s + q - j)) / ((j - q + 1) * (n - 1 - j)))
        tails = list(accumulate(reversed(terms)))
        total = tails.pop()
        left_out = arb((first - q) ** 2 * (n - first)) / (
            max(first - 1, 1) * (n - s + q + 1 - first)
        )
        top = arb(s) / n
        unit = top / (total + arb(0).union(left_out))
        plateau = top.union(unit * total)
    with ctx.workprec(bits):
        decline = [unit * tail for tail in reversed(tails)]
        return [+top] * q + [+plateau] * (first - q) + decline + [arb(0)] * (n - last)
