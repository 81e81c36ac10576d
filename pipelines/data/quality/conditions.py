"""Say Great Expectations' row-level metrics in SQL, wherever SQL gives the answer that its pandas engine gives.

A metric, a type or a value that is not surely the same in both has no condition here; the caller then lets Great
Expectations compute it. Missing means NULL or NaN, as it does to pandas.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from pipelines.data.quality.rows import NUMERIC, Kind, Rows
from pipelines.data.sql import literal, membership, quoted

_EXACT_AS_FLOAT = 2**53


@dataclass(frozen=True)
class Condition:
    """Which rows a row-level check calls bad.

    Attributes:
        bad: SQL, true for a bad row, never NULL; empty where `duplicated` says it.
        domain: SQL, true for a row that is judged at all.
        guard: SQL, true for a row on which SQL and Great Expectations might not agree. If there is one, the condition
            must not be used.
        duplicated: Expressions whose values together may stand in one row of the domain only.
    """

    bad: str = ""
    domain: str = "true"
    guard: str | None = None
    duplicated: tuple[str, ...] = ()


Arguments = Mapping[str, Any]
Rule = Callable[[Rows, Arguments, Arguments], Condition | None]


def condition(metric: str, rows: Rows, domain: Arguments, values: Arguments) -> Condition | None:
    """Return what SQL knows of a row-level metric, or None.

    Args:
        metric: Great Expectations' name, such as `column_values.between`.
        rows: The table.
        domain: The metric's domain: `column`, or `column_A` and `column_B`, or `column_list`.
        values: The metric's own arguments.
    """
    rule = _RULES.get(metric)
    named = [domain.get(key) for key in ("column", "column_A", "column_B")] + list(domain.get("column_list") or ())
    if (
        rule is None
        or domain.get("row_condition")
        or any(name is not None and name not in rows.kinds for name in named)
    ):
        return None
    try:
        return rule(rows, domain, values)
    except TypeError:  # a value that SQL has no literal for
        return None


def in_set(rows: Rows, column: str, values: Any) -> str | None:
    """Return SQL that tells whether a column's value is one of `values`, or None where pandas might say otherwise."""
    kind = rows.kinds[column]
    if not isinstance(values, Sequence | set | frozenset) or isinstance(values, str):
        return None
    fits: dict[Kind, Callable[[Any], bool]] = {
        "string": lambda value: isinstance(value, str),
        "boolean": lambda value: isinstance(value, bool),
        "integer": lambda value: _is_number(value) and isinstance(value, int),
        "float": _is_exact,
        "decimal": _is_exact,
    }
    if kind not in fits or not all(fits[kind](value) for value in values):
        return None
    return membership(rows.number(column) if kind in NUMERIC else rows.value(column), list(values))


def _nonnull(rows: Rows, domain: Arguments, values: Arguments) -> Condition:
    return Condition(f"({rows.value(domain['column'])}) IS NULL")


def _null(rows: Rows, domain: Arguments, values: Arguments) -> Condition:
    return Condition(f"({rows.value(domain['column'])}) IS NOT NULL")


def _between(rows: Rows, domain: Arguments, values: Arguments) -> Condition | None:
    column = domain["column"]
    low, high = (_bound(values.get(key), rows.kinds[column]) for key in ("min_value", "max_value"))
    if (low is None and high is None) or low is _UNUSABLE or high is _UNUSABLE:
        return None
    if low is not None and high is not None and low > high:
        return None
    return _is_within(rows.number(column), low, high, values)


def _is_within(expression: str, low: Any, high: Any, values: Arguments) -> Condition:
    tests = []
    if low is not None:
        tests.append(f"{expression} {'>' if values.get('strict_min') else '>='} {literal(low)}")
    if high is not None:
        tests.append(f"{expression} {'<' if values.get('strict_max') else '<='} {literal(high)}")
    return Condition(f"NOT coalesce({' AND '.join(tests)}, true)", f"({expression}) IS NOT NULL")


def _in_set(rows: Rows, domain: Arguments, values: Arguments) -> Condition | None:
    test = in_set(rows, domain["column"], values.get("value_set"))
    return None if test is None else _judged(rows, domain, f"NOT {test}")


def _not_in_set(rows: Rows, domain: Arguments, values: Arguments) -> Condition | None:
    test = in_set(rows, domain["column"], values.get("value_set"))
    return None if test is None else _judged(rows, domain, test)


def _unique(rows: Rows, domain: Arguments, values: Arguments) -> Condition | None:
    value = rows.value(domain["column"])
    known = rows.kinds[domain["column"]] != "other"
    return Condition(domain=f"({value}) IS NOT NULL", duplicated=(value,)) if known else None


def _compound_unique(rows: Rows, domain: Arguments, values: Arguments) -> Condition | None:
    columns = list(domain["column_list"])
    if any(rows.kinds[column] == "other" for column in columns) or len(columns) < 2:
        return None
    judged = _without_missing(rows, columns, domain.get("ignore_row_if"))
    return None if judged is None else Condition(domain=judged, duplicated=tuple(map(rows.value, columns)))


def _matches(rows: Rows, domain: Arguments, values: Arguments) -> Condition | None:
    return _regex(rows, domain, values, "NOT")


def _matches_not(rows: Rows, domain: Arguments, values: Arguments) -> Condition | None:
    return _regex(rows, domain, values, "")


def _regex(rows: Rows, domain: Arguments, values: Arguments, negation: str) -> Condition | None:
    column, pattern = domain["column"], values.get("regex")
    if rows.kinds[column] != "string" or not isinstance(pattern, str) or not _PLAIN_REGEX.fullmatch(pattern):
        return None
    try:
        rows.run("SELECT regexp_matches('', ?)", [pattern])
    except duckdb.Error:
        return None
    name = quoted(column)
    guards = []
    if _UNICODE_SENSITIVE.search(pattern):
        guards.append(f"strlen({name}) <> length({name})")
    if "$" in pattern:
        guards.append(f"contains({name}, chr(10))")
    bad = _judged(rows, domain, f"{negation} regexp_matches({name}, {literal(pattern)})")
    return Condition(bad.bad, bad.domain, f"coalesce({' OR '.join(guards)}, false)" if guards else None)


def _length_between(rows: Rows, domain: Arguments, values: Arguments) -> Condition | None:
    low, high = values.get("min_value"), values.get("max_value")
    if rows.kinds[domain["column"]] != "string" or not any(map(_is_exact, (low, high))):
        return None
    if not all(bound is None or _is_exact(bound) for bound in (low, high)):
        return None
    return _is_within(f"length({quoted(domain['column'])})", low, high, values)


def _length_equals(rows: Rows, domain: Arguments, values: Arguments) -> Condition | None:
    if rows.kinds[domain["column"]] != "string" or not _is_exact(values.get("value")):
        return None
    return _judged(rows, domain, f"length({quoted(domain['column'])}) <> {literal(values['value'])}")


def _a_greater_than_b(rows: Rows, domain: Arguments, values: Arguments) -> Condition | None:
    first, second = domain["column_A"], domain["column_B"]
    kinds = {rows.kinds[first], rows.kinds[second]}
    if not (kinds <= NUMERIC or (len(kinds) == 1 and kinds <= {"string", "timestamp", "timestamptz", "date"})):
        return None
    judged = _without_missing(rows, [first, second], domain.get("ignore_row_if"))
    if judged is None:
        return None
    operator = ">=" if values.get("or_equal") else ">"
    holds = f"coalesce({rows.number(first)} {operator} {rows.number(second)}, false)"
    return Condition(f"({judged}) AND NOT {holds}", judged)


def _judged(rows: Rows, domain: Arguments, bad: str) -> Condition:
    """Return a condition on the rows where the column is not missing."""
    value = rows.value(domain["column"])
    return Condition(f"coalesce(({value}) IS NOT NULL AND {bad}, false)", f"({value}) IS NOT NULL")


def _without_missing(rows: Rows, columns: Sequence[str], ignored: Any) -> str | None:
    """Return SQL for the rows that are judged, from Great Expectations' `ignore_row_if`."""
    present = [f"({rows.value(column)}) IS NOT NULL" for column in columns]
    if ignored in {"all_values_are_missing", "both_values_are_missing"}:
        return "(" + " OR ".join(present) + ")"
    if ignored in {"any_value_is_missing", "either_value_is_missing"}:
        return "(" + " AND ".join(present) + ")"
    return "true" if ignored in {"never", "neither"} else None


_UNUSABLE = object()


def _bound(value: Any, kind: Kind) -> Any:
    """Return a bound that compares with a column of this kind, None where there is none, or `_UNUSABLE`."""
    if value is None:
        return None
    if kind in NUMERIC:
        return value if _is_number(value) else _UNUSABLE
    if kind in {"timestamp", "timestamptz", "date"}:
        return _moment(value, kind)
    return _UNUSABLE


def _moment(value: Any, kind: Kind) -> Any:
    """Return a date or a time as the column's kind; a date is its midnight."""
    if not isinstance(value, datetime.date):
        return _UNUSABLE
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time.min)
    if kind == "date":
        return value.date() if value.time() == datetime.time.min and value.tzinfo is None else _UNUSABLE
    return value if (value.tzinfo is None) == (kind == "timestamp") else _UNUSABLE


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _is_exact(value: Any) -> bool:
    """Tell whether a number means the same as an integer and as a float."""
    return _is_number(value) and (isinstance(value, float) or abs(value) <= _EXACT_AS_FLOAT)


# What RE2 (DuckDB) and Python read alike; a pattern with anything else in it is left to Great Expectations.
_PLAIN_REGEX = re.compile(
    r"""(?x:
    \\[dDwWbB] | \\[^\w\s]                                   # classes, escaped punctuation
  | \[\^?(?:[^\]\[\\^-]|\\[dw]|\\[^\w\s])(?:[^\]\[\\]|\\[dw]|\\[^\w\s])*\]  # sets without POSIX classes
  | \((?!\?) | \(\?: | \)                                   # groups
  | (?:[*+?]|\{\d{1,3}(?:,\d{0,3})?\})\??                    # repetition
  | [|.^$] | [^\\\[\](){}*+?|.^$\s] | \x20                   # the rest: one character each
    )*"""
)

# On letters and digits beyond ASCII these differ between the two.
_UNICODE_SENSITIVE = re.compile(r"\\[dDwWbB]")

_RULES: dict[str, Rule] = {
    "column_pair_values.a_greater_than_b": _a_greater_than_b,
    "column_values.between": _between,
    "column_values.in_set": _in_set,
    "column_values.match_regex": _matches,
    "column_values.nonnull": _nonnull,
    "column_values.not_in_set": _not_in_set,
    "column_values.not_match_regex": _matches_not,
    "column_values.null": _null,
    "column_values.unique": _unique,
    "column_values.value_length.between": _length_between,
    "column_values.value_length.equals": _length_equals,
    "compound_columns.unique": _compound_unique,
}
