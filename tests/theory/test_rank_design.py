"""General rank designs by enumeration, and which are convex (proofs/rank_designs.md)."""

from fractions import Fraction
from itertools import combinations, pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import (
    Design,
    RankDesign,
    inclusion_probabilities,
    is_convex,
    nonconvex_losses,
    rank_design_loss,
    rank_design_probabilities,
    rank_design_weights,
    surrogate_weights,
)


@st.composite
def position_sets(draw):
    n = draw(st.integers(1, 8))
    s = draw(st.integers(1, n))
    return n, s, sorted(draw(st.sets(st.integers(1, s), min_size=1)))


def of_positions(n: int, s: int, positions) -> RankDesign:
    return RankDesign(n, s, tuple((p, p) for p in positions))


def enumerated(n: int, s: int, positions) -> list[Fraction]:
    counts = [0] * n
    for candidates in combinations(range(n), s):
        for position in positions:
            counts[candidates[position - 1]] += 1
    return [Fraction(count, comb(n, s)) for count in counts]


@given(position_sets())
@settings(deadline=None)
def test_probabilities(case):
    expected = [float(p) for p in enumerated(*case)]
    found = rank_design_probabilities(of_positions(*case))
    np.testing.assert_allclose(found, expected, atol=4e-15 * len(case[2]))


@given(position_sets())
@settings(deadline=None)
def test_convex_exactly_if_the_enumerated_weights_never_rise(case):
    gamma = enumerated(*case)
    design = of_positions(*case)
    assert is_convex(design) == all(a >= b for a, b in pairwise(gamma))
    losses = nonconvex_losses(design)
    if losses is None:
        assert is_convex(design)
        return
    left, middle, right = (
        sum(sorted(row, reverse=True)[position] * weight for position, weight in enumerate(gamma))
        for row in losses.astype(int).tolist()
    )
    assert np.all(np.diff(losses, 2, axis=0) == 0)  # affine, so convex, losses
    assert 2 * middle > left + right


@given(position_sets(), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_surrogate_of_a_convex_design_is_the_largest_over_permutations(case, seed):
    n, _, positions = case
    rng = np.random.default_rng(seed)
    design, losses = of_positions(*case), rng.integers(0, 4, n).astype(float)
    weights = np.array([float(g) for g in enumerated(*case)]) / len(positions)
    value = rank_design_loss(losses, design)
    assert value == pytest.approx(weights @ np.sort(losses)[::-1], abs=1e-13)
    if is_convex(design):
        assert max(rng.permutation(weights) @ losses for _ in range(50)) <= value + 1e-13


def test_named_designs():
    n, s = 50_000, 25_000
    np.testing.assert_array_equal(
        rank_design_probabilities(RankDesign.highest(n, s, 15_000)),
        inclusion_probabilities(Design(n, s, 15_000)),
    )
    lowest = rank_design_probabilities(RankDesign.lowest(n, s, 15_000))
    np.testing.assert_array_equal(lowest, inclusion_probabilities(Design(n, s, 15_000))[::-1])
    for design in (RankDesign.band(n, s, 5_001, 20_000), RankDesign.mixed(n, s, 9_000, 6_000)):
        gamma = rank_design_probabilities(design)
        assert design.q == 15_000
        assert gamma.sum() == pytest.approx(15_000, rel=1e-12)
        assert np.all(gamma <= s / n * (1 + 1e-15))
    assert RankDesign(9, 6, ((1, 2), (3, 4))) == RankDesign.highest(9, 6, 4)
    losses = np.random.default_rng(0).integers(0, 5, 9)
    np.testing.assert_allclose(
        rank_design_weights(losses, RankDesign.highest(9, 6, 4)),
        surrogate_weights(losses, Design(9, 6, 4)),
    )


def test_lowest_losses_underestimate():
    losses = np.random.default_rng(1).exponential(size=30)
    assert rank_design_loss(losses, RankDesign.lowest(30, 20, 5)) < losses.mean()
    assert not is_convex(RankDesign.lowest(30, 20, 5))


def test_keeping_the_top_is_not_the_only_convex_design():
    """The smallest others: none with n <= 10, four with n = 11 (every design is looked at)."""
    found = [
        (n, s, positions)
        for n in range(1, 12)
        for s in range(2, n + 1)
        for size in range(1, s)
        for positions in combinations(range(1, s + 1), size)
        if positions[0] == 1 and positions[-1] > size and is_convex(of_positions(n, s, positions))
    ]
    others = [(11, 6, (1, 2, 4)), (11, 7, (1, 2, 4)), (11, 7, (1, 2, 3, 5)), (11, 8, (1, 2, 3, 5))]
    assert found == others


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ((), "empty"),
        (((0, 2),), "positions must lie"),
        (((1, 5),), "positions must lie"),
        (((3, 2),), "first <= last"),
        (((2, 3), (1, 1)), "ascending"),
        (((1, 2), (2, 3)), "ascending"),
    ],
)
def test_refused(blocks, message):
    with pytest.raises(ValueError, match=message):
        RankDesign(9, 4, blocks)


def test_refused_types():
    with pytest.raises(TypeError, match="integers"):
        RankDesign(9, 4, ((1, 2.5),))  # pyright: ignore[reportArgumentType]
