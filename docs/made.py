"""Parts of pages that are made from the code at build time, not typed.

A page says ``{made} name`` and gets the Markdown that the function `name` of this module returns.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.docutils import SphinxDirective

from orderdp_theory.claims import all_claims, decide
from orderdp_theory.claims.reading import VERDICTS
from orderdp_theory.claims.registry import Result
from orderdp_theory.claims.report import MEANING, TITLES, counts, headline
from orderdp_train import scores
from orderdp_train.reproduce import RESULTS, SCALES, estimate
from orderdp_train.rules import RULES
from orderdp_train.training.presets import PRESETS, Preset
from orderdp_train.training.recipe import Recipe

ROOT = Path(__file__).parents[1]


class Made(SphinxDirective):
    """Put the Markdown that a function of this module returns in the directive's place."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        text = globals()[self.arguments[0]]()
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def escape_bars(app, what, name, obj, options, lines: list[str]) -> None:
    """|x| in a docstring is an absolute value or a norm, not a substitution."""
    lines[:] = [re.sub(r"(?<![`|])\|(?=[^\s|])", r"\\|", line) for line in lines]


def add_source(app, what, name, obj, options, lines: list[str]) -> None:
    """Where a function or class is from: the proofs that link to its module, or what that cites."""
    if what in ("function", "class") and (found := source_of(obj)):
        lines += ["", f"Source: {found}", ""]


def source_of(thing: object) -> str:
    """In reStructuredText; nothing if the docstring says it, or if there is none to say."""
    if CITED.search(inspect.getdoc(thing) or ""):
        return ""
    module = inspect.getmodule(thing)
    package, _, name = getattr(module, "__name__", "").rpartition(".")
    if package == "orderdp_theory" and (pages := proved_in(name)):
        return ", ".join(f":doc:`/proofs/{page}`" for page in pages)
    sentences = re.split(r"(?<=[:;])\s+(?!\()|(?<=\.)\s+(?=[A-Z])", inspect.getdoc(module) or "")
    cited = [" ".join(s.split()).strip(":;") for s in sentences if re.search(YEAR, s)]
    return "; ".join(cited)


YEAR = r"\b(?:19|20)\d\d\b"
CITED = re.compile(rf"{YEAR}|Eq\.|Theorem|Proposition|Lemma|Algorithm|Section|Source:")


@cache
def proved_in(module: str) -> list[str]:
    """The pages of proofs that link to a module of the theory; their index if no other does."""
    pages = sorted((ROOT / "proofs").glob("*.md"))
    link = f"../orderdp_theory/{module}.py"
    found = [page.stem for page in pages if link in page.read_text(encoding="utf-8")]
    return [page for page in found if page != "README"] or found


def table(*rows: Iterable[str]) -> str:
    """A Markdown table; the first row is its head."""
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def docstring(thing: object) -> str:
    """What it says, without its example, which is in the reference."""
    return (inspect.getdoc(thing) or "").partition("\n\nExample:\n")[0]


def rules() -> str:
    """A section a registered rule that is no static method: its docstring, its options."""
    found = RULES.items()
    return "\n\n".join(_rule(name, cls) for name, cls in found if not cls.needs_recording)


def _rule(name: str, cls: type) -> str:
    paragraphs = [
        f"### {cls.label}",
        f"`--rule {name}`; class {{py:obj}}`~orderdp_train.{cls.__name__}`.",
        _prose(docstring(cls)),
    ]
    if cited := source_of(cls):
        paragraphs.append(f"Source: {cited}")
    if cls.options:
        rows = [
            (f"`{option}`", f"`{o.default}`", o.range(), o.help)
            for option, o in cls.options.items()
        ]
        paragraphs.append(table(("option", "default", "allowed", "what"), *rows))
    return "\n\n".join(paragraphs)


def _prose(text: str) -> str:
    """A docstring within Markdown, read as the reStructuredText that it is."""
    text = "\n".join(re.sub(r"(?<![`|])\|(?=[^\s|])", r"\\|", line) for line in text.splitlines())
    return f"````{{eval-rst}}\n{text}\n````"


def static_methods() -> str:
    """A row a static method: its rule, its function, and what its docstring says first."""
    functions = {
        name: getattr(scores, name.replace("-", "_"))
        for name, cls in RULES.items()
        if cls.needs_recording
    }
    rows = [
        (f"`--rule {name}`", f"{{py:obj}}`~orderdp_train.scores.{f.__name__}`", *_says(f))
        for name, f in functions.items()
    ]
    return table(("rule", "function", "what", "source"), *rows)


def recipes() -> str:
    """A row a preset: for what, and the settings in which it is not `Recipe()`."""
    rows = [(f"`{name}`", _for_what(p), _settings(p.recipe)) for name, p in PRESETS.items()]
    return table(("recipe", "for", "settings"), *rows)


def _for_what(preset: Preset) -> str:
    usual = "" if preset.usual else " (if named)"
    return f"{', '.join(preset.models)} on {', '.join(preset.data)}{usual}"


def _settings(recipe: Recipe) -> str:
    settings = ((f, getattr(recipe, f.name)) for f in fields(Recipe))
    always = ("epochs", "batch_size", "optimizer", "max_lr")
    return ", ".join(
        f"{f.name} {v:.3g}" if isinstance(v, float) else f"{f.name} {v}"
        for f, v in settings
        if f.name in always or v != f.default
    )


def paper_hours() -> str:
    """A row a table of the paper: its trainings and estimated GPU hours at the paper's scale."""
    rows = []
    for result in RESULTS.values():
        if result.name.startswith("table"):
            cost = estimate(result, SCALES["paper"], result.seeds)
            what = (f"`reproduce {result.name}`", str(result.seeds), f"{cost.trainings:,}")
            rows.append((*what, f"{cost.hours:,.0f}"))
    return table(("table", "seeds", "trainings", "GPU hours"), *rows)


def recipe_sources() -> str:
    """The words from which presets have their numbers."""
    said = {(where, words) for p in PRESETS.values() for where, words in p.said.items()}
    names = {
        key: ", ".join(f"`{n}`" for n, p in PRESETS.items() if p.said.get(key[0]) == key[1])
        for key in said
    }
    rows = sorted((names[where, words], where, words) for where, words in said)
    return table(("recipe", "place", "words"), *rows)


def _says(function: object) -> tuple[str, str]:
    return docstring(function).splitlines()[0], _source(function)


def _source(function: object) -> str:
    found = re.search(r"Source: (.*?)(?:\n\n|\Z)", docstring(function), re.DOTALL)
    return " ".join(found[1].split()) if found else ""


@cache
def _results() -> tuple[Result, ...]:
    """All claims, computed; `RuntimeError` if a computation fails."""
    results = tuple(decide(tuple(all_claims().values())))
    if failed := [r for r in results if r.error]:
        raise RuntimeError(f"{failed[0].claim.id}: {failed[0].error}")
    return results


def verdicts() -> str:
    """How many claims have each verdict, and a filter by verdict."""
    rows = [
        (f"{'· ' * c.indent}{c.name}", *(str(c.verdicts[v] or "") for v in VERDICTS))
        for c in headline(_results())
    ]
    return table(("claims about", *VERDICTS), *rows) + "\n\n" + _filter(counts(_results()))


def claims() -> str:
    """Every claim with its quotes and its readings."""
    parts = []
    for about, title in TITLES.items():
        parts.append(f"## {title}")
        parts += [_claim(r) for r in _results() if r.claim.about == about]
    return "\n\n".join(parts)


def _filter(numbers: dict[str, int]) -> str:
    """Radio buttons; the style sheet hides what is not chosen, without a script."""
    found = [(name, count, MEANING[name]) for name, count in numbers.items()]
    inputs = "\n".join(
        f'<label title="{meaning}"><input type="radio" name="verdict" value="{_class(name)}"'
        f"{' checked' if name == 'all' else ''}> {name} ({count})</label>"
        for name, count, meaning in [("all", sum(numbers.values()), "every claim"), *found]
    )
    html = f'<fieldset class="filter"><legend>Show</legend>\n{inputs}\n</fieldset>'
    return f"```{{raw}} html\n{html}\n```"


def _class(verdict: str) -> str:
    return verdict.replace(" ", "-")


def _claim(result: Result) -> str:
    reading = result.decided
    assert reading is not None
    quotes = "\n>\n".join(
        f"> {_words(q.words)} ({_text(q.place)})" if q.words else f"> {_text(q.place)}"
        for q in result.claim.quotes
    )
    lines = [
        f"({result.claim.id})=",
        f"::::{{container}} claim {_class(reading.verdict)}",
        f"**{reading.verdict}** `{result.claim.id}`: {_text(reading.says)}",
        quotes,
        f"→ {_text(reading.found)} ({reading.method})",
    ]
    lines += [f"- {r.verdict}: {_text(r.says)} → {_text(r.found)}" for r in result.others]
    if result.correction:
        lines.append(f"What holds: {_text(result.correction)}")
    return "\n\n".join([*lines, "::::"])


def _words(words: str) -> str:
    """Quoted words, their formulas typeset where they can be."""
    pieces = re.split(r"\$([^$]+)\$", words)
    return "".join(_math(p) if i % 2 else _text(p) for i, p in enumerate(pieces))


def _math(tex: str) -> str:
    try:
        convert(tex)
    except Exception:  # the extracted text is not always TeX
        return f"`{tex}`"
    return f"${tex}$"


def _text(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"([\\*_`<>$\[\]|~{}#])", r"\\\1", text))


def examples() -> str:
    """A section an example script, as it stands in `examples`; the plain loop first."""
    paths = sorted((ROOT / "examples").glob("*.py"), key=lambda path: (path.stem != "plain", path))
    return "\n\n".join(
        f"### {path.stem.removesuffix('_example').replace('_', ' ')}\n\n"
        f"```python\n{path.read_text(encoding='utf-8')}```"
        for path in paths
    )


def arrows() -> str:
    """What each package of the two imports from the others, read from the sources."""
    return "\n\n".join(_arrows(ROOT / name) for name in ("orderdp_theory", "orderdp_train"))


def _arrows(package: Path) -> str:
    rooms = sorted(p.parent for p in package.glob("*/__init__.py"))
    rows = []
    for room in rooms:
        tree = ast.parse((room / "__init__.py").read_text())
        says = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("``", "`")
        used = sorted({u for path in room.rglob("*.py") for u in _uses(path, package.name)})
        uses = ", ".join(f"`{u}`" for u in used if u != room.name) or "–"
        rows.append((f"`{room.name}`", " ".join(says.split()), uses))
    return f"### {package.name}\n\n" + table(("package", "what it holds", "uses"), *rows)


def _uses(path: Path, package: str) -> Iterator[str]:
    """The rooms of the package, or the other package, that a module imports from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            top, _, rest = node.module.partition(".")
            room = rest.split(".")[0]
            if top == package and (ROOT / package / room / "__init__.py").exists() and room:
                yield room
            elif top in ("orderdp_theory", "orderdp_train") and top != package:
                yield top
