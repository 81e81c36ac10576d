"""Tokens of a corpus in files: what is added is read back, cut where it is too long."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.llm.packing.encoding import Encoded
from pipelines.llm.packing.tokens import TokenFile


def encoded(length: int, learnt_from: int, turns: tuple[int, ...] = (0,), first: int = 0) -> Encoded:
    return Encoded(np.arange(first, first + length, dtype=np.int32), np.arange(length) >= learnt_from, turns)


def test_documents_are_read_back_from_anywhere(tmp_path: Path) -> None:
    with TokenFile(tmp_path, 16) as tokens:
        for number in range(5):
            assert tokens.add(number * 10, f"g{number % 2}", encoded(4 + number, 2, first=100 * number)) == 1
    reader = tokens.open()
    ids, learnt = reader.read(3)
    assert ids.tolist() == [300, 301, 302, 303, 304, 305, 306]
    assert learnt.tolist() == [False] * 2 + [True] * 5
    assert tokens.rows.tolist() == [0, 10, 20, 30, 40]
    assert tokens.groups.tolist() == [0, 1, 0, 1, 0]
    assert tokens.num_learnt.tolist() == [2, 3, 4, 5, 6]


def test_a_long_document_is_cut_and_a_piece_without_an_answer_is_left_out(tmp_path: Path) -> None:
    with TokenFile(tmp_path, 8) as tokens:
        assert tokens.add(7, "g", encoded(22, 16)) == 1
    assert (tokens.num_cut, tokens.num_without_answer) == (1, 2)
    assert tokens.rows.tolist() == [7]
    assert tokens.open().read(0)[0].tolist() == [16, 17, 18, 19, 20, 21]


def test_the_first_token_of_a_piece_is_never_learnt(tmp_path: Path) -> None:
    with TokenFile(tmp_path, 8) as tokens:
        tokens.add(0, "g", encoded(16, 0))
    for number in range(2):
        assert tokens.open().read(number)[1].tolist() == [False] + [True] * 7
