"""Audits of the gradient that a data-pruning rule really follows."""

from orderdp_train.auditing.agreement import Agreement
from orderdp_train.auditing.one_model import audit
from orderdp_train.auditing.point import AuditedPoint, Effort, Point, audit_point
from orderdp_train.auditing.population import (
    Population,
    cross_entropy,
    population_of_images,
    supervised,
)
from orderdp_train.auditing.result import Audit, Layer, RuleAudit, Surrogate
from orderdp_train.auditing.walk import expected_gradients, parts

__all__ = [
    "Agreement",
    "Audit",
    "AuditedPoint",
    "Effort",
    "Layer",
    "Point",
    "Population",
    "RuleAudit",
    "Surrogate",
    "audit",
    "audit_point",
    "cross_entropy",
    "expected_gradients",
    "parts",
    "population_of_images",
    "supervised",
]
