from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import DataError, IntegrityError
from pipelines.llm.sequences import IGNORED, TRAIN, PackedSequences
from tests.llm.training import LENGTH, NUM_TRAIN, write_packed, write_sequences


def test_any_sequence_is_read_from_anywhere(tmp_path: Path) -> None:
    data = PackedSequences(write_packed(tmp_path) / TRAIN)
    assert len(data) == NUM_TRAIN
    last = data[NUM_TRAIN - 1]
    assert last.document_rows == (3 * NUM_TRAIN - 3, 3 * NUM_TRAIN - 2, 3 * NUM_TRAIN - 1)
    assert last.input_ids.shape == last.labels.shape == last.position_ids.shape == (LENGTH,)
    with pytest.raises(IndexError):
        data[NUM_TRAIN]


def _row(labels: list[int], positions: list[int], ends: list[int]) -> dict[str, list[int]]:
    filled = LENGTH - len(labels)
    return {
        "input_ids": [5] * LENGTH,
        "labels": labels + [IGNORED] * filled,
        "position_ids": positions + list(range(filled)),
        "document_ends": ends,
        "document_rows": list(range(len(ends))),
    }


def test_the_first_token_of_a_document_is_never_told_from_the_document_before(tmp_path: Path) -> None:
    write_sequences(tmp_path / TRAIN, [_row([5] * 6, [0, 1, 2, 0, 1, 2], [3, 6])])
    data = PackedSequences(tmp_path / TRAIN)
    assert data[0].labels[:6].tolist() == [IGNORED, 5, 5, IGNORED, 5, 5]
    assert data.num_labels(0) == 4


def test_documents_whose_positions_run_on_are_refused(tmp_path: Path) -> None:
    write_sequences(tmp_path / TRAIN, [_row([5] * 6, [0, 1, 2, 3, 4, 5], [3, 6])])
    with pytest.raises(IntegrityError, match="would see each other"):
        PackedSequences(tmp_path / TRAIN)[0]


@pytest.mark.parametrize("content", [None, b"", b"ARROW1 and no more"])
def test_a_file_that_holds_no_sequences_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / TRAIN).write_bytes(content)
    with pytest.raises(DataError, match=TRAIN):
        PackedSequences(tmp_path / TRAIN)
