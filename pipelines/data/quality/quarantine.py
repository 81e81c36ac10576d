"""Set bad rows aside, with the list of reasons for each, and keep the others as they are.

One DuckDB statement tags every bad row of a file. Then the file is read once, batch by batch, and each row is written
to the clean rows or to quarantine, in its old order: the bytes depend on the rows alone, and memory is bounded by a
batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.data.parquet import ROW_GROUP_ROWS, ParquetWriter, open_parquet
from pipelines.data.quality.findings import RowTest
from pipelines.data.quality.rows import Rows

EXAMPLES = 3  # rows of each file that are shown for each reason

_BITS = 62  # checks in one tag, which is a BIGINT


@dataclass(frozen=True)
class Separated:
    """One file's rows, separated.

    Attributes:
        clean: Parquet file with the good rows, in the schema of the raw file.
        bad: Parquet file with the bad rows: the columns of the raw file and `reasons`, a list of names of checks.
        num_clean: Number of good rows.
        num_bad: Number of bad rows.
        num_bad_by_check: Number of bad rows for each check; a row may be bad for several.
        examples: The first few bad rows for each check, as plain values by column.
    """

    clean: Path
    bad: Path
    num_clean: int = 0
    num_bad: int = 0
    num_bad_by_check: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def separate(rows: Rows, number: int, tests: Mapping[str, RowTest], folder: Path) -> Separated | None:
    """Write the good and the bad rows of one file to two files.

    Args:
        rows: All files.
        number: Which of them.
        tests: The checks that set rows aside, by name.
        folder: Takes the two files.

    Returns:
        Both files and their counts, or None where no row is bad: then nothing is written.
    """
    tags = _Tags(rows, number, list(tests.values())) if tests else None
    if tags is None or tags.is_empty:
        return None
    names = list(tests)
    counts = np.zeros(len(names), np.int64)
    examples: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    clean, bad = folder / f"clean_{number}.parquet", folder / f"bad_{number}.parquet"
    with open_parquet(rows.paths[number]) as file:
        schema = file.schema_arrow
        quarantined = schema.append(pa.field(_free_name("reasons", schema.names), pa.list_(pa.string())))
        start = num_bad = 0
        with ParquetWriter(clean, schema) as good_writer, ParquetWriter(bad, quarantined) as bad_writer:
            for batch in file.iter_batches(ROW_GROUP_ROWS, use_threads=False):
                places, flags = tags.take(start, start + batch.num_rows)
                good_writer.write(batch.filter(pa.array(_all_but(places, batch.num_rows))) if len(places) else batch)
                found = batch.take(pa.array(places))
                bad_writer.write(
                    pa.RecordBatch.from_arrays([*found.columns, _reasons(flags, names)], schema=quarantined)
                )
                counts += flags.sum(axis=0)
                num_bad += len(places)
                _collect(examples, found, flags, names)
                start += batch.num_rows
    by_check = {name: int(count) for name, count in zip(names, counts, strict=True)}
    return Separated(clean, bad, start - num_bad, num_bad, by_check, examples)


class _Tags:
    """The bad rows of one file in their order: their numbers, and for each row and check whether it is bad."""

    def __init__(self, rows: Rows, number: int, tests: Sequence[RowTest]) -> None:
        self._num_tests = len(tests)
        self._batches = self._run(rows, number, tests)
        self._numbers = np.empty(0, np.int64)
        self._words = np.empty((0, 0), np.int64)
        self.is_empty = not self._read_on()

    def take(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of bad rows from `start` to `stop`, counted from `start`, and their flags (n, checks)."""
        while (not len(self._numbers) or self._numbers[-1] < stop) and self._read_on():
            pass
        end = int(np.searchsorted(self._numbers, stop))
        places, words = self._numbers[:end] - start, self._words[:end]
        self._numbers, self._words = self._numbers[end:], self._words[end:]
        flags = [(words[:, test // _BITS] >> (test % _BITS)) & 1 for test in range(self._num_tests)]
        return places, np.stack(flags, axis=1).astype(bool)

    def _read_on(self) -> bool:
        batch = next(self._batches, None)
        if batch is None:
            return False
        columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
        words = np.stack(columns[1:], axis=1)
        self._numbers = np.concatenate([self._numbers, columns[0]])
        self._words = np.concatenate([self._words, words]) if len(self._words) else words
        return True

    @staticmethod
    def _run(rows: Rows, number: int, tests: Sequence[RowTest]) -> Iterator[pa.RecordBatch]:
        words = list[str]()
        for first in range(0, len(tests), _BITS):
            bits = [
                f"CASE WHEN {test.bad} THEN {1 << place} ELSE 0 END::BIGINT"
                for place, test in enumerate(tests[first : first + _BITS])
            ]
            words.append(f"({' + '.join(bits)}) AS word_{len(words)}")
        joins = " ".join(dict.fromkeys(test.join.format(offset=rows.offsets[number]) for test in tests))
        any_bad = " OR ".join(f"word_{place} <> 0" for place in range(len(words)))
        inner = f"SELECT file_row_number, {', '.join(words)} FROM {rows.source(number, row_numbers=True)} {joins}"
        with rows.connection.cursor() as cursor:
            found = cursor.sql(f"SELECT * FROM ({inner}) WHERE {any_bad} ORDER BY file_row_number")
            yield from (batch for batch in found.to_arrow_reader(ROW_GROUP_ROWS) if batch.num_rows)


def _all_but(places: np.ndarray, num_rows: int) -> np.ndarray:
    kept = np.ones(num_rows, bool)
    kept[places] = False
    return kept


def _reasons(flags: np.ndarray, names: Sequence[str]) -> pa.Array:
    """Return for each row the names of the checks whose flag is set; there are few combinations, however many rows."""
    combinations, which = np.unique(flags, axis=0, return_inverse=True)
    lists = [[name for name, flag in zip(names, combination, strict=True) if flag] for combination in combinations]
    return pa.array(lists, pa.list_(pa.string())).take(pa.array(which.reshape(-1)))


def _collect(
    examples: dict[str, list[dict[str, Any]]], found: pa.RecordBatch, flags: np.ndarray, names: Sequence[str]
) -> None:
    for place, name in enumerate(names):
        wanted = EXAMPLES - len(examples[name])
        if wanted > 0:
            examples[name] += found.take(pa.array(np.flatnonzero(flags[:, place])[:wanted])).to_pylist()


def _free_name(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name
