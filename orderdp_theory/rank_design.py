"""Random-then-any-positions selection: lowest losses, a middle band, a mix of hard and easy."""

import operator
from dataclasses import dataclass
from itertools import pairwise
from math import comb

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from orderdp_theory.arguments import checked, double_array, require_population
from orderdp_theory.common.arrays import Array
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_at_most
from orderdp_theory.design import Design
from orderdp_theory.inclusion import inclusion_probabilities
from orderdp_theory.ranking import Ranking

LARGEST = 20_000
Block = tuple[int, int]


@dataclass(frozen=True)
class RankDesign:
    """Draw s of n samples uniformly without replacement, keep those at given order positions.

    blocks: the positions within the candidate set, 1 (largest loss) ... s, as inclusive intervals
    (first, last), ascending and disjoint; neighbours are merged, so equal designs compare equal.
    `ValueError` for positions outside 1 ... s or no position at all, `TypeError` for non-integers.

    Example:
        >>> RankDesign.highest(10, s=5, q=3)
        RankDesign(n=10, s=5, blocks=((1, 3),))
        >>> RankDesign.mixed(10, s=5, hard=2, easy=1).blocks
        ((1, 2), (5, 5))
    """

    n: int
    s: int
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        population = Design(self.n, self.s, 1)
        n, s = population.n, population.s
        if not self.blocks:
            raise InputError("blocks must not be empty: a selection keeps something")
        try:
            blocks = [(operator.index(first), operator.index(last)) for first, last in self.blocks]
        except TypeError:
            raise TypeError(f"blocks must be pairs of integers, got {self.blocks!r}") from None
        if any(first > last for first, last in blocks):
            raise InputError(f"each block is (first, last) with first <= last, got {self.blocks}")
        if any(a[1] >= b[0] for a, b in pairwise(blocks)):
            raise InputError(f"blocks must be ascending and disjoint, got {self.blocks}")
        if blocks[0][0] < 1 or blocks[-1][1] > s:
            raise InputError(f"positions must lie in 1 ... {s=}, got {self.blocks}")
        merged = [blocks[0]]
        for first, last in blocks[1:]:
            if first == merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], last)
            else:
                merged.append((first, last))
        for name, value in (("n", n), ("s", s), ("blocks", tuple(merged))):
            object.__setattr__(self, name, value)

    @classmethod
    def highest(cls, n: int, s: int, q: int) -> "RankDesign":
        """The q largest losses: `Design(n, s, q)`."""
        return cls(n, s, ((1, q),))

    @classmethod
    def lowest(cls, n: int, s: int, q: int) -> "RankDesign":
        """The q smallest losses."""
        return cls(n, s, ((s - q + 1, s),))

    @classmethod
    def band(cls, n: int, s: int, first: int, last: int) -> "RankDesign":
        """The losses at positions first ... last."""
        return cls(n, s, ((first, last),))

    @classmethod
    def mixed(cls, n: int, s: int, hard: int, easy: int) -> "RankDesign":
        """The `hard` largest and the `easy` smallest losses."""
        return cls(n, s, ((1, hard), (s - easy + 1, s)))

    @property
    def q(self) -> int:
        """How many samples are kept."""
        return sum(last - first + 1 for first, last in self.blocks)


@checked
def rank_design_probabilities(design: RankDesign) -> Float64[Array, "{design.n}"]:
    """P(the sample of rank j is kept), float64 `(n,)`; rank 1 has the largest loss.

    sum_{l in A} C(j-1, l-1) C(n-j, s-l) / C(n, s). A block first ... last is the top `last` without
    the top `first - 1`, so this is a signed sum of top-q curves; a block that ends at s is the top
    curve of the reversed order. The absolute error is at most 4e-15 s/n for each block.

    Example:
        >>> rank_design_probabilities(RankDesign.lowest(4, s=2, q=1)).round(4).tolist()
        [0.0, 0.1667, 0.3333, 0.5]
    """
    n, s = design.n, design.s
    require_population(n)
    total = np.zeros(n)
    for first, last in design.blocks:
        if last == s:
            total += inclusion_probabilities(Design(n, s, s - first + 1))[::-1]
        else:
            total += inclusion_probabilities(Design(n, s, last))
            if first > 1:
                total -= inclusion_probabilities(Design(n, s, first - 1))
    return np.maximum(total, 0)


@checked
def rank_design_weights(losses: ArrayLike, design: RankDesign) -> Float64[Array, "{design.n}"]:
    """Per-sample weights of the design's surrogate, float64 `(n,)` in input order, sum 1.

    Tied losses share the mean of their weights; refusals as in `surrogate_weights`.

    Example:
        >>> second_of_three = RankDesign.band(4, s=3, first=2, last=2)
        >>> rank_design_weights([4.0, 2.0, 1.0, 0.0], second_of_three).tolist()
        [0.0, 0.5, 0.5, 0.0]
    """
    ranking = Ranking.of(losses, design.n)
    gamma = ranking.average_ties(rank_design_probabilities(design))
    return ranking.to_input_order(gamma / design.q)


@checked
def rank_design_loss(losses: ArrayLike, design: RankDesign) -> float:
    """The surrogate L_A = (1/|A|) sum_j gamma_j L_(j): the expected mean loss of the kept.

    Example:
        >>> losses, hardest = [4.0, 2.0, 1.0, 0.0], RankDesign.highest(4, s=2, q=1)
        >>> rank_design_loss(losses, hardest) == surrogate_loss(losses, Design(4, 2, 1))
        True
    """
    return float(rank_design_weights(losses, design) @ double_array(losses))


def first_rise(design: RankDesign) -> int | None:
    """The first rank j whose probability is below that of rank j + 1; None if there is none.

    Exact (integers), so the answer decides convexity; O(n) big-integer terms a block, meant for n
    up to a few thousand. gamma_j - gamma_{j+1} is a signed sum, over the ends of the blocks, of
    C(j-1, k-1) C(n-j-1, s-k-1) / C(n, s), which vanishes for k = 0 and k = s.
    """
    n, s = design.n, design.s
    require_at_most("n", n, LARGEST, "the terms are exact integers of n digits")
    ends = [(last, 1) for _, last in design.blocks if last < s]
    ends += [(first - 1, -1) for first, _ in design.blocks if first > 1]
    for j in range(1, n):
        drop = sum(sign * comb(j - 1, k - 1) * comb(n - j - 1, s - k - 1) for k, sign in ends)
        if drop < 0:
            return j
    return None


@checked
def is_convex(design: RankDesign) -> bool:
    """Whether L_A is convex for every choice of convex per-sample losses.

    It is exactly if the probabilities never rise with the rank (proofs/rank_designs.md): then L_A
    is a maximum over permutations, otherwise `nonconvex_losses` is a counterexample. One block is
    convex when it starts at position 1; for several the cost is that of `first_rise`.

    Example:
        >>> is_convex(RankDesign.highest(10, s=5, q=3)), is_convex(RankDesign.lowest(10, s=5, q=3))
        (True, False)
    """
    if len(design.blocks) == 1:
        return design.blocks[0][0] == 1
    return first_rise(design) is None


@checked
def nonconvex_losses(design: RankDesign) -> Float64[Array, "3 {design.n}"] | None:
    """Affine losses at theta = -1, 0, 1 with L_A(0) > (L_A(-1) + L_A(1)) / 2, float64 `(3, n)`.

    None if the design's surrogate is convex. Ranks j and j + 1, where the probability rises, belong
    to 1 + theta and 1 - theta; ranks before them to the constant 3, ranks behind to 0.

    Example:
        >>> design = RankDesign.lowest(3, s=2, q=1)
        >>> [round(rank_design_loss(losses, design), 12) for losses in nonconvex_losses(design)]
        [0.0, 0.333333333333, 0.0]
    """
    j = first_rise(design)
    if j is None:
        return None
    losses = np.zeros((3, design.n))
    losses[:, : j - 1] = 3
    losses[:, j - 1] = (0, 1, 2)
    losses[:, j] = (2, 1, 0)
    return losses
