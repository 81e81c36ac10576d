"""Say what pydantic found wrong in a file as problems: line, key, what was found, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from pipelines.errors import Problem
from pipelines.spec.document import Document, Path
from pipelines.spec.nearest import choices, nearest

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_LONGEST_SHOWN = 60
Schema = Mapping[str, Any]
_PLAIN_WORDS = {
    "a valid tuple": "a list",
    "a valid list": "a list",
    "a valid dictionary": "a mapping",
    "a valid string": "text",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a finite number": "a finite number",
    "a valid boolean": "true or false",
}


def problems_of(error: ValidationError, model: type[BaseModel], document: Document) -> list[Problem]:
    """Return every problem of a validation error."""
    schema = model.model_json_schema()
    details = error.errors(include_url=False)
    misspelt = set(_misspelt(details, schema, document.value))
    return [
        _problem(detail, schema, document)
        for detail in details
        if detail["type"] != "missing" or located(detail["loc"], schema, document.value) not in misspelt
    ]


def shown(value: Any) -> str:
    """Return a value as a reader of the file knows it, short, and without the credentials a URL may hold.

    >>> shown(True), shown(["a", "b"]), shown("postgresql://me:secret@host/db")
    ('true', 'a list of 2', "'postgresql://***@host/db'")
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"a mapping with {', '.join(map(str, value)) or 'no keys'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = _CREDENTIALS.sub("***", str(value))
    text = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    return repr(text) if isinstance(value, str) else text


def _problem(detail: Any, schema: Schema, document: Document) -> Problem:
    path = located(detail["loc"], schema, document.value)
    found, allowed = shown(detail["input"]), _allowed(detail, schema_at(schema, path, document.value))
    if detail["type"] == "missing":
        return document.problem(path, "nothing", allowed)
    if detail["type"] == "extra_forbidden":
        siblings = schema_at(schema, path[:-1], document.value).get("properties", {})
        return document.problem(path, f"unknown key {str(path[-1])!r}", choices(str(path[-1]), siblings))
    if detail["type"].startswith("union_tag"):
        tag = str(detail["ctx"]["discriminator"]).strip("'")
        value = detail["input"].get(tag) if isinstance(detail["input"], Mapping) else None
        return document.problem((*path, tag), shown(value), allowed)
    return document.problem(path, found, allowed)


def _allowed(detail: Any, schema: Mapping[str, Any]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return _described(schema)
    if kind == "literal_error":
        return choices(str(detail["input"]), schema.get("enum") or [schema["const"]])
    if kind == "union_tag_invalid":
        return choices(str(context["tag"]), re.findall(r"'(.*?)'", context["expected_tags"]))
    if kind == "union_tag_not_found":
        return f"one of: {', '.join(_kinds(schema))}"
    if kind == "string_pattern_mismatch":
        return schema.get("description") or f"text like {context['pattern']}"
    if kind == "value_error":
        return str(context["error"])
    if kind in ("model_type", "model_attributes_type"):
        return f"a mapping of {', '.join(schema.get('properties', {}))}"
    text = str(detail["msg"]).removeprefix("Input should be ")
    for theirs, ours in _PLAIN_WORDS.items():
        text = text.replace(theirs, ours)
    return text.partition(", unable to")[0].partition(", got a number")[0]


def _described(schema: Mapping[str, Any]) -> str:
    if "properties" in schema:
        return f"a mapping of {', '.join(schema['properties'])}"
    if "enum" in schema:
        return f"one of: {', '.join(map(str, schema['enum']))}"
    return str(schema.get("description") or schema.get("type") or "a value")


def _misspelt(details: Iterable[Any], schema: Schema, value: Any) -> Iterator[Path]:
    """Yield the missing keys that an unknown key beside them was surely meant to be: one problem, not two."""
    for detail in details:
        if detail["type"] == "extra_forbidden":
            path = located(detail["loc"], schema, value)
            match = nearest(str(path[-1]), schema_at(schema, path[:-1], value).get("properties", {}))
            if match is not None:
                yield (*path[:-1], match)


def located(location: Iterable[str | int], schema: Schema, value: Any) -> Path:
    """Return pydantic's location without the parts that are not in the file: the kind of a union, the mark of a key."""
    path: Path = ()
    for part in location:
        union = schema_at(schema, path, value, choose=False)
        if part != "[key]" and not ("oneOf" in union and part in _kinds(union)):
            path = (*path, part)
    return path


def schema_at(schema: Schema, path: Path, value: Any, choose: bool = True) -> Schema:
    """Return the JSON schema of what is at `path`; of a union, that of the kind which the value names."""
    node = schema
    for part in path:
        node = _child(_chosen(_plain(node, schema), value, schema), part)
        value = _value_child(value, part)
    node = _plain(node, schema)
    return _chosen(node, value, schema) if choose else node


def _plain(node: Schema, schema: Schema) -> Schema:
    """Follow references and drop `null`, which stands for a key that may be left out; the outer description stays."""
    while "$ref" in node or "anyOf" in node:
        options = [option for option in node.get("anyOf", []) if option.get("type") != "null"]
        inner = options[0] if options else schema["$defs"][str(node["$ref"]).rpartition("/")[2]]
        node = {**inner, **{key: node[key] for key in ("description",) if key in node}}
    return node


def _chosen(node: Schema, value: Any, schema: Schema) -> Schema:
    kinds = _kinds(node)
    kind = value.get(node["discriminator"]["propertyName"]) if kinds and isinstance(value, Mapping) else None
    return _plain({"$ref": kinds[kind]}, schema) if isinstance(kind, str) and kind in kinds else node


def _kinds(node: Schema) -> Mapping[Any, str]:
    found: Mapping[Any, str] = node.get("discriminator", {}).get("mapping", {})
    return found


def _child(node: Schema, part: str | int) -> Schema:
    found = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
    found = found if found is not None else node.get("additionalProperties")
    return found if isinstance(found, dict) else {}


def _value_child(value: Any, part: str | int) -> Any:
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return None
