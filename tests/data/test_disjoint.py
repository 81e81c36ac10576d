"""The proof counts on the written files, and sees every row that is where it must not be."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.disjoint import prove_disjoint
from pipelines.data.manifests import HoldoutRule
from pipelines.data.splits import Cut, cut
from pipelines.errors import IntegrityError

BY_TIME = HoldoutRule(by="time", columns=("at",), last_days=2, first_holdout_day="2013-01-03")
BY_KEY = HoldoutRule(by="key", columns=("id",), share=0.25, salt="tandem")


def days(*numbers: int) -> pa.Table:
    return pa.table({"at": pa.array([dt.datetime(2013, 1, number, 12) for number in numbers], pa.timestamp("us"))})


def ids(*values: int) -> pa.Table:
    return pa.table({"id": pa.array(values, pa.int64())})


def cuts(folder: Path, train: list[pa.Table], holdout: list[pa.Table]) -> list[Cut]:
    """Write the sides by hand, right or wrong."""
    made = []
    for side, tables in (("train", train), ("holdout", holdout)):
        for number, table in enumerate(tables):
            path = folder / f"{side}{number}.parquet"
            pq.write_table(table, path)
            made.append(Cut(path.name, path if side == "train" else None, path if side == "holdout" else None))
    return made


def test_by_time_the_proof_tells_rows_and_the_times_at_the_border(tmp_path) -> None:
    proof = prove_disjoint(cuts(tmp_path, [days(1), days(2, 2)], [days(3, 4)]), BY_TIME, tmp_path)
    assert (proof.num_rows_train, proof.num_rows_holdout) == (3, 2)
    assert (proof.train_max, proof.holdout_min) == ("2013-01-02T12:00:00", "2013-01-03T12:00:00")
    assert (proof.misplaced_rows, proof.overlap) == (0, 0)


def test_by_key_the_proof_tells_rows_and_keys(tmp_path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(ids(*range(100), *range(100)), path)
    proof = prove_disjoint([cut("p", path, BY_KEY, tmp_path)], BY_KEY, tmp_path)
    assert proof.num_rows_train + proof.num_rows_holdout == 200
    assert proof.num_keys_train + proof.num_keys_holdout == 100
    assert (proof.misplaced_rows, proof.overlap) == (0, 0)


@pytest.mark.parametrize(
    ("rule", "train", "holdout", "told"),
    [
        (BY_TIME, [days(1, 3)], [days(3)], "1 rows are misplaced and 1 rows or keys are on both"),
        (BY_TIME, [days(1)], [days(2, 3)], "1 rows are misplaced and 0 rows or keys are on both"),
        (BY_TIME, [days(2)], [days(2, 3)], "1 rows are misplaced and 1 rows or keys are on both"),
        (BY_KEY, [ids(0, 2)], [ids(3)], "1 rows are misplaced and 0 rows or keys are on both"),
        (BY_KEY, [ids(0), ids(3)], [ids(3)], "1 rows are misplaced and 1 rows or keys are on both"),
        (BY_KEY, [ids(0)], [ids(0, 3)], "1 rows are misplaced and 1 rows or keys are on both"),
    ],
)
def test_a_row_on_the_wrong_side_is_seen(tmp_path, rule, train, holdout, told) -> None:
    with pytest.raises(IntegrityError) as caught:
        prove_disjoint(cuts(tmp_path, train, holdout), rule, tmp_path)
    assert told in str(caught.value)
    assert str(caught.value).endswith("0 of each are allowed. No snapshot was taken.")


def test_a_key_that_changes_its_type_between_partitions_is_still_one_key(tmp_path) -> None:
    as_text = pa.table({"id": ["3"]})
    with pytest.raises(IntegrityError, match="1 rows are misplaced and 1 rows or keys"):
        prove_disjoint(cuts(tmp_path, [ids(0), as_text], [ids(3)]), BY_KEY, tmp_path)


def test_a_time_or_key_that_is_missing_where_it_was_written_is_misplaced(tmp_path) -> None:
    nothing = pa.table({"at": pa.array([None, dt.datetime(2013, 1, 1)], pa.timestamp("us"))})
    with pytest.raises(IntegrityError, match="1 rows are misplaced"):
        prove_disjoint(cuts(tmp_path, [nothing], [days(3)]), BY_TIME, tmp_path)
