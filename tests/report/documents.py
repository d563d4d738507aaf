"""Small made-up documents for the report's tests."""

from dataclasses import replace
from typing import Any

from orderdp_train.auditing import Agreement, Audit, Layer, RuleAudit, Surrogate
from orderdp_train.auditing.point import AuditedPoint
from orderdp_train.auditing.result import ScoreSplit
from orderdp_train.report import Document
from orderdp_train.rules import RULES

PARTS = {"ranking": 0.3, "staleness": 0.1, "normalisation": 0.0}


def rule(method: str, bias: float) -> RuleAudit:
    return RuleAudit(
        method=method,
        kept=300,
        kept_fraction=0.3,
        cosine=0.9,
        scale=1.2,
        scale_predicted=5 / 3,
        bias=bias,
        parts=PARTS,
        parts_residual=0.0,
        variance=0.04,
        bias_to_variance=bias**2 / 0.04,
        agreement=Agreement(400, 9, 0.4, 0.8, 0.001, False),
        monte_carlo=0.01,
        monte_carlo_expected=0.01,
        surrogate=Surrogate(1.2, 0.2, 0.8, 0.5, 0.4, 0.9, 600.0),
        unreachable=0,
        unreachable_by_class=[0, 0],
        layers=[Layer("weight", 0.9, 1.2, bias, 0.04), Layer("bias", 0.9, 1.2, bias, 0.04)],
        theorem_four=None,
        epoch=None,
    )


def tiny_document(rules: int | None = None) -> Document:
    """Eight known methods at two points, or ``rules`` unnamed ones at a single point."""
    if rules is not None:
        audits = [rule(f"design {i}", 0.1 * (i + 1)) for i in range(rules)]
        return Document("orderdp-train audit", {}, {}, [point("full data", 1.0, audits)])
    points = [
        point(name, progress, [rule(name, 0.1 * (i + 1))])
        for i, name in enumerate(cls.label for cls in list(RULES.values())[:8])
        for progress in (0.5, 1.0)
    ]
    return Document("orderdp-train audit --seed=0", {"seed": 0}, {"torch": "2"}, points)


def point(method: str, progress: float, rules: list[RuleAudit]) -> AuditedPoint:
    audit = Audit(1000, 50, 1.0, 0.6, 2.0, 0.5, rules)
    return AuditedPoint(method, round(10 * progress), progress, 0.9, 12.5, 3, [1, 2], audit)


def replace_rule(document: Document, method: str, **changes: Any) -> Document:
    """The document with fields of one method's results changed at every point."""
    points = [
        replace(
            point,
            audit=replace(
                point.audit,
                rules=[
                    replace(r, **changes) if r.method == method else r for r in point.audit.rules
                ],
            ),
        )
        for point in document.points
    ]
    return replace(document, points=points)


ERRORS = {"score noise": 0.011, "survivorship": 0.022, "staleness": 0.033}


def split_document() -> Document:
    """Two points of a method whose stored scores are split."""
    parts = {**PARTS, "score noise": 0.2, "survivorship": 0.4}
    split = ScoreSplit(4, 12.3, 0.5, ERRORS)
    audited = replace(rule("OrderDP (stored scores)", 0.2), parts=parts, split=split)
    points = [point(audited.method, progress, [audited]) for progress in (0.5, 1.0)]
    return Document("orderdp-train audit --run=run", {}, {"torch": "2"}, points)
