"""The verdict that follows from the readings of a sentence."""

import pytest

from orderdp_theory.claims import Reading, decided
from orderdp_theory.claims.tables import all_hold, exceeds, numbers_in


def reading(holds, **fields):
    return Reading(f"{holds} {fields}", holds, "found", "exact rational", **fields)


RIGHT, WRONG = reading(True), reading(False)
SLIP = reading(True, words="evident slip")
CONDITION = reading(True, words="with a condition")
EXCLUDED = reading(True, words="not in the words")
RIVAL = reading(False, rival="Eq. 2")
OPEN = reading(None, missing=("the data",))


@pytest.mark.parametrize(
    ("readings", "verdict", "chosen"),
    [
        ([WRONG, RIGHT], "verified", RIGHT),
        ([WRONG, SLIP], "misprint", SLIP),
        ([WRONG, CONDITION], "conditional", CONDITION),
        ([RIVAL, WRONG], "inconsistent", RIVAL),
        ([WRONG, OPEN, RIVAL], "not checkable", OPEN),
        ([CONDITION, SLIP, OPEN], "misprint", SLIP),
        ([WRONG, EXCLUDED], "refuted", WRONG),
        ([WRONG, reading(False, words="evident slip")], "refuted", WRONG),
        ([reading(True, rival="Eq. 2")], "verified", reading(True, rival="Eq. 2")),
    ],
)
def test_the_most_favourable_reading_that_the_words_allow_decides(readings, verdict, chosen):
    assert decided(readings) == chosen
    assert decided(readings).verdict == verdict


@pytest.mark.parametrize("fields", [{"holds": None}, {"holds": True, "missing": ("data",)}])
def test_a_reading_is_open_exactly_where_data_are_missing(fields):
    with pytest.raises(ValueError, match="data are missing"):
        reading(fields.pop("holds"), **fields)


@pytest.mark.parametrize(
    ("a", "b", "answer"),
    [
        ("95.4", "95.3", True),
        ("95.3", "95.4", False),
        ("95.6", "95.6", None),
        ("95.0", "95", None),
        ("95.1", "95", True),
        ("94.9", "95", False),
        ("0.552", "0.593", False),
    ],
)
def test_printed_digits_that_tie_decide_nothing(a, b, answer):
    assert exceeds(a, b) is answer


def test_one_unknown_answer_leaves_a_statement_open_and_one_no_refutes_it():
    assert all_hold([True, True]) is True
    assert all_hold([True, None]) is None
    assert all_hold([None, False, True]) is False


def test_numbers_are_read_off_a_sentence():
    assert [float(x) for x in numbers_in("by 40–45%, from 0.93 on 2 GPUs")] == [40, 45, 0.93, 2]
