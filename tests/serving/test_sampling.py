from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipelines.errors import DataError
from pipelines.serving.sampling import chosen_rows


def _rows(num_rows: int = 4000) -> pa.Table:
    return pa.table({"id": list(range(num_rows)), "name": [f"n{number % 7}" for number in range(num_rows)]})


def _chosen(rows: pa.Table, columns: list[str], share: float, folder: Path) -> np.ndarray:
    return np.asarray(chosen_rows(rows, columns, share, folder))


def test_about_the_share_of_the_keys_is_chosen(tmp_path: Path) -> None:
    assert _chosen(_rows(), ["id"], 0.2, tmp_path).mean() == pytest.approx(0.2, abs=0.03)
    assert not _chosen(_rows(), ["id"], 0.0, tmp_path).any()


def test_a_key_is_chosen_wherever_it_stands(tmp_path: Path) -> None:
    rows = _rows()
    order = np.random.default_rng(0).permutation(rows.num_rows)
    assert (_chosen(rows, ["id"], 0.3, tmp_path)[order] == _chosen(rows.take(order), ["id"], 0.3, tmp_path)).all()


def test_a_larger_share_chooses_all_that_a_smaller_one_does(tmp_path: Path) -> None:
    small, large = (_chosen(_rows(), ["id"], share, tmp_path) for share in (0.1, 0.3))
    assert (large | ~small).all()
    assert large.sum() > small.sum()


def test_the_choice_is_another_than_that_of_a_holdout_by_the_same_key(tmp_path: Path) -> None:
    from pipelines.data.manifests import HoldoutRule
    from pipelines.data.splits import connected, held_out

    rows = _rows()
    rule = HoldoutRule(by="key", columns=("id",), share=0.3, salt="")
    with connected(tmp_path) as connection:
        table = connection.from_arrow(rows).project(f"{held_out(rule, rows.schema)} AS side").to_arrow_table()
    out = np.asarray(table.column(0))
    assert _chosen(rows, ["id"], 0.3, tmp_path)[out].mean() == pytest.approx(0.3, abs=0.06)


def test_times_and_nulls_are_keys_and_fractions_are_never_chosen(tmp_path: Path) -> None:
    rows = pa.table(
        {"at": [datetime(2013, 1, 1, hour % 24) for hour in range(50)], "x": [1.5, float("nan"), 2.0, None, 3.0] * 10}
    )
    assert _chosen(rows, ["at"], 0.5, tmp_path).any()
    chosen = _chosen(rows, ["x"], 0.99, tmp_path)
    assert chosen.tolist() == [False, False, True, True, True] * 10


def test_a_key_of_a_type_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Key column 'k'"):
        chosen_rows(pa.table({"k": [[1], [2]]}), ["k"], 0.5, tmp_path)
