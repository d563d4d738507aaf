"""``orderdp-theory verify``: output formats, exit statuses, and the page in a browser."""

import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from orderdp_theory.claims import Claim, Quote, Result, UndecidedError, all_claims, decide
from orderdp_theory.claims.registry import _claims
from orderdp_theory.claims.report import headline, to_html, to_json, to_markdown
from orderdp_theory.cli.app import app
from orderdp_theory.common.command import run

SOME = [
    *("e1-orderdp-expectation", "a3-eq26", "thm1-never-unbiased", "tab9-model", "fig1-pearson"),
    *("release-init-cifar", "tab1-tab2-agree"),
]
FIELDS = [
    *("id", "about", "part", "where", "quotes", "statement", "verdict", "evidence", "readings"),
    "correction",
]


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        run(app, ["verify", *arguments])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    claims = all_claims()
    failed = Result(claims["sec2-prune-ratio"], (), "ValueError: it <broke> & stopped")
    return [*decide([claims[name] for name in SOME]), failed]


def test_files_and_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    files = {name: tmp_path / f"claims.{name}" for name in ("json", "markdown", "html")}
    options = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    assert command("--only", SOME[0], *SOME[1:], *options) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in SOME)
    table = [line for line in shown.splitlines() if not line.startswith("wrote ")]
    assert max(map(cell_len, table)) <= 100
    items = json.loads(files["json"].read_text())
    assert [item["id"] for item in items] == [name for name in all_claims() if name in SOME]
    assert all(list(item) == FIELDS for item in items)
    assert all(name in files["markdown"].read_text() for name in SOME)
    assert all(f'id="{name}"' in files["html"].read_text() for name in SOME)
    assert sorted(tmp_path.iterdir()) == sorted(files.values())


def test_numbers_in_json(results):
    items = {item["id"]: item for item in json.loads(to_json(results))}
    evidence = items["e1-orderdp-expectation"]["evidence"]
    assert evidence["method"] == "exact rational"
    assert evidence["expectation"] == 4.26
    assert items["e1-orderdp-expectation"]["correction"] == "4.26"
    assert items["fig1-pearson"]["correction"] is None
    assert items["fig1-pearson"]["evidence"]["missing"]
    assert items["tab9-model"]["evidence"]["contradicts"]
    assert items["a3-eq26"]["quotes"][0]["words"]
    (printed,) = items["a3-eq26"]["readings"]
    assert (printed["verdict"], printed["words"]) == ("refuted", "as printed")
    assert [items[name]["about"] for name in (SOME[0], *SOME[-2:])] == [
        *("paper", "release", "toolkit"),
    ]
    assert items["release-init-cifar"]["part"] is None
    assert items["sec2-prune-ratio"]["verdict"] is None
    assert items["sec2-prune-ratio"]["error"].startswith("ValueError")


def test_same_results_give_the_same_bytes(results):
    again = [*decide([result.claim for result in results[:-1]]), results[-1]]
    for text in (to_json, to_markdown, to_html):
        assert text(results) == text(again)


def test_markdown_tables_have_seven_cells_in_every_row(results):
    rows = [line for line in to_markdown(results).splitlines() if line.startswith("|")]
    assert len(rows) == len(results) + 2 * 3  # the paper, the release, the toolkit
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {8}


@pytest.mark.parametrize(
    "failure", [RuntimeError("no convergence"), UndecidedError("the error bar is too wide")]
)
def test_a_claim_that_raises_is_reported_and_the_others_run(failure, tmp_path, capsys, monkeypatch):
    def check():
        raise failure

    broken = Claim("x-broken", "paper", "theory", (Quote("nowhere", "A sentence."),), check)
    monkeypatch.setitem(_claims, "x-broken", broken)
    out = tmp_path / "claims.json"
    assert command("--only", "x-broken", "--only", "a3-eq26", "--json", str(out)) == 1
    shown = capsys.readouterr().out
    assert "x-broken" in shown
    assert "1 error" in shown
    items = {item["id"]: item for item in json.loads(out.read_text())}
    assert items["a3-eq26"]["verdict"] == "misprint"
    assert str(failure) in items["x-broken"]["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "thm3-stall"], "thm3-stale"),
        (["qqqqqqq"], "no claim is called qqqqqqq"),
        (["--json", "missing-folder/x.json", "a3-eq26"], "missing-folder"),
        (["--html", ".", "a3-eq26"], "folder"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not list(tmp_path.iterdir())


class Page(html.parser.HTMLParser):
    """What matters of a page for a reader without a mouse, eyes or network."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_page_is_self_contained_and_structured(results):
    text = to_html(results)
    page = Page(text)
    assert not re.search(r"https?://|url\(|@import|<link|<img|src=", text)
    assert ("html", {"lang": "en"}) in page.tags
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    names = [tag for tag, _ in page.tags]
    assert names.count("details") == names.count("summary") == len(results)
    assert names.count("h1") == names.count("main") == 1
    assert names.count("table") == names.count("caption")
    assert names.count("section") == names.count("h2") == 3
    assert names.count("blockquote") == sum(len(r.claim.quotes) for r in results if r.claim.part)
    assert "it &lt;broke&gt; &amp; stopped" in text  # escaped, not markup


def luminance(colour: str) -> float:
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_contrast_meets_wcag_aa_in_both_themes(results):
    themes = re.findall(r":root \{([^}]*)\}", to_html(results))[:2]
    for theme in themes:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", theme))
        grounds = [luminance(colours.pop(name)) for name in ("page", "panel")]
        del colours["line"]  # a border carries no text
        assert len(colours) == 9
        for name, colour in colours.items():
            for ground in grounds:
                light, dark = sorted((luminance(colour), ground), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, name


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian package chromium)")
def test_filter_works_in_a_browser_without_console_errors(results, tmp_path):
    probe = """
    <script>
    document.querySelector("input[value=misprint]").click();
    document.body.dataset.shown = claims.filter((c) => !c.hidden).map((c) => c.id).join(" ");
    document.body.dataset.status = document.getElementById("shown").textContent;
    document.querySelector("summary").click();
    </script></body>
    """
    file = tmp_path / "page.html"
    file.write_text(to_html(results).replace("</body>", probe))
    done = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu"),
            *("--enable-logging=stderr", "--virtual-time-budget=2000"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", file.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert "CONSOLE" not in done.stderr
    assert 'data-shown="a3-eq26"' in done.stdout
    assert 'data-status="1 shown"' in done.stdout
    assert re.search(r"<details[^>]* open", done.stdout)


def test_the_headline_counts_the_paper_and_its_parts_apart(results):
    lines = [(count.name, count.indent, str(count)) for count in headline(results)]
    assert lines == [
        (
            "paper",
            False,
            "1 misprint, 1 conditional, 1 not checkable, 1 inconsistent, 1 refuted, 1 error",
        ),
        ("theory", True, "1 misprint, 1 conditional"),
        ("algorithm", True, "1 error"),
        ("experiments", True, "1 not checkable, 1 inconsistent"),
        ("arithmetic of tables", True, "1 refuted"),
        ("release", False, "1 verified"),
        ("toolkit", False, "1 verified"),
    ]


def test_claims_need_no_docstrings(tmp_path):
    out = tmp_path / "claims.json"
    subprocess.run(
        [sys.executable, "-OO", "-m", "orderdp_theory", "verify", "a3-eq26", "--json", str(out)],
        check=True,
        capture_output=True,
    )
    (item,) = json.loads(out.read_text())
    assert item["verdict"] == "misprint"
    assert all([item["statement"], item["where"], item["quotes"], item["correction"]])


def test_help_names_the_formats():
    done = subprocess.run(
        [shutil.which("orderdp-theory", path=str(Path(os.sys.executable).parent)) or "", "verify",
         "--help"],
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip
    assert all(option in done.stdout for option in ("--only", "--json", "--markdown", "--html"))
