"""Enclosures: they contain the truth, are as tight as promised, and restore the precision."""

from fractions import Fraction

import pytest
from flint import arb, ctx, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import Design, inclusion_probabilities_ball, inclusion_probabilities_exact
from tests.oracles import inclusion_as_printed
from tests.strategies import designs


def contains(ball: arb, value: Fraction) -> bool:
    with ctx.workprec(5000):
        return bool(ball.contains(arb(fmpq(value.numerator, value.denominator))))


def is_tight(ball: arb, bits: int) -> bool:
    with ctx.workprec(100):
        return bool(ball.rad() <= abs(ball.mid()) * arb(2) ** (2 - bits))


@given(designs(200), st.sampled_from([2, 3, 10, 53, 128, 1000]))
@settings(max_examples=60)
def test_contains_the_exact_value_and_is_tight(design: Design, bits: int) -> None:
    balls = inclusion_probabilities_ball(design, bits)
    for ball, value in zip(balls, inclusion_probabilities_exact(design), strict=True):
        assert contains(ball, value)
        assert is_tight(ball, bits)
    assert all(ball == 0 for ball in balls[design.n - design.s + design.q :])


@pytest.mark.parametrize(
    "design", [Design(3000, 1500, 900), Design(3000, 2999, 5), Design(3000, 40, 39)], ids=str
)
def test_shared_enclosures_contain_all_their_values(design: Design) -> None:
    """At 20 bits many ranks share a ball, so what is left out before the window matters."""
    balls = inclusion_probabilities_ball(design, bits=20)
    exact = inclusion_probabilities_exact(design)
    assert all(contains(b, x) and is_tight(b, 20) for b, x in zip(balls, exact, strict=True))


def test_far_tail() -> None:
    """Values far below the range of float64 are enclosed as tightly as all others."""
    design = Design(6_000, 3_000, 1_800)
    balls = inclusion_probabilities_ball(design)
    for rank in (4_000, 4_500, design.n - design.s + design.q):
        assert contains(balls[rank - 1], inclusion_as_printed(design, rank))
        assert is_tight(balls[rank - 1], 128)
    assert balls[design.n - design.s + design.q - 1] < arb("1e-400")


def test_precision_is_restored_and_bad_bits_are_refused() -> None:
    before = ctx.prec
    inclusion_probabilities_ball(Design(10, 5, 2), 300)
    with pytest.raises(ValueError, match="bits must be at least 2"):
        inclusion_probabilities_ball(Design(10, 5, 2), 1)
    with pytest.raises(TypeError):
        inclusion_probabilities_ball(Design(10, 5, 2), 64.0)  # pyright: ignore[reportArgumentType]
    assert ctx.prec == before
