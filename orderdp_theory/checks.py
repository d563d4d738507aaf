"""What every vector of inclusion probabilities has to satisfy, whatever numbers it is made of."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq

from orderdp_theory.arguments import real_array, require_design
from orderdp_theory.common.errors import InputError
from orderdp_theory.design import Design

SUM_TOLERANCE = Fraction(1, 10**12)  # contract of the float64 probabilities
SMALLEST_NORMAL = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Check:
    """One property, what it demands, what was found, and whether that is the same."""

    name: str
    demanded: str
    found: str
    holds: bool


def check_inclusion_probabilities(design: Design, gamma: Sequence[Any]) -> list[Check]:
    """Check γ, in rank order, against the properties that define its shape.

    The properties are the total Σγ = q, the plateau γ_1 = … = γ_q = s/n, the support γ_j = 0 ⇔
    j > n − s + q, and γ_j ≥ γ_{j+1}.

    Args:
        design: the design that γ claims to belong to.
        gamma: n numbers: `float` (float64 array), `Fraction` or `flint.arb`. Rationals are
            compared exactly. An enclosure passes if it contains the demanded value. Floats may be
            off by 1e-12 relative in the sum and by one rounding elsewhere, and a probability below
            the smallest normal float may have become zero.

    Raises:
        ValueError: `gamma` does not have n entries.
    """
    require_design(design)
    if len(gamma) != design.n:
        raise InputError(f"gamma has {len(gamma)} entries for a population of {design.n}")
    if not isinstance(gamma[0], arb | Fraction):
        real_array(gamma, "gamma")  # refuses masks and extended precision
    return [_sum(design, gamma), _plateau(design, gamma), _support(design, gamma), _order(gamma)]


def _sum(design: Design, gamma: Sequence[Any]) -> Check:
    if isinstance(gamma[0], arb):
        total = sum(gamma, arb(0))
        holds, found = bool(total.contains(arb(design.q))), total.str(10)
    elif isinstance(gamma[0], Fraction):
        # fmpq adds thousands of large rationals without a Python-level gcd each time.
        exact = sum((fmpq(g.numerator, g.denominator) for g in gamma), fmpq(0))
        holds, found = exact == design.q, str(exact)
    else:
        total = math.fsum(gamma)
        holds, found = abs(Fraction(total) - design.q) <= SUM_TOLERANCE * design.q, f"{total:.15g}"
    return Check("sum", f"Σγ = q = {design.q}", found, holds)


def _plateau(design: Design, gamma: Sequence[Any]) -> Check:
    s_over_n = Fraction(design.s, design.n)
    plateau = gamma[: design.q]
    if isinstance(gamma[0], arb):
        demanded = arb(fmpq(design.s, design.n))
        length = sum(bool(g.overlaps(demanded)) for g in plateau)
    elif isinstance(gamma[0], Fraction):
        length = sum(g == s_over_n for g in plateau)
    else:
        length = int(np.count_nonzero(np.asarray(plateau) == float(s_over_n)))
    return Check(
        "plateau",
        f"γ = s/n = {s_over_n} on {design.q} ranks",
        f"{length} ranks",
        length == design.q,
    )


def _support(design: Design, gamma: Sequence[Any]) -> Check:
    end = design.n - design.s + design.q
    if isinstance(gamma[0], arb | Fraction):
        positive = sum(bool(g > 0) for g in gamma[:end])
        zero = sum(bool(g == 0) for g in gamma[end:])
        holds, note = positive == end, ""
    else:
        values = np.asarray(gamma, dtype=np.float64)
        positive = int(np.count_nonzero(values[:end] > 0))
        zero = int(np.count_nonzero(values[end:] == 0))
        underflow = end - positive
        # Neighbours differ by a factor below n², so what underflows has a tiny value before it.
        holds = underflow == 0 or 0 < values[positive - 1] < SMALLEST_NORMAL * design.n**2
        note = f", {underflow} below the float range" if underflow else ""
    return Check(
        "support",
        f"γ > 0 exactly on ranks 1 … {end}",
        f"{positive} positive{note}, {zero} zero beyond",
        bool(holds) and zero == design.n - end,
    )


def _order(gamma: Sequence[Any]) -> Check:
    if isinstance(gamma[0], arb | Fraction):
        # An enclosure cannot show equality, so only a certain increase counts against it.
        rises = sum(bool(b > a) for a, b in itertools.pairwise(gamma))
    else:
        rises = int(np.count_nonzero(np.diff(np.asarray(gamma, dtype=np.float64)) > 0))
    return Check("order", "γ never rises with the rank", f"{rises} rises", rises == 0)
