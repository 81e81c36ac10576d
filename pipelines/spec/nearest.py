"""Offer the nearest allowed word for a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_MOST_WORDS = 24


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed word that looks most like `word`, or None where none does.

    >>> nearest("featurs", ["features", "folds"])
    'features'
    """
    by_lower = {each.lower(): each for each in allowed}
    matches = get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[matches[0]] if matches else None


def choices(word: str, allowed: Iterable[str]) -> str:
    """Return what to write instead of `word`: the nearest match first, then everything that is allowed.

    >>> choices("tme", ["time", "key"])
    "did you mean 'time'? One of: time, key"
    """
    words = list(allowed)
    match = nearest(word, words)
    more = f", and {len(words) - _MOST_WORDS} more" if len(words) > _MOST_WORDS else ""
    every = f"{', '.join(words[:_MOST_WORDS])}{more}" if words else "nothing"
    return f"one of: {every}" if match is None else f"did you mean {match!r}? One of: {every}"
