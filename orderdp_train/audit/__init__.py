"""Audits of the gradient that a data-pruning rule really follows."""

from orderdp_train.audit.agreement import Agreement
from orderdp_train.audit.checkpoint import audit
from orderdp_train.audit.population import Population
from orderdp_train.audit.result import Audit, Layer, RuleAudit, Surrogate
from orderdp_train.audit.walk import expected_gradients, stream_expected_gradients

__all__ = [
    "Agreement",
    "Audit",
    "Layer",
    "Population",
    "RuleAudit",
    "Surrogate",
    "audit",
    "expected_gradients",
    "stream_expected_gradients",
]
