"""Say in one sentence of ours what DuckDB says in many about a file that it cannot read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipelines.data.sources.locations import SourceFile
from pipelines.errors import DataError, TandemError, UsageError

_CONVERSION = re.compile(r'Error when converting column "(.*?)"\. Could not convert string "(.*?)"? to \'(.*?)\'', re.S)
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_NUM_COLUMNS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_NO_TYPE = re.compile(r"Type with name (\S+) does not exist")
_NOT_UTF8 = re.compile(r"Invalid unicode|invalid UTF-8", re.I)
_JSON = re.compile(r"(?:in line|byte \d+ in line) (\d+)[:,]?\s*(.*?)(?:\n|$)")
_MALFORMED = re.compile(r"at byte (\d+) in line (\d+): (.*?)\.?\s*(?:\n|$)")  # DuckDB 2.0 counts these lines from 2
_SURROGATE = re.compile(r"(?:no low|invalid low|invalid high) surrogate")
_SNIFFED = "This type was auto-detected"


def refused(error: Exception, files: Sequence[SourceFile]) -> TandemError:
    """Return the error to raise in place of DuckDB's: file, line, column, what was found and what was expected."""
    text = str(error)
    if unknown := _NO_TYPE.search(text):
        return UsageError(
            f"source.column_types names the type {unknown[1]!r}, which DuckDB does not have; allowed are its types, "
            "such as BIGINT, DOUBLE, VARCHAR. Nothing was read."
        )
    place = _place(text, files)
    if _NOT_UTF8.search(text):
        return DataError(f"{place} holds bytes that are not UTF-8; expected text in UTF-8. Nothing was ingested.")
    if malformed := _MALFORMED.search(text):
        if _SURROGATE.search(malformed[3]):
            return DataError(
                f"{place} holds one half of a surrogate pair (\\ud800 to \\udfff) without the other, near "
                f"byte {malformed[1]} of the line: that is no character. Write both halves, or "
                "take it out. Nothing was ingested."
            )
        return DataError(
            f"{place} cannot be read: Malformed JSON at byte {malformed[1]} of the line: {malformed[3]}. "
            "Nothing was ingested."
        )
    if conversion := _CONVERSION.search(text):
        column, value, type_ = conversion.groups()
        advice = "; give the column a type in source.column_types if the guess is wrong" if _SNIFFED in text else ""
        return DataError(
            f"{place}, column {column!r}: found {value!r}, expected {type_}{advice}. Nothing was ingested."
        )
    if columns := _NUM_COLUMNS.search(text):
        return DataError(f"{place}: found {columns[2]} values, expected {columns[1]}. Nothing was ingested.")
    if "unterminated quote" in text:
        return DataError(
            f"{place}: found a quoted value without its end, expected a closing quote. Nothing was ingested."
        )
    return DataError(f"{place} cannot be read: {text.splitlines()[0]} Nothing was ingested.")


def _place(text: str, files: Sequence[SourceFile]) -> str:
    named = [file.name for file in files if str(file.path) in text]
    file = max(named, key=len, default=", ".join(file.name for file in files))
    if malformed := _MALFORMED.search(text):
        return f"{file}, line {max(1, int(malformed[2]) - 1)}"
    line = _LINE.search(text) or _JSON.search(text)
    return f"{file}, line {line[1]}" if line else file
