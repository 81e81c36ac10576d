"""Say in words what a check asks, what was seen, and what a run's data failed on."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from pipelines.data.quality.suite import COLUMN_KWARGS
from pipelines.spec.quality import ExpectationSpec

_MOST_VALUES = 8
_MOST_LETTERS = 120

_UNSAID = frozenset({*COLUMN_KWARGS, "mostly", "meta", "notes", "description", "condition_parser"})


def required_words(spec: ExpectationSpec, counts_rows: bool) -> str:
    """Return what an expectation asks, from its kwargs.

    >>> kwargs = {"column": "distance", "min_value": 50, "strict_min": True, "mostly": 0.999}
    >>> required_words(ExpectationSpec(type="expect_column_values_to_be_between", kwargs=kwargs), counts_rows=True)
    'more than 50; for at least 99.9 % of rows'
    """
    kwargs = {key: value for key, value in spec.kwargs.items() if value is not None}
    low, high = kwargs.pop("min_value", None), kwargs.pop("max_value", None)
    strict_low, strict_high = kwargs.pop("strict_min", False), kwargs.pop("strict_max", False)
    parts = []
    if low is not None:
        parts.append(f"{'more than' if strict_low else 'at least'} {value_words(low)}")
    if high is not None:
        parts.append(f"{'less than' if strict_high else 'at most'} {value_words(high)}")
    parts = [" and ".join(parts)] if parts else []
    parts += [f"{key} {value_words(value)}" for key, value in kwargs.items() if key not in _UNSAID]
    parts = parts or [spec.type.removeprefix("expect_").removeprefix("column_").replace("_", " ")]
    if counts_rows:
        mostly = kwargs.get("mostly", 1)
        parts.append("for every row" if mostly == 1 else f"for at least {percent(mostly)} of rows")
    return "; ".join(parts)


def rows_words(num_bad: int, num_judged: int) -> str:
    """Return how many rows are bad.

    >>> rows_words(12, 27004)
    '12 of 27,004 rows are bad (0.044 %)'
    """
    if num_bad == 0:
        return f"none of {num_judged:,} rows is bad"
    return f"{num_bad:,} of {num_judged:,} rows are bad ({percent(num_bad / max(num_judged, 1))})"


def percent(share: float) -> str:
    """Return a share in per cent, to two digits that matter.

    >>> percent(0.999), percent(0.000444), percent(0.05), percent(1.0)
    ('99.9 %', '0.044 %', '5 %', '100 %')
    """
    return f"{float(f'{100 * share:.2g}') if share < 0.1 else float(f'{100 * share:.4g}'):g} %"


def value_words(value: Any) -> str:
    """Return one value, or a few, short enough for a line.

    >>> value_words(["EWR", "JFK"]), value_words(1234567.891), value_words(None)
    ('EWR, JFK', '1234567.9', 'missing')
    """
    if value is None or value != value:
        return "missing"
    if isinstance(value, bool | str):
        text = str(value)
        return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"
    if isinstance(value, int):
        return str(value)  # no commas: it may be an identifier or a year
    if isinstance(value, float):
        return f"{value:.1f}" if 1e5 <= abs(value) < 1e15 else f"{value:.6g}"
    if isinstance(value, datetime.date):
        return value.isoformat(sep=" ") if isinstance(value, datetime.datetime) else value.isoformat()
    if isinstance(value, Mapping):
        return value_words("; ".join(f"{key}: {value_words(item)}" for key, item in value.items()))
    if isinstance(value, list | tuple | set | frozenset):
        shown = [value_words(item) for item in list(value)[:_MOST_VALUES]]
        more = f" and {len(value) - _MOST_VALUES:,} more" if len(value) > _MOST_VALUES else ""
        return value_words(", ".join(shown) + more)
    return value_words(value.item() if hasattr(value, "item") else str(value))
