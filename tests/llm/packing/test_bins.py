"""Sequences are filled with whole documents, and little stays empty."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.llm.packing.bins import pack, pieces

CAPACITY = 32


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, CAPACITY), max_size=120))
def test_each_document_is_in_one_sequence_and_none_is_too_full(lengths: list[int]) -> None:
    bins = pack(np.array(lengths, np.int64), CAPACITY)
    assert sorted(document for each in bins for document in each) == list(range(len(lengths)))
    assert all(sum(lengths[document] for document in each) <= CAPACITY for each in bins)
    assert all(each == sorted(each) for each in bins)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, CAPACITY), min_size=1, max_size=120))
def test_no_two_sequences_could_be_one(lengths: list[int]) -> None:
    fills = sorted(sum(lengths[document] for document in each) for each in pack(np.array(lengths), CAPACITY))
    assert len(fills) < 2 or fills[0] + fills[1] > CAPACITY


def test_little_stays_empty_where_a_sequence_holds_only_a_few_documents() -> None:
    rng = np.random.default_rng(0)
    lengths = np.clip(np.exp(rng.normal(4.5, 0.6, 5000)).astype(int), 43, 256)
    assert lengths.sum() / (256 * len(pack(lengths, 256))) > 0.985


def test_two_hundred_thousand_documents_take_seconds() -> None:
    rng = np.random.default_rng(0)
    lengths = np.minimum(np.exp(rng.normal(5, 1, 100_000)).astype(int) + 20, 2048)
    assert lengths.sum() / (2048 * len(pack(lengths, 2048))) > 0.99


def test_nothing_fills_nothing() -> None:
    assert pack(np.array([], np.int64), 8) == []


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 300), st.sets(st.integers(1, 299), max_size=8))
def test_pieces_cover_a_document_and_none_is_too_long(length: int, turns: set[int]) -> None:
    borders = [0, *sorted(turn for turn in turns if turn < length)]
    found = pieces(borders, length, CAPACITY)
    assert found[0][0] == 0
    assert found[-1][1] == length
    assert all(end == start for (_, end), (start, _) in pairwise(found))
    assert all(0 < end - start <= CAPACITY for start, end in found)


def test_a_long_conversation_is_cut_between_exchanges_and_a_long_answer_between_tokens() -> None:
    assert pieces([0, 10, 30, 50], 60, 32) == [(0, 30), (30, 60)]
    assert pieces([0, 10], 60, 32) == [(0, 10), (10, 42), (42, 60)]
