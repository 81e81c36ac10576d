"""No run of words of what a model is examined with stays in what it learns."""

from __future__ import annotations

import random

import numpy as np
import pytest

from pipelines.llm.corpus.overlap import Overlap, run_hashes, texts_of

WORDS = [f"w{number}" for number in range(3000)]


def text(seed: int, num_words: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=num_words))


def search(examined: list[str], training: list[str], num_words: int = 13) -> tuple[list[bool], Overlap]:
    overlap = Overlap(lambda: iter(examined), num_words)
    found = overlap.search(range(len(training)), [f"d{row}" for row in range(len(training))], training)
    return found.tolist(), overlap


def test_thirteen_words_in_a_row_are_found_and_twelve_are_not() -> None:
    examined = text(1, 40)
    words = examined.split()
    inside = " ".join(["before", *words[5:18], "after"])
    short = " ".join(["before", *words[5:17], "after"])
    found, overlap = search([examined], [inside, short, text(2, 50)])
    assert found == [True, False, False]
    outcome = overlap.outcome()
    assert (outcome.num_searched, outcome.num_matched, outcome.num_confirmed) == (3, 1, 1)
    assert outcome.examples[0].words == " ".join(words[5:18])
    assert (outcome.examples[0].row, outcome.examples[0].document) == (0, "d0")


def test_case_marks_and_lines_do_not_hide_a_run() -> None:
    examined = text(1, 20)
    assert search([examined], [examined.upper().replace(" ", ",\n")])[0] == [True]


def test_the_same_words_in_another_order_are_no_run() -> None:
    examined = text(1, 13)
    assert search([examined], [" ".join(reversed(examined.split()))])[0] == [False]


def test_texts_that_are_too_short_to_tell_are_counted() -> None:
    found, overlap = search(["only four words here", text(1, 30)], ["only four words here"])
    assert found == [False]
    assert (overlap.outcome().num_texts, overlap.outcome().num_short_texts) == (2, 1)


def test_unrelated_text_is_not_matched_and_the_rate_is_measured() -> None:
    examined = [text(seed, 200) for seed in range(50)]
    training = [text(seed, 200) for seed in range(1000, 1200)]
    found, overlap = search(examined, training)
    outcome = overlap.outcome()
    assert not any(found)
    assert outcome.num_shuffled_runs == 50 * 188
    assert outcome.false_positive_rate == 0.0


def test_a_match_by_chance_is_not_confirmed() -> None:
    """With runs of one word a shuffled text matches always: the control can fail."""
    _, overlap = search([text(1, 50)], [text(1, 50)], num_words=1)
    outcome = overlap.outcome()
    assert outcome.false_positive_rate == 1.0
    overlap._matches = [
        (match.__class__(match.row, match.document, "other words"), number) for match, number in overlap._matches
    ]
    assert overlap.outcome().num_confirmed == 0


def test_nothing_examined_matches_nothing() -> None:
    found, overlap = search([], [text(1, 50)])
    assert found == [False]
    assert overlap.outcome().false_positive_rate == 0.0


def test_hashes_are_of_runs_in_order_and_the_same_on_every_machine() -> None:
    words = ["a", "b", "c", "a", "b"]
    hashes = run_hashes(words, 2)
    assert hashes.shape == (4,)
    assert hashes[0] == hashes[3]
    assert len(np.unique(hashes)) == 3
    assert int(hashes[0]) == 3852692052011977716
    assert run_hashes(words, 6).shape == (0,)


def test_sources_of_texts_follow_each_other_and_can_be_read_again() -> None:
    texts = texts_of(lambda: ["a"], lambda: iter(["b", "c"]))
    assert list(texts()) == list(texts()) == ["a", "b", "c"]


@pytest.mark.parametrize("num_texts", [10_001])
def test_many_texts_are_gathered_in_bounded_parts(num_texts: int) -> None:
    overlap = Overlap(lambda: (text(number % 7, 14) for number in range(num_texts)), 13)
    assert overlap.outcome().num_runs == 14
