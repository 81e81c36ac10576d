"""Languages are told, and what is too short to tell is said to be unknown."""

from __future__ import annotations

from pipelines.llm.corpus.language import UNKNOWN, languages_of


def test_languages_are_told_by_their_iso_codes() -> None:
    texts = {
        "en": "Return a new list that holds all the items of the iterable, in order.",
        "de": "Gib eine neue Liste zurück, die alle Elemente in ihrer Reihenfolge enthält.",
        "fr": "Renvoie une nouvelle liste qui contient tous les éléments dans leur ordre.",
        "ru": "Возвращает новый список со всеми элементами по порядку.",
        "zh": "返回一个包含所有元素的新列表。",
        "ja": "すべての要素を含む新しいリストを返します。",
    }
    assert languages_of(list(texts.values())) == list(texts)


def test_too_few_letters_tell_nothing() -> None:
    assert languages_of(["", "4", "x = 1", "12 + 30 = 42", "!!!"]) == [UNKNOWN] * 5


def test_a_very_long_text_is_told_by_its_beginning() -> None:
    assert languages_of(["This is how it begins, in plain English. " * 50_000]) == ["en"]
