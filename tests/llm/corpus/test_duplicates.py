"""Duplicates are found, and no cut by group parts them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from pipelines.llm.corpus.duplicates import DuplicateFinder, Duplicates, shingles, similar_pairs
from pipelines.records import sha256_of
from pipelines.spec.corpus import NearDuplicates

WORDS = [f"word{number}" for number in range(5000)]


def text(seed: int, num_words: int = 80) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=num_words))


def changed(original: str, num_words: int) -> str:
    """Return a text with its last words replaced."""
    words = original.split()
    return " ".join([*words[: len(words) - num_words], *(f"new{number}" for number in range(num_words))])


def found_in(texts: list[str], documents: list[str | None] | None = None, **settings: object) -> Duplicates:
    finder = DuplicateFinder(NearDuplicates.model_validate(settings))
    documents = documents or [None] * len(texts)
    for start in range(0, len(texts), 3):  # in batches
        part = slice(start, start + 3)
        finder.add(texts[part], [sha256_of(one.encode()) for one in texts[part]], documents[part])
    return finder.find()


def test_the_first_of_equal_texts_is_no_duplicate() -> None:
    found = found_in([text(1), text(2), text(1), text(1)])
    assert found.exact.tolist() == [False, False, True, True]
    assert found.near.tolist() == [False] * 4
    assert found.first.tolist() == [0, 1, 0, 0]


def test_nearly_the_same_words_are_told_from_other_words() -> None:
    original = text(1, 200)
    found = found_in([original, changed(original, 4), changed(original, 60), text(2, 200)])
    assert found.near.tolist() == [False, True, False, False]
    assert not found.exact.any()


def test_case_and_marks_between_words_make_no_difference() -> None:
    found = found_in([text(1), text(1).upper().replace(" ", ", ")])
    assert found.near.tolist() == [False, True]


def test_signatures_agree_with_the_true_similarity_of_shingles() -> None:
    pairs = [(text(seed, 300), changed(text(seed, 300), seed * 3)) for seed in range(1, 30)]
    for one, other in pairs:
        first, second = shingles(one, 5), shingles(other, 5)
        true = len(first & second) / len(first | second)
        if abs(true - 0.8) > 0.12:  # three standard errors of the estimate
            assert found_in([one, other]).near[1] == (true > 0.8), true


def test_a_duplicate_that_is_set_aside_stands_with_the_one_that_is_kept() -> None:
    shared = text(1)
    found = found_in([text(7), shared, changed(shared, 1), text(8)], ["a", "a", "b", "b"])
    assert found.near.tolist() == [False, False, True, False]
    assert found.groups[0] == found.groups[1] == found.groups[2]
    assert found.groups[3] != found.groups[0]  # the documents stay two


def test_exact_duplicates_tie_no_documents_together() -> None:
    found = found_in([text(7), text(1), text(1), text(8)], ["a", "a", "b", "b"], keep_one=False)
    assert found.groups[0] == found.groups[1] == found.groups[2]
    assert found.groups[3] != found.groups[0]


def test_documents_that_share_kept_near_duplicates_become_one_group() -> None:
    shared = text(1)
    texts = [text(7), shared, changed(shared, 1), text(8), text(9)]
    found = found_in(texts, ["a", "a", "b", "b", "c"], keep_one=False)
    assert len({*found.groups[:4]}) == 1
    assert found.groups[4] not in found.groups[:4]


@pytest.mark.parametrize("keep_one", [True, False])
def test_no_near_duplicate_is_in_another_group_than_what_it_is_like(keep_one: bool) -> None:
    draw = random.Random(0)
    texts, documents = [], []
    for number in range(150):
        original = text(draw.randrange(60))
        texts.append(changed(original, draw.choice([0, 0, 1, 2])))
        documents.append(draw.choice(["a", "b", "c", "d", None]))
        del number
    found = found_in(texts, documents, keep_one=keep_one)
    assert found.exact.sum() + found.near.sum() > 40
    for row, first in enumerate(found.first.tolist()):
        assert found.groups[row] == found.groups[first]


def test_groups_are_named_by_content_in_any_order() -> None:
    texts = [text(seed) for seed in (1, 2, 3)] + [changed(text(2), 1)]
    forwards = dict(zip(texts, found_in(texts).groups, strict=True))
    backwards = dict(zip(texts[::-1], found_in(texts[::-1]).groups, strict=True))
    assert forwards == backwards


def test_rows_of_one_document_are_one_group_and_those_of_none_each_their_own() -> None:
    found = found_in([text(1), text(2), text(3), text(4)], ["a", None, "a", None])
    assert found.groups[0] == found.groups[2]
    assert len(set(found.groups)) == 3


def test_duplicates_only_leave_one() -> None:
    found = found_in([text(1)] * 50)
    assert found.exact.sum() == 49
    assert len(set(found.groups)) == 1


def test_texts_without_a_word_are_no_near_duplicates_of_each_other() -> None:
    assert found_in(["!?", "...", "***"]).near.tolist() == [False, True, True] or not found_in(["!?", "..."]).near.any()


def test_a_short_text_is_one_shingle() -> None:
    assert shingles("Two words", 5) == {b"two words"}
    assert shingles("a b c d e f", 5) == {b"a b c d e", b"b c d e f"}


def test_pairs_are_found_within_a_bucket_also_beside_others_that_are_alike() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**32, (2, 128), dtype=np.uint32)
    signatures = np.concatenate([base, base])
    signatures[1, :20] = signatures[0, :20]  # in one bucket, but not alike
    signatures[3, :20] = signatures[0, :20]
    assert {tuple(sorted(pair)) for pair in similar_pairs(signatures, 0.8)} == {(0, 2), (1, 3)}
