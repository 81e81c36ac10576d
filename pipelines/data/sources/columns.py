"""Hold the columns that were found against those that the spec needs."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence

from pipelines.errors import DataError


def check_columns(found: Sequence[str], required: Sequence[str], origin: str, hint: str = "") -> None:
    """Raise `DataError` unless `found` has every required column and no name twice, whatever its case.

    Args:
        found: The names as they stand in the file or come from the query.
        required: The names that the spec uses.
        origin: What they were found in, for the message.
        hint: A sentence that may explain what is missing.
    """
    counts = Counter(name.lower() for name in found if name)
    twice = [name for name in found if counts[name.lower()] > 1]
    if twice:
        raise DataError(
            f"{origin} has {len(twice)} columns whose names are the same but for case: {', '.join(map(repr, twice))}; "
            "expected each name once. Nothing was ingested."
        )
    missing = [name for name in required if name not in found]
    if missing:
        wanted = "; ".join(f"{name!r} is missing{_nearest(name, found)}" for name in missing)
        names = ", ".join(map(repr, found)) or "none"
        raise DataError(f"{origin}: {wanted}. Found the columns {names}.{hint} Nothing was ingested.")


def _nearest(name: str, found: Sequence[str]) -> str:
    by_lower = {other.lower(): other for other in found}
    matches = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f" (is it {by_lower[matches[0]]!r}?)" if matches else ""


def check_same_columns(names_by_file: Mapping[str, Sequence[str]]) -> None:
    """Raise `DataError` unless every file has the columns of the first one, in any order."""
    files = iter(names_by_file.items())
    first, expected = next(files)
    for file, found in files:
        more, less = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
        if more or less:
            differences = [f"has {name!r} on top" for name in more] + [f"lacks {name!r}" for name in less]
            raise DataError(f"{file} {', '.join(differences)}; expected the columns of {first}. Nothing was ingested.")
