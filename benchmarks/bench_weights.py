"""Inclusion probabilities: float64, enclosures and fractions against NumPy, SciPy and math.comb."""

import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from math import comb

import numpy as np
from scipy.stats import hypergeom

from benchmarks.common import Ratio, duration, report, seconds
from orderdp_theory import (
    Design,
    inclusion_probabilities,
    inclusion_probabilities_ball,
    inclusion_probabilities_exact,
)

IMAGENET = Design.from_ratios(1_281_167)
STEP = 50


def printed(design: Design, rank: int) -> Fraction:
    """The paper's sum for one rank (Eq. 3)."""
    n, s, q, j = design.n, design.s, design.q, rank
    positions = range(max(1, s - n + j), min(q, j) + 1)
    terms = (comb(j - 1, position - 1) * comb(n - j, s - position) for position in positions)
    return Fraction(sum(terms), comb(n, s))


def ratios() -> Iterator[Ratio]:
    n, s, q = IMAGENET.n, IMAGENET.s, IMAGENET.q
    numbers = np.random.default_rng(0).random(n)
    ours, cumsum = seconds(
        lambda: inclusion_probabilities(IMAGENET), lambda: np.cumsum(numbers), rounds=15, repeat=5
    )
    yield Ratio(
        f"time, n = {n:,}",
        f"`inclusion_probabilities` {duration(ours)}",
        f"`numpy.cumsum` {duration(cumsum)}",
        ours / cumsum,
        at_most=2,
    )
    ball, scipy = seconds(
        lambda: inclusion_probabilities_ball(IMAGENET, 128),
        lambda: hypergeom.cdf(q - 1, n - 1, np.arange(n), s - 1),
        rounds=3,
    )
    reference = f"`scipy.stats.hypergeom.cdf` {duration(scipy)}"
    yield Ratio(
        f"time, n = {n:,}",
        reference,
        f"`inclusion_probabilities` {duration(ours)}",
        scipy / ours,
        at_least=300,
    )
    yield Ratio(
        f"time, n = {n:,}, 128 bits",
        f"`inclusion_probabilities_ball` {duration(ball)}",
        reference,
        ball / scipy,
        at_most=1,
    )
    design = Design.from_ratios(2000)
    exact, sample = seconds(
        lambda: inclusion_probabilities_exact(design),
        lambda: [printed(design, rank) for rank in range(1, design.n + 1, STEP)],
        rounds=2,
    )
    yield Ratio(
        "time, n = 2,000, fractions",
        f"Eq. 3 with `math.comb` {duration(sample * STEP)} (each {STEP}th rank, times {STEP})",
        f"`inclusion_probabilities_exact` {duration(exact)}",
        sample * STEP / exact,
        at_least=100,
    )
    for design in (Design.from_ratios(10**8), Design(10**8, 50, 20)):
        tracemalloc.start()
        output = inclusion_probabilities(design).nbytes
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        yield Ratio(
            f"memory, n = 10^8, s = {design.s:,}",
            f"peak {peak / 2**20:.0f} MiB",
            f"output {output / 2**20:.0f} MiB",
            peak / output,
            at_most=1.1,
        )


def main() -> None:
    report(ratios())


if __name__ == "__main__":
    main()
