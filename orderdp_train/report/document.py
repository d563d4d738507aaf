"""What a report is made from."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from orderdp_train.auditing.point import AuditedPoint
from orderdp_train.auditing.result import RuleAudit, plain

FORMAT = 3
FORMATS = (2, FORMAT)
"""Those that can be read; in version 2 no staleness is split."""


@dataclass(frozen=True)
class Document:
    """Points that were audited, with all that is needed to repeat it.

    `command` is the command line that gives the same numbers again, `config` plain values.
    """

    command: str
    config: dict[str, Any]
    versions: dict[str, str]
    points: list[AuditedPoint]
    format: int = FORMAT

    def rows(self) -> Iterator[tuple[AuditedPoint, RuleAudit]]:
        """Every rule at every point, in the order of the audit."""
        for point in self.points:
            for rule in point.audit.rules:
                yield point, rule

    def last(self) -> list[tuple[AuditedPoint, RuleAudit]]:
        """Each rule where its training was audited last."""
        return list({rule.method: (point, rule) for point, rule in self.rows()}.values())

    def series(self) -> dict[str, list[tuple[AuditedPoint, RuleAudit]]]:
        """Rules by name, each over its training."""
        found: dict[str, list[tuple[AuditedPoint, RuleAudit]]] = {}
        for point, rule in self.rows():
            found.setdefault(rule.method, []).append((point, rule))
        return found

    def to_json(self) -> str:
        """Every number of the audit; the same audit gives the same text but for seconds."""
        return json.dumps(plain(self), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    packages = {name: version(name) for name in ("orderdp", "torch", "numpy", "scipy")}
    return {"python": platform.python_version(), "machine": platform.machine(), **packages}
