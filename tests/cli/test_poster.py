"""`orderdp-theory poster`: one page, everything on it computed, nothing fetched."""

import json
import re
import shutil
import subprocess
from html import unescape

import pytest

from orderdp_theory import Design
from orderdp_theory.claims import all_claims, decide
from orderdp_theory.claims.reading import Reading
from orderdp_theory.cli.app import app
from orderdp_theory.common.command import run
from orderdp_theory.common.errors import InputError
from orderdp_theory.poster import FINDINGS, SOUND, poster

DESIGN = Design(1000, 500, 300)


@pytest.fixture(scope="module")
def shown():
    return list(decide([all_claims()[name] for name in FINDINGS + SOUND]))


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_verdicts_and_corrections_are_those_of_the_claims(shown):
    text = text_of(poster(shown, DESIGN))
    for result in shown:
        assert f"{result.verdict} · {' '.join(result.statement.split())}" in text
    assert {r.claim.id for r in shown if r.verdict == "verified"} == set(SOUND)
    assert "that cannot be kept, s − q 200" in text


def test_another_verdict_shows(shown):
    """Nothing is typed in: a claim decided otherwise is printed otherwise."""

    class Decided:
        claim, statement, correction, verdict = shown[0].claim, "Changed.", None, "verified"
        decided = Reading("Changed.", True, "another finding", "exact rational")

    text = text_of(poster([Decided, *shown[1:]], DESIGN))  # pyright: ignore
    assert "verified · Changed. another finding" in text


def test_a_claim_that_was_not_decided_is_missed(shown):
    with pytest.raises(InputError, match=FINDINGS[0]):
        poster(shown[1:], DESIGN)


def test_the_page_asks_for_nothing_else(shown):
    page = poster(shown, DESIGN)
    sources = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
    assert sources
    assert all(source.startswith("data:") for source in sources)


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
def test_it_prints_on_one_sheet(shown, tmp_path):
    (tmp_path / "poster.html").write_text(poster(shown, DESIGN), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    command += [f"--print-to-pdf={tmp_path / 'poster.pdf'}", str(tmp_path / "poster.html")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    pages = re.findall(rb"/Type\s*/Page\b(?!s)", (tmp_path / "poster.pdf").read_bytes())
    assert len(pages) == 1


def test_a_page_that_cannot_be_written_is_refused_before_the_work(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(app, ["poster", "--out", str(tmp_path / "no" / "poster.html")])
    assert stopped.value.code == 2
    assert "no such folder" in capsys.readouterr().err


def test_the_command_writes_the_page(tmp_path, capsys, monkeypatch):
    names = FINDINGS + SOUND
    chosen = {name: claim for name, claim in all_claims().items() if name in names}
    monkeypatch.setattr("orderdp_theory.claims.all_claims", lambda: chosen)
    with pytest.raises(SystemExit) as stopped:
        run(app, ["poster", "--out", str(tmp_path / "poster.html"), "--json", "-"])
    assert not stopped.value.code
    document = json.loads(capsys.readouterr().out)
    assert document["verdicts"]["refuted"] == len(FINDINGS)
    assert (tmp_path / "poster.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
