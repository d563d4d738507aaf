"""The command and its report: numbers, figures, page, an output folder whole or absent."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from orderdp_theory.common.command import run as run_app
from orderdp_train.auditing import Agreement
from orderdp_train.auditing.grid import parse_grid
from orderdp_train.cli.app import app
from orderdp_train.data import load_data
from orderdp_train.report import (
    Document,
    audit_figures,
    render_page,
    terminal_table,
    verdicts,
)
from orderdp_train.report.table import legend, splits_in_words
from orderdp_train.report.verdict import gradient_in_words
from tests.report.documents import ERRORS, replace_rule, split_document, tiny_document

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        run_app(app, ["audit", *arguments])
    return int(str(stopped.value.code))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One real audit of two epochs, seen from outside."""
    out = tmp_path_factory.mktemp("audit") / "out"
    assert command("--out", str(out), "--epochs", "2", "--draws", "50", "--rules", RULES) == 0
    return out


RULES = "full,orderdp"


def test_the_folder_holds_every_number(report: Path) -> None:
    names = {path.name for path in report.iterdir()}
    assert names == {
        "audit.json", "report.html", "gradient.png", "causes.png", "layers.png", "noise.png",
        "never_seen.npz",
    }  # fmt: skip
    found = json.loads((report / "audit.json").read_text(encoding="utf-8"))
    assert [c["epoch"] for c in found["points"]] == [1, 2] * 2
    assert found["config"]["label_noise"] == 0.2
    assert found["versions"]["torch"]
    assert "--rules=full,orderdp" in found["command"]
    for point in found["points"]:
        (rule,) = point["audit"]["rules"]
        assert rule["parts_residual"] < 1e-9
        assert rule["agreement"]["draws"] == 50
        assert (rule["epoch"] is None) == (point["epoch"] == 2)
        if rule["method"] == "full data":
            assert rule["bias"] == 0
    assert not list(report.parent.glob(".*"))


def test_never_seen_samples_are_listed_and_counted_by_class(report: Path) -> None:
    found = json.loads((report / "audit.json").read_text(encoding="utf-8"))
    labels = load_data("digits", label_noise=0.2).train_labels
    with np.load(report / "never_seen.npz") as stored:
        listed = dict(stored)
    assert len(listed) == 2 * len(found["points"])
    seen_some = False
    for point in found["points"]:
        (rule,) = point["audit"]["rules"]
        for name, count, by_class in (
            ("unreachable", rule["unreachable"], rule["unreachable_by_class"]),
            ("never used", point["never_used"], point["never_used_by_class"]),
        ):
            samples = listed[f"{rule['method']}/epoch {point['epoch']}/{name}"]
            assert len(samples) == len(set(samples.tolist())) == count
            assert np.bincount(labels[samples], minlength=10).tolist() == by_class
            if rule["method"] == "full data":
                assert count == 0
            seen_some |= count > 0
    assert seen_some


class Page(HTMLParser):
    """What of a page can be checked without a browser."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            self.images.append(values)
        for name in ("href", "src"):
            if values.get(name):
                self.links.append(str(values[name]))
        if values.get("id"):
            self.ids.append(str(values["id"]))


def test_the_page_stands_alone(report: Path) -> None:
    text = (report / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert not re.search(r"https?://|@import|url\(", text)
    assert {link[1:] for link in page.links if link[0] == "#"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert len(page.images) == 4
    assert all(len(image["alt"] or "") > 40 for image in page.images)
    # The verdict is the first heading, computed from the largest bias.
    found = json.loads((report / "audit.json").read_text(encoding="utf-8"))
    last = [c["audit"]["rules"][0] for c in found["points"] if c["epoch"] == 2]
    worst = max(last, key=lambda rule: rule["bias"])["method"]
    assert re.search(rf"<h1>{re.escape(worst)} at \d+ % kept follows a gradient", text)


def open_in_browser(page: Path, scratch: Path) -> str:
    """The document that headless Chromium ends up with, on a screen as narrow as a phone's."""
    assert CHROMIUM is not None
    return subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", f"--user-data-dir={scratch / 'profile'}", "--window-size=400,800",
         "--virtual-time-budget=20000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip


def test_accessibility(report: Path, tmp_path: Path) -> None:
    axe = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
    if CHROMIUM is None or not axe.is_file():
        pytest.skip("needs chromium and axe-core (npm install --no-save axe-core)")
    text = (report / "report.html").read_text(encoding="utf-8")
    probe = """
    <script>
    addEventListener("load", async () => {
      const found = await axe.run(document);
      const output = document.createElement("pre");
      output.id = "probe";
      output.textContent = JSON.stringify(found.violations.map((v) => [v.impact, v.id, v.help]));
      document.body.append(output);
    });
    </script>"""
    script = f"<script>{axe.read_text(encoding='utf-8')}</script>"
    probed = tmp_path / "probed.html"
    probed.write_text(text.replace("</head>", script + probe + "</head>"), encoding="utf-8")
    match = re.search(r'<pre id="probe">(.*?)</pre>', open_in_browser(probed, tmp_path), re.DOTALL)
    assert match is not None
    violations = json.loads(match[1])
    assert [v for v in violations if v[0] in ("serious", "critical")] == []


def test_in_a_browser(report: Path, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed, so the page is not opened in a browser")
    text = (report / "report.html").read_text(encoding="utf-8")
    # The page tests itself: console errors, pictures, and what a click on two headings does.
    probe = """
    <script>
    const errors = [];
    addEventListener("error", (event) => errors.push(event.message));
    console.error = (...words) => errors.push(words.join(" "));
    addEventListener("load", () => {
      const table = document.getElementById("points");
      const heads = [...table.tHead.rows[0].cells];
      const column = (name) => heads.findIndex((head) => head.innerText.startsWith(name));
      const values = (i) => [...table.tBodies[0].rows].map((row) => row.cells[i].dataset.key);
      const click = (i) => table.tHead.rows[0].cells[i].querySelector("button").click();
      const bias = column("Bias"), method = column("Method");
      click(bias); const up = values(bias).map(Number);
      click(bias); const down = values(bias).map(Number);
      click(method); const names = values(method);
      const found = {
        errors, up, down, names,
        sort: [...table.tHead.rows[0].cells].map((c) => c.getAttribute("aria-sort")),
        pictures: [...document.images].map((image) => image.complete && image.naturalWidth > 100),
        wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      };
      const output = document.createElement("pre");
      output.id = "probe"; output.textContent = JSON.stringify(found);
      document.body.append(output);
    });
    </script>"""
    probed = tmp_path / "probed.html"
    probed.write_text(text.replace("<main>", probe + "<main>"), encoding="utf-8")
    dump = open_in_browser(probed, tmp_path)
    match = re.search(r'<pre id="probe">(.*?)</pre>', dump, re.DOTALL)
    assert match is not None
    found = json.loads(match[1])
    assert found["errors"] == []
    assert found["up"] == sorted(found["up"])
    assert found["down"] == found["up"][::-1]
    assert found["names"] == sorted(found["names"], key=str.casefold)
    assert found["sort"].count("ascending") == 1
    assert found["sort"].count("descending") == 0
    assert found["pictures"] == [True] * 4
    assert found["wide"] <= 0  # a phone scrolls tables, never the page


def test_table_fits_and_marks_alarms() -> None:
    document = tiny_document()
    alarm = Agreement(100, 3, 0.0, 37.0, 0.01, True)
    document = replace_rule(document, "InfoBatch", agreement=alarm)
    console = Console(width=100, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as capture:
        console.print(terminal_table(document))
    text = capture.get()
    assert "…" not in text
    assert "37.0 !" in text
    assert verdicts(document)[-1].startswith("The selections of InfoBatch do not have")


def test_a_split_has_its_causes_with_their_errors() -> None:
    document = split_document()
    console = Console(width=100, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as capture:
        console.print(terminal_table(document))
    head, _, row, *_ = (line.split() for line in capture.get().strip().splitlines())
    assert head[6:10] == ["noise", "surv.", "stale", "norm."]
    assert row[-6:-2] == ["0.200", "0.400", "0.100", "0.000"]
    assert "…" not in capture.get()
    [sentence] = splits_in_words(document)
    assert "0.500, the sum of score noise 0.200 ± 0.011, survivorship 0.400 ± 0.022" in sentence
    assert "staleness 0.100 ± 0.033 (4 replays, 12 forward passes)" in sentence
    for shown, vectors in ((document, "five vectors"), (tiny_document(), "three vectors")):
        *columns, _ = legend(shown).splitlines()
        assert max(map(len, columns)) <= 100, "a line would be broken"
        assert vectors in legend(shown)
    page = render_page(document, {}, {}, {}, {})
    assert sentence in page
    for cause, error in ERRORS.items():
        assert f">{cause.capitalize()}</button>" in page
        assert f"± {error}</td>" in page
    assert "survivorship 0.40" in audit_figures(document)["causes"].alternative
    whole = render_page(tiny_document(), {}, {}, {}, {})
    assert "Score noise" not in whole
    assert splits_in_words(tiny_document()) == []


@pytest.mark.parametrize(
    ("cosine", "scale", "words"),
    [
        (1.0, 1.0, "the full gradient itself"),
        (1.0, 1.6, "a gradient 1.6× as long as the full one, in the same direction"),
        (0.99863, 1.6, "a gradient 1.6× as long and 3° off"),
        (0.0, 1.001, "a gradient as long as the full one and 90° off"),
    ],
)
def test_verdict_in_words(cosine: float, scale: float, words: str) -> None:
    document = replace_rule(tiny_document(), "InfoBatch", cosine=cosine, scale=scale)
    (_, rule) = next(row for row in document.rows() if row[1].method == "InfoBatch")
    assert gradient_in_words(rule) == words


def test_figures_repeat_and_a_grid_has_its_own() -> None:
    from orderdp_theory.common.style import render

    document = tiny_document()
    first, second = audit_figures(document), audit_figures(document)
    noise = render(first["noise"].figure, "svg")
    assert noise == render(second["noise"].figure, "svg")
    for figure in first.values():
        assert "InfoBatch" in figure.alternative
    assert set(audit_figures(tiny_document(rules=12))) == {"grid"}


def test_grid_of_designs() -> None:
    grid = parse_grid("explore=0.3:1.0:8,keep=0.2:0.9:8", 1000)
    assert len(grid) == 2 + 3 + 4 + 5 + 6 + 7 + 8 + 8  # those with keep <= explore
    assert all(design.q <= design.s for design in grid)
    (one,) = parse_grid("explore=0.5,exploit=0.6", 1500)
    assert (one.s, one.q) == (750, 450)
    for bad in (
        "",
        "explore=0.5",
        "keep=0.1,exploit=0.2",
        "explore=0.5,keep=2",
        "explore=a,keep=1",
    ):
        with pytest.raises(ValueError, match=r"grid"):
            parse_grid(bad, 100)
    with pytest.raises(ValueError, match="keeps more than it explores"):
        parse_grid("explore=0.2,keep=0.5", 100)


def test_run_folder_and_grid(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_app(app, ["run", "--out", str(tmp_path / "run"), "--epochs", "2", "--data", "digits"])
    assert stopped.value.code == 0
    out = tmp_path / "out"
    options = ("--run", str(tmp_path / "run"), "--grid", "explore=0.4:0.8:3,keep=0.2:0.4:3")
    assert command(*options, "--draws", "50", "--out", str(out)) == 0
    points = json.loads((out / "audit.json").read_text(encoding="utf-8"))["points"]
    assert [point["epoch"] for point in points] == [1, 2]
    for point in points:
        own, *designs = point["audit"]["rules"]
        assert own["method"] == "OrderDP (stored scores)"
        assert (own["epoch"] is None) == (point["epoch"] == 2)
        assert len(designs) == 9
        # Stale scores: the grid's designs show staleness, and all causes add up.
        assert any(rule["parts"]["staleness"] > 0.01 for rule in designs)
        assert all(rule["parts_residual"] < 1e-9 for rule in designs)
    assert (out / "grid.png").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "nothing"), "unknown data set 'nothing'"),
        (("--model", "nothing"), "no recipe is known for the model 'nothing' on digits"),
        (("--model", "nothing", "--recipe", "smoke"), "unknown model 'nothing'"),
        (("--recipe", "nothing"), "unknown recipe 'nothing'"),
        (("--recipe", "smoke", "--run", "nowhere"), "a run has its own recipe"),
        (("--rules", "full,nothing"), "unknown rule 'nothing'"),
        (("--label-noise", "1.5"), "1.5"),
        (("--explore", "0"), "--explore must be a number in (0, 1]"),
        (("--exploit", "nan"), "--exploit must be a number in (0, 1]"),
        (("--draws", "3"), "at least 50 draws"),
        (("--epochs", "0"), "epochs must be at least 1"),
        (("--epochs", "1000000000000"), "does not fit into half of the memory"),
        (("--grid", "explore=1:2:3,keep=0.5"), "must lie in (0, 1]"),
        (("--run", "nowhere"), "holds no run"),
        (("--rules", "full", "--grid", "explore=1,keep=0.5"), "--rules trains methods"),
        (("--seed", "x"), "valid integer"),
        (("--seed", str(2**32)), "a seed must lie in 0 ... 2^32 - 1"),
        (("--replays", "1"), "replays must be 0, or 2 and more"),
    ],
)
def test_bad_input_is_one_line(
    options: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command("--out", str(tmp_path / "new" / "out"), *options) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_document_goes_to_json_and_back() -> None:
    document = tiny_document()
    assert isinstance(document, Document)
    assert json.loads(document.to_json())["command"] == document.command
