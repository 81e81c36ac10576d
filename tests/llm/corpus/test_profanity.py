"""Profane words are found in any writing, and not inside other words."""

from __future__ import annotations

import pytest
from better_profanity import Profanity

from pipelines.llm.corpus.profanity import has_profanity


@pytest.mark.parametrize("text", ["What the fuck?", "FUCK", "you sh1t", "an a$$hole.", "a nob  jokey"])
def test_profane_words_and_phrases_are_found(text: str) -> None:
    assert has_profanity(text)


@pytest.mark.parametrize("text", ["", "Scunthorpe", "assess the class", "a ** b", "f(*args, **kwargs)", "os.kill_all"])
def test_other_words_are_not(text: str) -> None:
    assert not has_profanity(text)


def test_a_spec_may_allow_words() -> None:
    assert has_profanity("Strip the text, then kill the process.")
    assert not has_profanity("Strip the text, then kill the process.", frozenset({"strip", "kill"}))


def test_every_word_that_the_package_lists_is_found() -> None:
    missed = [str(entry) for entry in Profanity().CENSOR_WORDSET if not has_profanity(f"so {entry} it is")]
    assert missed == []
