"""Draws of kept ranks against drawing the candidates, sorting and slicing."""

from collections.abc import Iterator

import numpy as np

from benchmarks.common import Ratio, duration, report, seconds
from orderdp_theory import Design, draw_ranks

DRAWS = 20


def ratios() -> Iterator[Ratio]:
    rng = np.random.default_rng(0)
    for design in (
        Design.from_ratios(50_000),
        Design(50_000, 40_000, 15_000),
        Design(10**6, 5 * 10**5, 100),
    ):

        def plain(design: Design = design) -> np.ndarray:
            return np.sort(rng.choice(design.n, design.s, replace=False))[: design.q] + 1

        ours, reference = seconds(
            lambda design=design: draw_ranks(design, DRAWS, rng), plain, rounds=40
        )
        yield Ratio(
            f"time of a draw, {design}",
            f"`choice`, `sort`, slice {duration(reference)}",
            f"`draw_ranks` {duration(ours / DRAWS)}",
            reference / (ours / DRAWS),
            at_least=5,
        )


def main() -> None:
    report(ratios())


if __name__ == "__main__":
    main()
