from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.quality.rows import open_rows
from pipelines.errors import DataError

FIRST = pa.table({"a": [1, 2], "b": ["x", "y"]})


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (FIRST.drop_columns("b"), "b is missing"),
        (FIRST.append_column("c", pa.array([1, 2])), "c is new"),
        (FIRST.set_column(0, "a", pa.array(["1", "2"])), "a is string and not int64"),
        (FIRST.rename_columns(["a", "B"]), "b is missing; B is new"),
        (FIRST.select(["b", "a"]), "the same ones in another order"),
    ],
)
def test_partitions_of_different_columns_are_refused_with_the_difference(
    with_rows: Callable[..., Any], other: pa.Table, difference: str
) -> None:
    with pytest.raises(DataError) as raised:
        with_rows([FIRST, other], lambda rows: rows)

    assert str(raised.value) == (
        f"Partition 1 has other columns than 0: {difference}. Nothing was checked, nothing was trained."
    )


def test_a_column_that_may_not_be_null_is_no_other_column(with_rows: Callable[..., Any]) -> None:
    strict = FIRST.cast(pa.schema([pa.field("a", pa.int64(), nullable=False), pa.field("b", pa.string())]))

    assert with_rows([FIRST, strict], lambda rows: rows.num_rows) == 4


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "x.parquet"
    broken.write_bytes(b"PAR1 and no more")

    with (
        pytest.raises(DataError, match="Partition 2013-01 is no readable Parquet file"),
        open_rows({"2013-01": broken}, tmp_path),
    ):
        pass


def test_a_column_that_stands_there_twice_is_refused(with_rows: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match="more than one column named a"):
        with_rows([FIRST.rename_columns(["a", "a"])], lambda rows: rows)


def test_scalars_are_computed_over_all_files(with_rows: Callable[..., Any]) -> None:
    assert with_rows([FIRST, FIRST], lambda rows: rows.scalars(["sum(a)", "count(*)"])) == [6, 4]


def test_duckdb_keeps_to_its_memory_and_to_this_machine(tmp_path: Path) -> None:
    pq.write_table(FIRST, tmp_path / "a.parquet")
    with open_rows({"a": tmp_path / "a.parquet"}, tmp_path / "spill") as rows:
        [(limit, folder, install)] = rows.run(
            "SELECT current_setting('memory_limit'), current_setting('temp_directory'), "
            "current_setting('autoinstall_known_extensions')"
        )
    assert limit == "610.3 MiB"
    assert folder == str(tmp_path / "spill")
    assert install is False


def test_a_statement_that_cannot_run_raises(with_rows: Callable[..., Any]) -> None:
    with pytest.raises(duckdb.Error):
        with_rows([FIRST], lambda rows: rows.scalars(["sum(c)"]))
