"""Tell whether a text has a profane word, by the word list of better-profanity and its substitutions (`sh1t`).

The package's own search takes a tenth of a second for a short text, since it compares every word with the whole list;
here each different word is looked at once. It also joins words that stand apart (`as s`); that is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache

from better_profanity import Profanity
from better_profanity.varying_string import VaryingString

_WORD = re.compile(r"[\w@$*]+")


def has_profanity(text: str, allowed: frozenset[str] = frozenset()) -> bool:
    """Tell whether one of the listed words or phrases stands in a text; `allowed` are lower-case words that may.

    >>> has_profanity("what a sh1tty day"), has_profanity("a nice day in Scunthorpe")
    (True, False)
    >>> has_profanity("kill the process"), has_profanity("Kill the process", frozenset({"kill"}))
    (True, False)
    """
    lowered = text.lower()
    if any(_is_listed(word) for word in set(_WORD.findall(lowered)) - allowed):
        return True
    return _phrases().search(lowered) is not None


@lru_cache(maxsize=1 << 18)
def _is_listed(word: str) -> bool:
    return any(entry == word for entry in _words().get(len(word), ()))


@cache
def _entries() -> tuple[VaryingString, ...]:
    return tuple(Profanity().CENSOR_WORDSET)


@cache
def _words() -> dict[int, Sequence[VaryingString]]:
    """Return the entries of one word by their length: a substitution is always one character for one."""
    found: dict[int, list[VaryingString]] = {}
    for entry in _entries():
        if _WORD.fullmatch(str(entry)):
            found.setdefault(len(str(entry)), []).append(entry)
    return {length: tuple(entries) for length, entries in found.items()}


@cache
def _phrases() -> re.Pattern[str]:
    """Return one pattern of all entries that are more than a word, such as those with a space or a hyphen."""
    phrases = sorted(str(entry) for entry in _entries() if not _WORD.fullmatch(str(entry)))
    patterns = [re.escape(phrase).replace(r"\ ", r"\s+") for phrase in phrases]
    return re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)")
