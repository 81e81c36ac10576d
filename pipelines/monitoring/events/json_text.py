"""Read JSON that a stranger has written: bounded, and without what JSON itself does not know."""

from __future__ import annotations

import json
import math
from typing import Any

from pipelines.errors import UsageError

LARGEST_BYTES = 1_000_000
DEEPEST = 32


def read_json(data: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        UsageError: If it is no UTF-8, no JSON, holds a key twice, a number without a value or half a character, or is
            nested deeper than `DEEPEST`.
    """
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_each_key_once, parse_constant=_no_constant, parse_float=_finite
        )
    except UnicodeDecodeError as error:
        raise UsageError(f"The body is not UTF-8: {error.reason} at byte {error.start}. Nothing was done.") from error
    except RecursionError as error:
        raise UsageError(_too_deep()) from error
    except ValueError as error:  # JSON's own, and that of a number of more than 4,300 digits
        raise UsageError(f"The body is not JSON: {error}. Nothing was done.") from error
    _check(value)
    return value


def _check(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        for item in level:
            for text in item if isinstance(item, dict) else [item]:
                _check_text(text)
        level = [inner for item in level if isinstance(item, dict | list) for inner in _inside(item)]
        if not level:
            return
    raise UsageError(_too_deep())


def _inside(item: dict[str, Any] | list[Any]) -> list[Any]:
    return list(item.values()) if isinstance(item, dict) else item


def _check_text(text: Any) -> None:
    if isinstance(text, str):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError("The body holds half a character (a lone surrogate). Nothing was done.") from error


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UsageError(f"The body holds the key {twice[:100]!r} twice. Nothing was done.")
    return value


def _no_constant(text: str) -> float:
    raise UsageError(f"The body holds {text}, which is no JSON. Nothing was done.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise UsageError(f"The body holds a number that is too large: {text[:40]}. Nothing was done.")
    return value


def _too_deep() -> str:
    return f"The body is nested deeper than {DEEPEST} levels. Nothing was done."
