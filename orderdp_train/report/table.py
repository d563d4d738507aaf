"""The table of an audit, in the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from orderdp_train.auditing.result import RuleAudit
from orderdp_train.report.document import Document


def legend(document: Document) -> str:
    """What the columns of the table are, a line each."""
    split = is_split(document)
    stored = (
        {
            "  noise": "scores of one pass as in training − fresh scores",
            "  surv.": "what the rule would store if the model stood still − those",
            "  stale": "stored scores − those",
        }
        if split
        else {"  stale": "stored − fresh scores"}
    )
    lines = {
        "cosine, scale": "direction and length of E g̃ against ∇L",
        "bias": f"‖E g̃ − ∇L‖ / ‖∇L‖, the norm of a sum of {'five' if split else 'three'} vectors:",
        "  ranking": "fresh scores − ∇L",
        **stored,
        "  norm.": "weights that do not sum to 1",
        "std": "‖·‖ of one selection's noise",
        "z": "Monte Carlo against the closed form",
    }
    shown = [f"{name:<15}{meaning}" for name, meaning in lines.items()]
    return "\n".join([*shown, view_in_words(document)])


def is_split(document: Document) -> bool:
    """Whether what stored scores do is split by cause for some rule."""
    return any(rule.split is not None for _, rule in document.rows())


def splits_in_words(document: Document) -> list[str]:
    """What of a bias at the last point has an uncertainty, over views and by replays."""
    sentences = []
    for _, rule in document.last():
        if rule.bias_error is not None:
            causes = ", ".join(
                f"{cause} {number(rule.parts[cause])} ± {number(error)}"
                for cause, error in rule.part_errors.items()
                if rule.split is None or cause not in rule.split.errors
            )
            sentences.append(
                f"{rule.method}: over redraws of the augmentation the bias is {number(rule.bias)} "
                f"± {number(rule.bias_error)}, of which {causes}."
            )
        if rule.split is not None:
            causes = ", ".join(
                f"{cause} {number(rule.parts[cause])} ± {number(error)}"
                for cause, error in rule.split.errors.items()
            )
            sentences.append(
                f"{rule.method}: stored scores move the gradient by {number(rule.split.whole)}, "
                f"the sum of {causes} ({rule.split.replays} replays, {rule.split.passes:.0f} "
                "forward passes)."
            )
    return sentences


def view_in_words(document: Document) -> str:
    """Which samples the gradients of an audit are of, in which precision and mode, and its cost."""
    point = document.points[0]
    views, precision = point.audit.views, point.precision or "the run's precision"
    of = "plain images" if views is None else f"augmented images, the mean over {views} redraws,"
    passes = [p.audit.passes for p in document.points if p.audit.passes is not None]
    cost = f" An audit took up to {max(passes):.1f} passes over the data." if passes else ""
    sampled = any(rule.bias_error is not None or rule.split for _, rule in document.rows())
    exact = "What has no ±" if sampled else "Every bias"
    return (
        f"Gradients are of {of} in {precision}, with normalisation layers and dropout in eval "
        f"mode. {exact} is exact to rounding.{cost}"
    )


def number(value: float | None, digits: int = 3) -> str:
    """A number of the table; a dash for one that does not exist."""
    return "–" if value is None else f"{value:.{digits}f}"


def agreement_text(rule: RuleAudit) -> str:
    """The z-score, marked if it is an alarm."""
    if rule.agreement is None:
        return "–"
    if rule.agreement.dimensions == 0 and not rule.agreement.alarm:
        return "exact"
    return f"{rule.agreement.z:.1f}{' !' if rule.agreement.alarm else ''}"


def terminal_table(document: Document) -> Table:
    """One row a point and rule, a section a rule; 100 columns are enough."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("", no_wrap=True)
    # What the split adds to the width, the columns that are no part of the audit give back.
    split = is_split(document)
    noise, rest = (("noise", "surv."), ()) if split else ((), ("acc.", "sec."))
    names = ("at", "kept", "cosine", "scale", "bias", "ranking", *noise, "stale", "norm.", "std")
    for name in (*names, "z", *rest):
        table.add_column(name, justify="right", no_wrap=True)
    for method, rows in document.series().items():
        if len(rows) > 1:
            table.add_section()
        for i, (point, rule) in enumerate(rows):
            noise = [number(rule.parts.get(cause)) for cause in ("score noise", "survivorship")]
            rest = (f"{100 * point.test_accuracy:.1f} %", number(point.training_seconds, 1))
            table.add_row(
                Text(method if i == 0 else "", style="bold"),
                f"{100 * point.progress:.0f} %",
                f"{100 * rule.kept_fraction:.0f} %",
                number(rule.cosine),
                number(rule.scale),
                number(rule.bias),
                number(rule.parts["ranking"]),
                *(noise if split else ()),
                number(rule.parts["staleness"]),
                number(rule.parts["normalisation"]),
                number(None if rule.variance is None else rule.variance**0.5),
                agreement_text(rule),
                *(() if split else rest),
            )
    return table
