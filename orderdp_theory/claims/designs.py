"""The designs over which statements about every (n, s, q) are examined."""

from collections.abc import Iterator

from orderdp_theory import Design


def all_designs(largest: int) -> Iterator[Design]:
    """Every design with n up to `largest`, edges included."""
    for n in range(1, largest + 1):
        for s in range(1, n + 1):
            for q in range(1, s + 1):
                yield Design(n, s, q)


def explores_and_prunes(design: Design) -> bool:
    """q < s < n: something is left to chance and something to the ranking."""
    return design.q < design.s < design.n
