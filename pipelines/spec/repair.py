"""Guess what a misspelt file meant, only so that its other problems can be told in the same breath."""

from __future__ import annotations

import copy
from typing import Any

from pydantic import BaseModel, ValidationError

from pipelines.spec.complaints import Schema, located, schema_at
from pipelines.spec.document import Path
from pipelines.spec.nearest import nearest


def repaired(error: ValidationError, model: type[BaseModel], value: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of `value` with misspelt keys and words put right and what is wrong otherwise left out.

    The result may still not be valid, and is never used for a run.
    """
    schema, result = model.model_json_schema(), copy.deepcopy(value)
    for detail in error.errors(include_url=False):
        path = located(detail["loc"], schema, value)
        if path and detail["type"] != "missing":
            _repair(result, path, detail["type"], schema_at(schema, path[:-1], value), schema_at(schema, path, value))
    return result


def _repair(root: dict[str, Any], path: Path, kind: str, around: Schema, schema: Schema) -> None:
    inner: Any = root
    for part in path[:-1]:
        inner = inner[part]
    last: Any = path[-1]
    if not isinstance(inner, dict) or last not in inner:
        return
    wrong = inner.pop(last)
    if kind == "extra_forbidden" and (key := nearest(str(last), around.get("properties", {}))) and key not in inner:
        inner[key] = wrong
    elif kind == "literal_error" and (word := nearest(str(wrong), schema.get("enum") or [schema["const"]])):
        inner[last] = word
