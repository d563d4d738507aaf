"""One page of the main results, to print: the weights, what the paper gets right, what holds."""

from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files

from jinja2 import Environment

from orderdp_theory.claims.registry import Result
from orderdp_theory.claims.report import MEANING, headline
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.style import render
from orderdp_theory.design import Design
from orderdp_theory.deviation import chi, effective_sample_size, total_variation
from orderdp_theory.figures import FIGURES
from orderdp_theory.inclusion import inclusion_probabilities
from orderdp_theory.sandwich import sandwich_width
from orderdp_theory.staleness import staleness_factor

# The claims that matter most to who trains by this method, in the order of the argument.
FINDINGS = (
    "thm1-unbiased-stale",
    "thm3-stale",
    "thm4-as-stated",
    "sec32-minimises-true-risk",
    "e1-bias-eliminated",
)
SOUND = ("sec3-normalization", "prop2-limit", "thm1-unbiased-fresh", "thm3-average-fresh")
DRAWN = ("step-regime", "stored-scores")


def poster(results: Sequence[Result], design: Design) -> str:
    """The page as HTML that needs nothing else, laid out for one A3 sheet, landscape.

    Args:
        results: all claims, decided; `InputError` if one of those shown is not among them.
        design: whose numbers are shown as the example.
    """
    by_id = {result.claim.id: result for result in results}
    if missing := [name for name in FINDINGS + SOUND if name not in by_id]:
        raise InputError(f"the poster shows {', '.join(missing)}, which was not decided")
    template = (files("orderdp_theory") / "poster.html").read_text(encoding="utf-8")
    return (
        Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(template)
        .render(
            design=design,
            numbers={
                "γ of the highest losses, s/n": f"{inclusion_probabilities(design)[0]:.4g}",
                "samples that cannot be kept, s − q": f"{design.s - design.q:,}",
                "χ of the weights": f"{chi(design):.4g}",
                "total variation from uniform": f"{total_variation(design):.4g}",
                "effective sample size": f"{effective_sample_size(design):,.0f}",
                "CVaR − L_q, losses in [0, 1], at most": f"{sandwich_width(design):.2g}",
                "scores up to 5 steps old slow it at most": f"× {staleness_factor(design, 5):.3g}",
            },
            findings=[by_id[name] for name in FINDINGS],
            sound=[by_id[name] for name in SOUND],
            paper=next(count for count in headline(results) if count.name == "paper"),
            meaning=MEANING,
            figures={
                name: {
                    "image": b64encode(render(FIGURES[name].draw(), "svg")).decode(),
                    "caption": FIGURES[name].caption,
                }
                for name in DRAWN
            },
        )
    )
