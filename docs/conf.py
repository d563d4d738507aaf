"""The documentation site: `make docs` builds it without a network, and every warning is an error.

The source folder is the repository, so that pages, proofs, notebooks and results are read where
they stand. Mathematics becomes MathML at build time: pages need no script and no font for it.
"""

import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger
from sphinx.util.typing import stringify_annotation

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
from made import Made, add_source, escape_bars  # noqa: E402
from theorem_pages import Typeset, complete  # noqa: E402

logger = getLogger(__name__)
ARRAY_LIKE = stringify_annotation(ArrayLike, "smart")

project = "OrderDP toolkit"
version = release = version_of("orderdp")
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "proofs/**.md",
    "notebooks/*.ipynb",
    "benchmarks/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
exclude_patterns = [".*", "build", "audit*", "figures", "runs", "data", "reproduce", "node_modules"]
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]

html_theme = "furo"
html_title = f"OrderDP toolkit {version}"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "redirect.html"}
templates_path = ["."]
html_math_renderer = "mathml"
html_copy_source = False
html_show_copyright = False
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the stored outputs are shown; `make notebooks` checks that they run
nb_ipywidgets_js = {}  # sliders need a kernel: the stored picture stands in
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]

default_role = "py:obj"
autodoc_default_options = {"members": True, "undoc-members": True, "no-value": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_use_ivar = True
napoleon_numpy_docstring = False
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True


def mathml(display: str):
    def visit(writer, node: nodes.Element) -> None:
        try:
            writer.body.append(convert(node.astext(), display=display))
        except Exception as error:
            logger.warning("not TeX: %s (%r)", node.astext(), error, location=node)
        raise nodes.SkipNode

    return visit


def must_exist(app: Sphinx, env, node: nodes.Element, content: nodes.Element) -> None:
    """A full name of ours that the reference does not have is a mistake or has been renamed."""
    if node.get("reftype") == "obj" and node["reftarget"].startswith("orderdp_"):
        logger.warning("no %s in the reference", node["reftarget"], location=node)


def named(app, what, name, obj, options, signature: str | None, returns: str | None):
    """`ArrayLike` by its name, not by the protocols that it is a union of."""
    return tuple(text and text.replace(ARRAY_LIKE, "ArrayLike") for text in (signature, returns))


ACCESSIBLE = (
    # What may scroll is reached with the keyboard too.
    (r'<(pre|div class="(?:table-wrapper|output)[^"]*")(?![^>]* tabindex)', r'<\1 tabindex="0"'),
    # Captions of the contents are headings of a level.
    (r'role="heading"(?! aria-level)', 'role="heading" aria-level="2"'),
    # Parameters on lines of their own are no definitions.
    (r"<dl>\n(<dd>.*?)</dl>", lambda found: f"<div>\n{found[1].replace('dd>', 'div>')}</div>"),
)


def make_accessible(app: Sphinx, error: Exception | None) -> None:
    """What the theme leaves to do for the axe-core check (tests/test_docs.py)."""
    for path in Path(app.outdir).rglob("*.html") if error is None else ():
        text = path.read_text(encoding="utf-8")
        for pattern, better in ACCESSIBLE:
            text = re.sub(pattern, better, text, flags=re.DOTALL)
        path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (mathml("inline"), None), (mathml("block"), None))
    app.add_directive("made", Made)
    app.add_transform(Typeset)
    app.connect("source-read", complete)
    app.connect("autodoc-process-docstring", escape_bars)
    app.connect("autodoc-process-docstring", add_source)
    app.connect("autodoc-process-signature", named)
    app.connect("missing-reference", must_exist)
    app.connect("build-finished", make_accessible)
