"""`report.html`: one file that opens offline, in any browser, on a phone and on paper."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment

from orderdp_train.auditing.point import AuditedPoint
from orderdp_train.auditing.result import RuleAudit
from orderdp_train.auditing.split import SCORE_CAUSES
from orderdp_train.report.document import Document
from orderdp_train.report.table import agreement_text, number, splits_in_words, view_in_words
from orderdp_train.report.verdict import verdicts

COLUMNS = {
    "Method": "selection rule",
    "Training": "part of the training done",
    "Kept": "part of the samples in a selection",
    "Cosine": "of E[g̃] and ∇L",
    "Scale": "‖E[g̃]‖/‖∇L‖",
    "Predicted": "n times the largest weight: s/q for OrderDP",
    "Bias": "‖E[g̃] − ∇L‖/‖∇L‖",
    "Ranking": "fresh scores against ∇L",
    "Score noise": "scores of one pass as in training against fresh ones",
    "Survivorship": "what the rule would store if the model stood still against that pass",
    "Staleness": "stored scores against those; against fresh ones where these are not split",
    "Norm.": "weights that do not add up to 1",
    "Std": "of one selection's gradient, relative to ‖∇L‖",
    "Bias²/var": "above 1 the bias is the larger error",
    "z": "Monte Carlo against the closed form",
    "Accuracy": "on the test set",
    "Seconds": "selecting and training",
    "Never used": "samples in no selection so far",
}

MOST_CLASSES = 20  # that a table has columns for


def _cells(point: AuditedPoint, rule: RuleAudit) -> list[tuple[str, float | str]]:
    """Text and sort key of each column of `COLUMNS`."""
    std = None if rule.variance is None else rule.variance**0.5
    errors = rule.part_errors | (rule.split.errors if rule.split else {})
    z = 0.0 if rule.agreement is None else rule.agreement.z

    def numeric(
        value: float | None, digits: int = 3, error: float | None = None
    ) -> tuple[str, float]:
        text = number(value, digits) + ("" if error is None else f" ± {number(error, digits)}")
        return text, -1.0 if value is None else value

    def cause(name: str) -> tuple[str, float]:
        return numeric(rule.parts.get(name), error=errors.get(name))

    return [
        (rule.method, rule.method),
        (f"{100 * point.progress:.0f} %", point.progress),
        (f"{100 * rule.kept_fraction:.1f} %", rule.kept_fraction),
        numeric(rule.cosine),
        numeric(rule.scale),
        numeric(rule.scale_predicted),
        numeric(rule.bias, error=rule.bias_error),
        *map(cause, ("ranking", *SCORE_CAUSES, "normalisation")),
        numeric(std),
        numeric(rule.bias_to_variance, 2),
        (agreement_text(rule), z),
        (f"{100 * point.test_accuracy:.1f} %", point.test_accuracy),
        numeric(point.training_seconds, 1),
        (str(point.never_used), point.never_used),
    ]


def _theory(document: Document) -> list[dict[str, Any]]:
    rows = []
    for point, rule in document.rows():
        surrogate, terms = rule.surrogate, rule.theorem_four
        rows.append(
            {
                "method": f"{rule.method}, {100 * point.progress:.0f} %",
                "loss": number(point.audit.mean_loss),
                "surrogate": number(surrogate.loss),
                "gap": number(surrogate.gap),
                "chi": number(surrogate.chi_bound),
                "tv": number(surrogate.tv_bound),
                "cs": number(terms and terms.spectrum_deviation),
                "wasserstein": number(terms and terms.wasserstein_term),
                "fluctuation": number(terms and terms.fluctuation),
            }
        )
    return rows


def _never_seen(document: Document) -> list[list[str]]:
    """Method, then "unreachable / never used" of all samples and, if they are few, by class."""
    rows = []
    for point, rule in document.last():
        counts = [(rule.unreachable, point.never_used)]
        unreachable, unused = rule.unreachable_by_class, point.never_used_by_class
        if unreachable and unused and len(unreachable) <= MOST_CLASSES:
            counts += zip(unreachable, unused, strict=True)
        rows.append([rule.method, *(f"{now} / {so_far}" for now, so_far in counts)])
    return rows


def _epoch(document: Document) -> list[list[str]]:
    rows = []
    for point, rule in document.rows():
        if rule.epoch is None:
            continue
        parts = [number(value) for value in rule.epoch.parts.values()]
        name = f"{rule.method}, {100 * point.progress:.0f} %"
        rows.append([name, *parts, number(rule.epoch.bias), number(rule.epoch.cosine)])
    return rows


def render_page(
    document: Document,
    images: Mapping[str, bytes],
    captions: Mapping[str, str],
    alternatives: Mapping[str, str],
    widths: Mapping[str, float],
) -> str:
    """The page; `images` are PNG, `widths` in inches, with captions and text alternatives."""
    template = (files("orderdp_train.report") / "page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    rows = [_cells(point, rule) for point, rule in document.rows()]
    shown = [i for i, cells in enumerate(zip(*rows, strict=True)) if {c for c, _ in cells} != {"–"}]
    columns = list(COLUMNS.items())
    epochs = [rule.epoch for _, rule in document.rows() if rule.epoch is not None]
    return environment.from_string(template).render(
        verdicts=verdicts(document),
        columns=[columns[i] for i in shown],
        rows=[[row[i] for i in shown] for row in rows],
        splits=splits_in_words(document),
        figures=[
            {
                "name": name,
                "source": "data:image/png;base64," + base64.b64encode(image).decode(),
                "caption": captions[name],
                "alternative": alternatives[name],
                "width": round(9 * widths[name], 1),
            }
            for name, image in images.items()
        ],
        theory=_theory(document),
        never_seen=_never_seen(document),
        epoch_causes=list(epochs[0].parts) if epochs else [],
        epoch_rows=_epoch(document),
        view=view_in_words(document),
        slow=sorted({sentence for point in document.points for sentence in point.audit.slow}),
        config=_flat(document.config),
        versions=document.versions,
        command=document.command,
        samples=document.points[0].audit.n,
        parameters=document.points[0].audit.parameters,
    )


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            flat[prefix + name] = text
    return flat
