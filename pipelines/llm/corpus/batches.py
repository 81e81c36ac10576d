"""Keep what is worked on at once small in bytes: a thousand rows may be a thousand books."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

LARGEST_BYTES = 4_000_000  # a tokenizer's work takes some fifty times as much


def bounded(batches: Iterable[pa.RecordBatch], largest_bytes: int = LARGEST_BYTES) -> Iterator[pa.RecordBatch]:
    """Yield the rows of batches in their order, in batches of at most so many bytes, or of one row.

    >>> rows = pa.RecordBatch.from_pydict({"text": ["a" * 100] * 8})
    >>> [part.num_rows for part in bounded([rows], largest_bytes=300)]
    [2, 2, 2, 2]
    """
    for batch in batches:
        if batch.num_rows < 2 or batch.nbytes <= largest_bytes:
            yield batch
        else:
            half = batch.num_rows // 2
            yield from bounded([batch.slice(0, half), batch.slice(half)], largest_bytes)
