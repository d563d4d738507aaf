"""Designs: what they accept, what they refuse, and the released code's rounding."""

from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderdp_theory import Design
from tests.strategies import designs


@given(designs(50))
def test_fractions_are_exact(design: Design) -> None:
    assert design.kept_fraction == Fraction(design.q, design.n)
    assert design.prune_ratio + design.kept_fraction == 1


def test_is_a_value() -> None:
    assert Design(np.int64(5), np.int32(4), 3) == Design(5, 4, 3)
    assert hash(Design(5, 4, 3)) == hash(Design(5, 4, 3))
    assert type(Design(np.int64(5), 4, 3).n) is int
    with pytest.raises(FrozenInstanceError):
        Design(5, 4, 3).n = 6  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("n", "s", "q", "message"),
    [
        (5, 4, 0, "q must be at least 1.*q=0"),
        (5, 3, 4, "q must not exceed s.*q=4, s=3"),
        (5, 6, 4, "s must not exceed n.*s=6, n=5"),
        (0, 0, 0, "q must be at least 1"),
        (-3, -4, -5, "q must be at least 1"),
    ],
)
def test_broken_rule_is_named_with_its_values(n: int, s: int, q: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Design(n, s, q)


@pytest.mark.parametrize("wrong", [2.0, "2", True, None, Fraction(2)])
def test_only_integers(wrong: object) -> None:
    with pytest.raises(TypeError, match="s must be an integer"):
        Design(5, wrong, 1)  # pyright: ignore[reportArgumentType]


@given(n=st.integers(10, 10**7), explore=st.floats(0.2, 1), exploit=st.floats(0.5, 1))
def test_ratios_truncate_as_the_released_code_does(n: int, explore: float, exploit: float) -> None:
    design = Design.from_ratios(n, explore, exploit)
    s = int(explore * n)
    assert (design.s, design.q) == (s, int(exploit * s))


def test_default_ratios_are_the_papers() -> None:
    assert Design.from_ratios(50_000) == Design(50_000, 25_000, 15_000)


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.1, float("nan")])
def test_ratios_outside_the_unit_interval(ratio: float) -> None:
    with pytest.raises(ValueError, match="explore must lie in"):
        Design.from_ratios(100, explore=ratio)
    with pytest.raises(ValueError, match="exploit must lie in"):
        Design.from_ratios(100, exploit=ratio)


def test_ratios_that_keep_nothing() -> None:
    with pytest.raises(ValueError, match="q must be at least 1"):
        Design.from_ratios(10, explore=0.1, exploit=0.5)
