"""Exact inclusion probabilities against enumeration and the printed sum."""

from fractions import Fraction

from hypothesis import given, settings

from orderdp_theory import Design, inclusion_probabilities_exact
from tests.oracles import inclusion_as_printed, inclusion_by_enumeration
from tests.strategies import designs


@given(designs(8))
def test_equals_enumeration(design: Design) -> None:
    assert inclusion_probabilities_exact(design) == inclusion_by_enumeration(design)


@given(designs(60))
@settings(max_examples=50)
def test_equals_the_printed_formula(design: Design) -> None:
    printed = [inclusion_as_printed(design, rank) for rank in range(1, design.n + 1)]
    assert inclusion_probabilities_exact(design) == printed


def test_two_thousand_samples() -> None:
    design = Design.from_ratios(2000)
    gamma = inclusion_probabilities_exact(design)
    assert all(type(value) is Fraction for value in gamma)
    assert sum(gamma) == design.q
    assert gamma[: design.q] == [Fraction(design.s, design.n)] * design.q
    assert gamma[1000] == inclusion_as_printed(design, 1001)
