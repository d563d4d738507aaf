"""The documentation site builds offline without a warning, and nothing public is missing in it."""

import html
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from doctest import DocTestParser
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest
from sphinx.util.inventory import InventoryFile

import orderdp_theory
from orderdp_theory.claims import all_claims
from orderdp_train.rules import RULES

ROOT = Path(__file__).parents[1]
DOCUMENTED = {
    "theory": "orderdp_theory",
    "figures": "orderdp_theory.figures",
    "claims": "orderdp_theory.claims",
    "train": "orderdp_train",
    "auditing": "orderdp_train.auditing",
    "scores": "orderdp_train.scores",
}


def build(source: Path, out: Path, builder: str) -> subprocess.CompletedProcess[str]:
    """Run Sphinx as `make docs` does, at most one thread and without a network proxy."""
    options = ["--quiet", "--fail-on-warning", "--keep-going", "-c", str(ROOT / "docs")]
    command = [sys.executable, "-m", "sphinx", *options, "-d", str(out / "doctrees")]
    return subprocess.run(
        [*command, "-b", builder, str(source), str(out / builder)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    result = build(ROOT, folder, "html")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def site(out):
    return out / "html"


class Page(HTMLParser):
    """What a page loads, where it links to, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: set[str] = set()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.text = ""
        self.feed(path.read_text())

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon"):
            self.loads.add(given["href"])
        elif "src" in given:
            self.loads.add(given["src"])


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}


@pytest.mark.slow
def test_the_examples_print_what_they_show(out):
    result = build(ROOT, out, "doctest")
    assert result.returncode == 0, result.stdout + result.stderr


def without_example(page: str, package: ModuleType) -> list[str]:
    """Public names without an example; that of a class may be of a function that returns one."""
    written = (ROOT / "docs" / "api" / f"{page}.md").read_text()
    blocks = re.findall(r"py:data(?:\}|::)((?:\s+\w+\n)+)(.*?)```", written, re.DOTALL)
    data = {name: says for names, says in blocks for name in names.split()}
    found = []
    for name in package.__all__:
        thing = getattr(package, name)
        says = data.get(name) or thing.__doc__ or ""
        code = "".join(e.source for e in DocTestParser().get_examples(inspect.cleandoc(says)))
        if not (code if isinstance(thing, type) else re.search(rf"\b{name}\b", code)):
            found.append(name)
    return found


@pytest.mark.parametrize("page", DOCUMENTED)
def test_every_public_name_has_an_example(page):
    assert not without_example(page, importlib.import_module(DOCUMENTED[page]))


def test_every_name_of_the_theory_says_where_it_is_from(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    made = importlib.import_module("made")
    things = {name: getattr(orderdp_theory, name) for name in orderdp_theory.__all__}
    without = {
        name
        for name, thing in things.items()
        if inspect.isfunction(thing) or inspect.isclass(thing)
        if not (made.source_of(thing) or made.CITED.search(inspect.getdoc(thing) or ""))
    }
    assert without == {"Design", "Guarantee", "MeasuredRun", "draw_ranks", "promises"}  # our own


def test_a_name_without_an_example_is_noticed():
    def used():
        """>>> used()"""

    def bare():
        """>>> used()"""

    package = ModuleType("package")
    package.__all__, package.used, package.bare = ["used", "bare"], used, bare
    assert without_example("theory", package) == ["bare"]


@pytest.mark.slow
def test_every_public_name_is_in_the_reference(site):
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    places = {name: item.uri for kind in inventory.data.values() for name, item in kind.items()}
    for package in DOCUMENTED.values():
        for name in importlib.import_module(package).__all__:
            homes = (places.get(f"{p}.{name}", "") for p in (package, "orderdp_train"))
            assert any(home.startswith("docs/api/") for home in homes), name


@pytest.mark.slow
def test_every_rule_claim_and_example_has_its_place(site, pages):
    names = ("methods", "claims", "adopting")
    methods, claims, adopt = (pages[site / "docs" / f"{name}.html"] for name in names)
    scripts = [path.read_text() for path in (ROOT / "examples").glob("*.py")]
    assert scripts
    assert all(script.strip() in adopt.text for script in scripts)
    assert all(f"--rule {name}" in methods.text for name in RULES)
    assert all(identifier in claims.anchors for identifier in all_claims())


@pytest.mark.slow
def test_a_theorem_page_shows_every_way_to_know_it(site, pages):
    """Gap: a written proof, a certificate and a formal theorem; its indices are typeset."""
    path = site / "proofs" / "gap.html"
    assert "w<sub>j</sub>²" in path.read_text()
    for shown in (
        "Lower bound.",
        "Theorem gap_nonneg",
        "summand(j, k)",
        "test_value_and_both_bounds",
    ):
        assert shown in pages[path].text
    proofs = {p.stem for p in (ROOT / "proofs").glob("*.md")} - {"README"}
    assert len(proofs) > 5
    assert all("How it is known" in pages[site / "proofs" / f"{p}.html"].text for p in proofs)


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere_and_every_link_leads_somewhere(pages):
    for path, page in pages.items():
        for target in page.loads | page.links:
            parts = urlsplit(target)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                assert target not in page.loads, f"{path} loads {target}"
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert file.exists(), f"{path}: {target}"
            if parts.fragment and file in pages:
                assert unquote(parts.fragment) in pages[file].anchors, f"{path}: {target}"


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
PROBE = """
addEventListener("load", async () => {
  const found = await axe.run(document);
  const output = document.createElement("pre");
  output.id = "probe";
  const bad = found.violations.filter((v) => ["serious", "critical"].includes(v.impact));
  output.textContent = JSON.stringify(bad.map((v) => [v.id, v.help, v.nodes[0].html]));
  document.body.append(output);
});
"""


def in_browser(page: Path, scratch: Path, *options: str) -> str:
    """The document that headless Chromium ends up with."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-sync"]
    command += ["--no-first-run", "--disable-background-networking", "--window-size=500,800"]
    command += [f"--user-data-dir={scratch}", "--virtual-time-budget=60000", "--dump-dom"]
    done = subprocess.run(
        [*command, *options, page.as_uri()], capture_output=True, text=True, timeout=240, check=True
    )
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    "page", ["docs/index", "docs/start", "docs/claims", "docs/api/auditing", "proofs/gap"]
)
def test_accessibility(site, page, dark, tmp_path):
    if CHROMIUM is None or not AXE.is_file():
        pytest.skip("needs chromium and axe-core (npm install --no-save axe-core)")
    path = site / f"{page}.html"
    probed = path.with_name(f"{path.stem}-probed-{dark}.html")
    script = f"<script>{AXE.read_text(encoding='utf-8')}{PROBE}</script>"
    probed.write_text(path.read_text(encoding="utf-8").replace("</head>", f"{script}</head>"))
    shown = in_browser(probed, tmp_path, *(["--blink-settings=preferredColorScheme=0"] * dark))
    probed.unlink()
    found = re.search(r'<pre id="probe">(.*?)</pre>', shown, re.DOTALL)
    assert found is not None
    assert json.loads(html.unescape(found[1])) == []


@pytest.mark.slow
def test_search_works_offline(site, tmp_path):
    if CHROMIUM is None:
        pytest.skip("chromium is not installed, so nothing is searched for")
    page = site / "search.html"
    asked = page.read_text().replace(
        "<head>", '<head><script>history.replaceState(0, "", "?q=sandwich")</script>'
    )
    (site / "asked.html").write_text(asked)
    try:
        found = in_browser(site / "asked.html", tmp_path, "--allow-file-access-from-files")
    finally:
        (site / "asked.html").unlink()
    assert "proofs/sandwich.html" in found


WRONG = """# Title

[a page](nowhere.md) and [an anchor](#nowhere), a formula $\\left($ and a name
{py:obj}`orderdp_theory.nobody`.

```{doctest}
>>> 1 + 1
3
```
"""


def test_what_is_wrong_is_noticed(tmp_path):
    pages = tmp_path / "docs"
    pages.mkdir()
    (pages / "index.md").write_text(WRONG)
    (pages / "lost.md").write_text("# Lost\n")
    built = build(tmp_path, tmp_path / "build", "html")
    assert built.returncode != 0
    for fault in ("nowhere.md", "'nowhere'", "lost.md", "orderdp_theory.nobody", "not TeX"):
        assert fault in built.stderr
    tested = build(tmp_path, tmp_path / "build", "doctest")
    assert tested.returncode != 0
    assert "Expected:\n    3\nGot:\n    2" in tested.stdout + tested.stderr
