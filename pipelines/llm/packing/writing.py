"""Write packed sequences as Arrow files that are mapped into memory as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.llm.packing.encoding import IGNORED
from pipelines.llm.packing.manifest import PackedFile
from pipelines.llm.packing.tokens import TokenFile, TokenReader
from pipelines.store.verified import file_sha256

_BATCH_TOKENS = 1 << 20


def write_sequences(path: Path, tokens: TokenFile, bins: Sequence[Sequence[int]], length: int, pad_id: int) -> None:
    """Write one row a sequence: `input_ids`, `labels`, `position_ids`, `document_ends`, `document_rows`.

    A label is the token itself where it is learnt, else -100. Positions begin again at 0 with each document, and with
    the padding, which is so no part of the last one. `document_ends` are the ends of the documents, without padding.

    Args:
        path: The file.
        tokens: The documents.
        bins: The documents of each sequence.
        length: Tokens of a sequence.
        pad_id: The token that fills the rest.
    """
    whole = pa.list_(pa.int32(), length)
    schema = pa.schema(
        {
            **dict.fromkeys(("input_ids", "labels", "position_ids"), whole),
            "document_ends": pa.list_(pa.int32()),
            "document_rows": pa.list_(pa.int64()),
        }
    )
    reader = tokens.open()
    rows_at_once = max(1, _BATCH_TOKENS // length)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for start in range(0, len(bins), rows_at_once):
            writer.write_batch(_batch(tokens, reader, bins[start : start + rows_at_once], length, pad_id, schema))


def describe_file(path: Path, tokens: TokenFile, documents: np.ndarray, num_sequences: int) -> PackedFile:
    """Return the record of a file that was written, with the numbers of the documents that are in it."""
    return PackedFile(
        path=path.name,
        content_sha256=file_sha256(path),
        size_bytes=path.stat().st_size,
        num_sequences=num_sequences,
        num_documents=len(documents),
        num_tokens=int(tokens.lengths[documents].sum()),
        num_answer_tokens=int(tokens.num_learnt[documents].sum()),
    )


def _batch(
    tokens: TokenFile, reader: TokenReader, bins: Sequence[Sequence[int]], length: int, pad_id: int, schema: pa.Schema
) -> pa.RecordBatch:
    shape = (len(bins), length)
    ids, labels, positions = (
        np.full(shape, pad_id, np.int32),
        np.full(shape, IGNORED, np.int32),
        np.zeros(shape, np.int32),
    )
    ends: list[list[int]] = []
    for number, documents in enumerate(bins):
        end = 0
        ends.append([])
        for document in documents:
            found, learnt = reader.read(document)
            part = slice(end, end + len(found))
            ids[number, part] = found
            labels[number, part] = np.where(learnt, found, IGNORED)
            positions[number, part] = np.arange(len(found))
            end += len(found)
            ends[-1].append(end)
        positions[number, end:] = np.arange(length - end)
    return pa.RecordBatch.from_arrays(
        [
            *(pa.FixedSizeListArray.from_arrays(pa.array(one.ravel()), length) for one in (ids, labels, positions)),
            pa.array(ends, schema.field("document_ends").type),
            pa.array([tokens.rows[list(each)].tolist() for each in bins], schema.field("document_rows").type),
        ],
        schema=schema,
    )
