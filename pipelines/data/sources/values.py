"""Turn a database driver's Python values into Arrow arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from pipelines.errors import DataError

_KNOWN_TO_ARROW = (bool, int, float, str, bytes, datetime, date, time)


def type_of(known: Sequence[Any], name: str, origin: str) -> pa.DataType:
    """Return the Arrow type of a column whose values other than null are `known`; null where there are none.

    >>> from decimal import Decimal
    >>> type_of([Decimal("1.5"), 2], "price", "a query")
    DataType(double)

    Raises:
        DataError: If the values are of types that have none in common.
    """
    try:
        found = pa.array([_plain(value) for value in known]).type
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise DataError(
            f"{origin}, column {name!r}: found values of several types ({_type_names(known)}), expected one; "
            "use CAST in the query. Nothing was ingested."
        ) from error
    if pa.types.is_timestamp(found):
        return pa.timestamp("us", tz="UTC" if found.tz else None)
    return found


def as_array(values: Sequence[Any], type_: pa.DataType, name: str, origin: str) -> pa.Array:
    """Return the values as an array of `type_`.

    Raises:
        DataError: If a value does not fit.
    """
    plain = [_plain(value) for value in values]
    try:
        return pa.array(plain, type_)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise DataError(
            f"{origin}, column {name!r}: found {_misfit(plain, type_)!r}, expected {type_} like the rows before it; "
            "use CAST in the query. Nothing was ingested."
        ) from error


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, _KNOWN_TO_ARROW):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return str(value)


def _misfit(values: Sequence[Any], type_: pa.DataType) -> Any:
    for value in values:
        try:
            pa.scalar(value, type_)
        except (pa.ArrowException, TypeError, OverflowError):
            return value
    return None


def _type_names(values: Sequence[Any]) -> str:
    return ", ".join(sorted({type(value).__name__ for value in values}))
