"""Know Great Expectations' vocabulary without importing it (which takes seconds): from the schemas that it ships.

The few types that it knows and ships no schema for are listed here; a test holds both against its own registry.
"""

from __future__ import annotations

import datetime
import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

TYPES_WITHOUT_SCHEMA: dict[str, dict[str, bool]] = {
    "expect_column_values_to_be_dateutil_parseable": {},
    "expect_column_values_to_be_decreasing": {"strictly": False},
    "expect_column_values_to_be_increasing": {"strictly": False},
    "expect_column_values_to_be_json_parseable": {},
    "expect_column_values_to_match_json_schema": {"json_schema": True},
}
"""Type of expectation, its kwargs beside those of every column map expectation, and whether each must be given."""

TYPES_FOR_DATABASES_ONLY = frozenset(
    {
        "expect_column_values_to_match_like_pattern",
        "expect_column_values_to_match_like_pattern_list",
        "expect_column_values_to_not_match_like_pattern",
        "expect_column_values_to_not_match_like_pattern_list",
        "expect_query_results_to_match_comparison",
        "expect_table_row_count_to_equal_other_table",
        "unexpected_rows_expectation",
    }
)
"""Types that Great Expectations cannot judge on files: they need a database, or a second table."""

# Tandem sets these for every expectation, or has a key of its own for them.
_RESERVED = frozenset(
    {
        "batch_id",
        "catch_exceptions",
        "id",
        "library_metadata",
        "metadata",
        "rendered_content",
        "result_format",
        "severity",
        "windows",
    }
)

_OF_THE_FORM = frozenset({"multipleOf", "minLength", "minItems", "uniqueItems", "items"})


@dataclass(frozen=True)
class ExpectationType:
    """What may be said in the kwargs of one type of expectation.

    `schemas` holds the JSON schema of each kwarg, empty where nothing is known of its values.
    """

    name: str
    required: tuple[str, ...]
    schemas: dict[str, dict[str, Any]] = field(repr=False)

    def value_problem(self, kwarg: str, value: Any) -> str | None:
        """Return what is wrong with a kwarg's value, or None."""
        error = best_match(Draft7Validator(self.schemas[kwarg]).iter_errors(_to_json(value)))
        if error is None:
            return None
        return str(error.message) if error.validator != "anyOf" else f"of type {_types(error.schema)}"


@cache
def expectation_types() -> dict[str, ExpectationType]:
    """Return every type of expectation that can be judged on files, by name."""
    spec = importlib.util.find_spec("great_expectations")
    assert spec is not None, "great-expectations is a dependency"
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "expectations" / "core" / "schemas"
    types = [_read(path) for path in sorted(folder.glob("*.json")) if path.name != "index.json"]
    column_map = next(kind for kind in types if kind.name == "expect_column_values_to_be_unique").schemas
    for name, kwargs in TYPES_WITHOUT_SCHEMA.items():
        required = ("column", *(kwarg for kwarg, is_required in kwargs.items() if is_required))
        types.append(ExpectationType(name, required, column_map | {kwarg: {} for kwarg in kwargs}))
    return {kind.name: kind for kind in types if kind.name not in TYPES_FOR_DATABASES_ONLY}


def _read(path: Path) -> ExpectationType:
    schema = json.loads(path.read_text(encoding="utf-8"))
    properties = schema["properties"]
    schemas = {
        kwarg: _relaxed(kind) | {"definitions": schema.get("definitions", {})}
        for kwarg, kind in properties.items()
        if kwarg not in _RESERVED
    }
    name = properties["metadata"]["properties"]["expectation_type"]["const"]
    return ExpectationType(name, tuple(schema.get("required", ())), schemas)


def _relaxed(kind: dict[str, Any]) -> dict[str, Any]:
    """Drop what a schema says for a web form and the library does not hold to, such as `mostly` by hundredths."""
    kept = {key: value for key, value in kind.items() if key not in _OF_THE_FORM}
    choices = [*kept.pop("anyOf", []), *kept.pop("oneOf", [])]
    return {**kept, "anyOf": [_relaxed(choice) for choice in choices]} if choices else kept


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime.date | datetime.datetime):  # YAML reads bare dates as dates
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [_to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    return value


def _types(schema: Mapping[str, Any]) -> str:
    kinds = set(_each_type(schema))
    return " or ".join(sorted(kinds - {"object"} or kinds))


def _each_type(schema: Mapping[str, Any]) -> Iterator[str]:
    if "type" in schema:
        yield str(schema["type"])
    for choice in schema.get("anyOf", ()):
        yield from _each_type(choice)
