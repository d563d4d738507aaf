"""Read back what runs and audits left in their folders; all errors are ``ValueError``."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from orderdp_train.report.document import Document
from orderdp_train.report.folder import MARK
from orderdp_train.reproduce.sweep import History
from orderdp_train.run import RunConfig, read_config

# The parts of a row of metrics that figures are drawn from.
NUMBERS = (
    *("test_accuracy", "grad_norm_mean", "grad_norm_std", "kept"),
    *("seconds_selection", "seconds_training"),
)


def read_run(folder: Path) -> tuple[RunConfig, History]:
    """Configuration and history of the run in ``folder``, finished or not."""
    config = read_config(folder)
    metrics, usage = folder / "metrics.jsonl", folder / "usage.npy"
    if not (metrics.is_file() and usage.is_file()):
        raise ValueError(f"{folder} has no finished epoch to draw; let the run go on")
    try:
        rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
        ordered = [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
        numbers = np.array([[row[name] for name in NUMBERS] for row in rows], dtype=float)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{metrics} does not hold the metrics of a run: {error}") from None
    if not (rows and ordered and np.isfinite(numbers).all()):
        raise ValueError(f"{metrics} does not hold one row of finite numbers for each epoch")
    try:
        counts = np.load(usage)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{usage} is not an array: {error}") from None
    if counts.ndim != 1 or counts.dtype.kind not in "iu":
        raise ValueError(f"{usage} does not hold one count for each sample")
    return config, History(rows, counts, [])


def find_audit(folder: Path) -> Path | None:
    """The document of an audit that ``folder`` is, or that lies in it as ``audit``."""
    places = (folder / MARK, folder / "audit" / MARK)
    return next((path for path in places if path.is_file()), None)


def read_audit(path: Path) -> Document:
    """The inverse of ``Document.to_json``."""
    try:
        return _build(Document, json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is not the document of an audit: {error}") from None


def _build(kind: Any, value: Any) -> Any:
    """``value``, from JSON, as the annotated type ``kind``."""
    if kind is Any:
        return value
    if isinstance(kind, type) and is_dataclass(kind):
        stored = {field.name for field in fields(kind) if not field.metadata}
        hints = {name: hint for name, hint in get_type_hints(kind).items() if name in stored}
        if not isinstance(value, dict) or set(value) != set(hints):
            raise TypeError(f"{kind.__name__} needs {', '.join(hints)}")
        return kind(**{name: _build(hints[name], value[name]) for name in hints})
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return None if value is None else _build(arguments[0], value)
    if origin is list and isinstance(value, list):
        return [_build(arguments[0], item) for item in value]
    if origin is dict and isinstance(value, dict):
        return {name: _build(arguments[1], item) for name, item in value.items()}
    if isinstance(value, (int, float) if kind is float else origin or kind):
        return value
    raise TypeError(f"{value!r} where {getattr(kind, '__name__', kind)} belongs")
