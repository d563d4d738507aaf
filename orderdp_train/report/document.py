"""What a report is made from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orderdp_train.audit.methods import Checkpoint
from orderdp_train.audit.result import RuleAudit, plain


@dataclass(frozen=True)
class Document:
    """Checkpoints that were audited, with all that is needed to repeat it.

    ``command`` is the command line that gives the same numbers again, ``config`` plain values.
    """

    command: str
    config: dict[str, Any]
    versions: dict[str, str]
    checkpoints: list[Checkpoint]

    def rows(self) -> Iterator[tuple[Checkpoint, RuleAudit]]:
        """Every rule at every checkpoint, in the order of the audit."""
        for checkpoint in self.checkpoints:
            for rule in checkpoint.audit.rules:
                yield checkpoint, rule

    def last(self) -> list[tuple[Checkpoint, RuleAudit]]:
        """Each rule where its training was audited last."""
        return list({rule.method: (checkpoint, rule) for checkpoint, rule in self.rows()}.values())

    def series(self) -> dict[str, list[tuple[Checkpoint, RuleAudit]]]:
        """Rules by name, each over its training."""
        found: dict[str, list[tuple[Checkpoint, RuleAudit]]] = {}
        for checkpoint, rule in self.rows():
            found.setdefault(rule.method, []).append((checkpoint, rule))
        return found

    def to_json(self) -> str:
        """Every number of the audit; the same audit gives the same text but for seconds."""
        return json.dumps(plain(self), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
