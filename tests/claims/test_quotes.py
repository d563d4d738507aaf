"""Quotes occur word for word in the paper and the release's README, where these are at hand."""

import csv
import re
from pathlib import Path

import pytest

from orderdp_theory.claims import Quote, all_claims, claim

HERE = Path(__file__).resolve()
SHARED = next((p / "shared" for p in HERE.parents if (p / "shared" / "paper").is_dir()), None)
beside_the_paper = pytest.mark.skipif(SHARED is None, reason="needs the paper's text in shared/")
QUOTES = [
    pytest.param(item.about, quote, id=f"{item.id}: {quote.place}")
    for item in all_claims().values()
    for quote in item.quotes
    if quote.words
]


def occurs(words: str, text: str) -> bool:
    """The parts between […] occur in this order, white space apart."""
    parts = (re.escape(" ".join(part.split())) for part in words.split("[…]"))
    return re.search(".*?".join(parts), " ".join(text.split())) is not None


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    assert SHARED is not None
    found = {
        about: next((SHARED / "paper").glob(f"{number}_*.txt")).read_text(encoding="utf-8")
        for about, number in (("paper", "001"), ("release", "003"))
    }
    return found | {"toolkit": found["paper"]}


@beside_the_paper
@pytest.mark.parametrize(("about", "quote"), QUOTES)
def test_a_quote_is_word_for_word(about, quote, texts):
    assert occurs(quote.words, texts[about])


@beside_the_paper
def test_every_listed_statement_has_its_claim():
    assert SHARED is not None
    with (SHARED / "claims.csv").open(encoding="utf-8") as file:
        assert {row["id"] for row in csv.DictReader(file)} <= set(all_claims())


def test_changed_words_are_noticed():
    text = "The verdict of a sentence\n follows from  what is computed, always."
    assert occurs("verdict of a sentence follows", text)
    assert occurs("The verdict […] follows from […] always.", text)
    assert not occurs("verdict of the sentence", text)
    assert not occurs("follows from […] The verdict", text)


def test_a_claim_about_the_paper_quotes_it():
    with pytest.raises(ValueError, match="quotes its words"):
        claim("theory", Quote("§2"))
    with pytest.raises(ValueError, match="names its place"):
        claim("release")

    def sec2_prune_ratio():
        return []

    with pytest.raises(ValueError, match="twice"):
        claim("algorithm", Quote("§2", "words"))(sec2_prune_ratio)
