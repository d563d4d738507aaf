"""Read back what audits left in their folders; all errors are `InputError`."""

import json
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from orderdp_theory.common.errors import InputError
from orderdp_train.report.document import FORMAT, FORMATS, Document
from orderdp_train.report.folder import MARK


def find_audit(folder: Path) -> Path | None:
    """The document of an audit that `folder` is, or that lies in it as `audit`."""
    places = (folder / MARK, folder / "audit" / MARK)
    return next((path for path in places if path.is_file()), None)


def read_audit(path: Path) -> Document:
    """The inverse of `Document.to_json`."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values.get("format", 1) if isinstance(values, dict) else FORMAT
        if version not in FORMATS:
            known = " and ".join(map(str, FORMATS))
            raise TypeError(
                f"it is of version {version} and this program reads {known}; audit again"
            )
        return build(Document, values)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is not the document of an audit: {error}") from None


def build(kind: Any, value: Any, *, samples: bool = False) -> Any:
    """`value`, from `plain`, as the annotated `kind`; what it lacks has its default."""
    if kind is Any:
        return value
    if isinstance(kind, type) and is_dataclass(kind):
        stored = {field.name for field in fields(kind) if samples or not field.metadata}
        hints = {name: hint for name, hint in get_type_hints(kind).items() if name in stored}
        needed = {
            field.name
            for field in fields(kind)
            if field.name in stored and field.default is field.default_factory is MISSING
        }
        if not isinstance(value, dict) or not needed <= set(value) <= set(hints):
            raise TypeError(f"{kind.__name__} needs {', '.join(hints)}")
        return kind(**{name: build(hints[name], value[name], samples=samples) for name in value})
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return None if value is None else build(arguments[0], value, samples=samples)
    if origin is list and isinstance(value, list):
        return [build(arguments[0], item, samples=samples) for item in value]
    if origin is dict and isinstance(value, dict):
        return {name: build(arguments[1], item, samples=samples) for name, item in value.items()}
    if isinstance(value, (int, float) if kind is float else origin or kind):
        return value
    raise TypeError(f"{value!r} where {getattr(kind, '__name__', kind)} belongs")
