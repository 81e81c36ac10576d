"""Tell the language of a text, among the most written ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from lingua import Language, LanguageDetector, LanguageDetectorBuilder

UNKNOWN = "und"  # ISO 639-2 for undetermined
_LANGUAGES = (  # each one more makes the others harder to tell and costs memory
    *(Language.ENGLISH, Language.GERMAN, Language.FRENCH, Language.SPANISH, Language.ITALIAN, Language.PORTUGUESE),
    *(Language.DUTCH, Language.POLISH, Language.TURKISH, Language.RUSSIAN, Language.ARABIC, Language.HINDI),
    *(Language.CHINESE, Language.JAPANESE, Language.KOREAN),
)
_FEWEST_LETTERS = 12
_CHARACTERS = 1000  # more say no more of it, and take longer


@cache
def _detector() -> LanguageDetector:
    return LanguageDetectorBuilder.from_languages(*_LANGUAGES).with_low_accuracy_mode().build()


def languages_of(texts: Sequence[str]) -> list[str]:
    """Return the ISO 639-1 code of each text's language, or `und` for one that is too short or like none of them.

    Known are en, de, fr, es, it, pt, nl, pl, tr, ru, ar, hi, zh, ja, ko.
    """
    shortened = [text[:_CHARACTERS] for text in texts]
    found = _detector().detect_languages_in_parallel_of(shortened)
    return [
        language.iso_code_639_1.name.lower() if language is not None and _has_letters(text) else UNKNOWN
        for text, language in zip(shortened, found, strict=True)
    ]


def _has_letters(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    return letters >= _FEWEST_LETTERS or (letters > 1 and not text.isascii())
