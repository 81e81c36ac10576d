"""The bytes of a Parquet file follow from its rows alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.parquet import ROW_GROUP_ROWS, ParquetWriter, open_parquet
from pipelines.store.verified import file_sha256


def rows(num_rows: int) -> pa.Table:
    rng = np.random.default_rng(0)
    names = pa.array(rng.choice(["a", "b", None], num_rows)).dictionary_encode()
    return pa.table({"x": rng.normal(size=num_rows), "name": names})


def written(path: Path, table: pa.Table, batch_rows: int) -> Path:
    with ParquetWriter(path, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=batch_rows):
            writer.write(batch)
    return path


def test_the_batches_that_rows_come_in_do_not_change_the_bytes(tmp_path) -> None:
    table = rows(ROW_GROUP_ROWS + 1000)
    hashes = {file_sha256(written(tmp_path / f"{size}", table, size)) for size in (999, 65_536, ROW_GROUP_ROWS + 1000)}
    assert len(hashes) == 1


def test_dictionaries_that_differ_between_batches_do_not_change_the_bytes(tmp_path) -> None:
    schema = pa.schema({"name": pa.dictionary(pa.int32(), pa.string())})
    parts = [pa.table({"name": pa.array(values).dictionary_encode()}, schema) for values in (["a", "b"], ["c", "a"])]
    with ParquetWriter(tmp_path / "parts", schema) as writer:
        for part in parts:
            writer.write(part)
    written(tmp_path / "whole", pa.concat_tables(parts).unify_dictionaries().combine_chunks(), 4)
    assert file_sha256(tmp_path / "parts") == file_sha256(tmp_path / "whole")


def test_a_dictionary_holds_no_value_of_rows_that_are_not_there(tmp_path) -> None:
    kind = pa.dictionary(pa.int8(), pa.string(), ordered=True)
    names = pa.DictionaryArray.from_arrays(pa.array([1, 0, 2, 1], pa.int8()), ["in", "also in", "secret"], ordered=True)
    table = pa.table({"name": names}).filter(pa.array([True, True, False, True]))
    path = written(tmp_path / "filtered", table, 10)
    assert b"secret" not in path.read_bytes()
    assert pq.read_table(path).schema.field("name").type == kind
    assert pq.read_table(path)["name"].to_pylist() == ["also in", "in", "also in"]
    turned = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int8()), ["also in", "in"], ordered=True)
    assert file_sha256(written(tmp_path / "turned", pa.table({"name": turned}), 10)) == file_sha256(path)


def test_rows_come_back_as_they_were_in_row_groups_of_one_size(tmp_path) -> None:
    table = rows(2 * ROW_GROUP_ROWS + 5)
    path = written(tmp_path / "file", table, 10_000)
    assert pq.read_table(path).equals(table)
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(n).num_rows for n in range(3)] == [ROW_GROUP_ROWS, ROW_GROUP_ROWS, 5]


def test_a_file_without_rows_keeps_its_schema(tmp_path) -> None:
    path = written(tmp_path / "file", rows(3).slice(0, 0), 10)
    assert pq.read_table(path).schema.equals(rows(3).schema)
    assert pq.read_metadata(path).num_rows == 0


def test_metadata_of_the_schema_is_no_part_of_the_rows(tmp_path) -> None:
    table = rows(10)
    noted = table.replace_schema_metadata({"pandas": "1"})
    assert file_sha256(written(tmp_path / "a", table, 10)) == file_sha256(written(tmp_path / "b", noted, 10))


def test_rows_of_another_schema_are_refused(tmp_path) -> None:
    with (
        pytest.raises((ValueError, pa.ArrowInvalid)),
        ParquetWriter(tmp_path / "file", pa.schema({"x": pa.int64()})) as writer,
    ):
        writer.write(pa.table({"y": ["text"]}))


def test_the_hash_is_the_sha256_of_the_bytes(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()


def test_a_file_that_is_read_in_batches_is_never_held_as_a_whole(tmp_path) -> None:
    numbers = np.random.default_rng(0).normal(size=10 * ROW_GROUP_ROWS)
    path = written(tmp_path / "file", pa.table({"x": numbers}), ROW_GROUP_ROWS)
    before, held = pa.total_allocated_bytes(), list[int]()
    with open_parquet(path) as file:
        for batch in file.iter_batches():
            held.append(pa.total_allocated_bytes() - before)
            assert batch.num_rows
    assert max(held) < path.stat().st_size / 2


def test_texts_come_as_lists_of_them_where_that_is_asked_for(tmp_path) -> None:
    path = written(tmp_path / "file", pa.table({"a": ["x", "y", "x"], "b": ["x", "y", "x"]}), 3)
    with open_parquet(path, pq.read_metadata(path), lists=["b"]) as file:
        kinds = [pa.types.is_dictionary(field.type) for field in file.schema_arrow]
    assert kinds == [False, True]
