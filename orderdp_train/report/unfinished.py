"""The points that an audit has done so far, so that a killed one goes on where it was."""

from __future__ import annotations

from pathlib import Path

from orderdp_theory.common.errors import InputError
from orderdp_train.auditing.point import AuditedPoint
from orderdp_train.auditing.result import plain
from orderdp_train.report.document import Document
from orderdp_train.report.folder import UNFINISHED
from orderdp_train.report.stored import build
from orderdp_train.runs.checkpoint import load_checkpoint, save_checkpoint


class Unfinished:
    """The points done of the audit that will make `document`, kept in its output folder.

    Raises `InputError` if the folder holds the beginning of another audit.
    """

    def __init__(self, folder: Path, document: Document) -> None:
        self.path = folder / UNFINISHED
        self.of = document.to_json()
        self.points: list[AuditedPoint] = []
        if not self.path.exists():
            return
        stored = load_checkpoint(self.path)
        if stored.get("of") != self.of or "points" not in stored:
            raise InputError(
                f"{folder} holds the beginning of another audit: give another --out, or remove "
                f"{self.path} to begin anew"
            )
        self.points = [build(AuditedPoint, point, samples=True) for point in stored["points"]]

    def add(self, point: AuditedPoint) -> None:
        """Keep one more point; it is on the disk when this returns."""
        self.points.append(point)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        points = [plain(p, samples=True) for p in self.points]
        save_checkpoint(self.path, {"of": self.of, "points": points})
