from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from pipelines.classic.search.planning import most_search_rows, plan_id, plan_search
from pipelines.classic.search.portfolio import portfolio
from pipelines.classic.search.rows import load_rows, read_rows, search_rows, write_rows
from pipelines.errors import DataError


def test_the_same_question_has_the_same_identity_and_another_has_another(planned: Callable[..., Any]) -> None:
    detail = planned()[0]
    assert plan_id(detail, "s1") == plan_id(planned()[0], "s1")
    others = [plan_id(detail, "s2"), *(plan_id(planned(**change)[0], "s1") for change in ({"trials": 9}, {"seed": 1}))]
    assert len({plan_id(detail, "s1"), *others}) == 4


def test_very_many_rows_are_searched_on_a_sample_and_that_is_said(planned: Callable[..., Any]) -> None:
    _, rows, _ = planned()
    chosen = search_rows(rows, 100, seed=0)
    assert len(chosen.y) == 100
    assert (chosen.y == rows.y[chosen.places]).all()
    assert (chosen.places == search_rows(rows, 100, seed=0).places).all()
    assert most_search_rows(20, 40.0) < most_search_rows(20, 400.0)


def test_more_rows_than_the_search_takes_make_a_note(
    table: Callable[..., pa.Table], training: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.classic.search.planning.FEWEST_SEARCH_ROWS", 50)
    detail = plan_search(read_rows(table(), training(), None), training(), None, 0.06, None)
    assert detail.num_search_rows == 600 // 9
    assert any(note.startswith("the search fits on 66 of 240 rows") for note in detail.notes)


def test_folds_along_time_are_planned_by_the_time_column(planned: Callable[..., Any]) -> None:
    detail, rows, chosen = planned(folds="time")
    assert detail.by_time
    assert detail.time_column == "when"
    assert rows.times[chosen.folds.learnt(0)].max() < rows.times[chosen.folds.judged(0)].min()


@pytest.mark.parametrize("column", [None, "elsewhere"])
def test_folds_along_time_need_a_time_column(
    table: Callable[..., pa.Table], training: Callable[..., Any], column: str | None
) -> None:
    with pytest.raises(DataError, match=f"need the time column {column!r}"):
        read_rows(table(), training(folds="time"), column)


def test_a_missing_time_is_counted(table: Callable[..., pa.Table], training: Callable[..., Any]) -> None:
    rows = table(50)
    when = pa.array([None, None, *rows["when"].to_pylist()[2:]], pa.timestamp("us"))
    rows = rows.set_column(rows.column_names.index("when"), "when", when)
    with pytest.raises(DataError, match="null in 2 of 50 training rows"):
        read_rows(rows, training(folds="time"), "when")


def test_rows_come_back_from_files_as_they_were(planned: Callable[..., Any], tmp_path: Any) -> None:
    _, _, chosen = planned(folds="time")
    write_rows(chosen, tmp_path)
    found = load_rows(tmp_path)
    assert (found.X == chosen.X).sum() == (chosen.X == chosen.X).sum()
    assert (found.y == chosen.y).all()
    assert (found.folds.fold_of == chosen.folds.fold_of).all()
    assert (found.folds.by_time, found.folds.num_folds) == (chosen.folds.by_time, chosen.folds.num_folds)
    assert found.shape == chosen.shape


@pytest.mark.parametrize(
    ("metric", "num_classes", "skewness"), [("f1", 2, None), ("log_loss", 5, None), ("mae", 0, 3.0)]
)
def test_a_portfolio_has_about_a_dozen_configurations_with_names_of_their_own(
    metric: str, num_classes: int, skewness: float | None
) -> None:
    chosen = portfolio(metric, num_classes, 5_000, skewness, fit_seconds=10.0)
    assert 11 <= len(chosen) <= 18
    assert len({own.name for own in chosen}) == len(chosen)
    assert len({own.family for own in chosen}) >= 6
    assert chosen[0].family == "boosting"


def test_kinds_that_cannot_stop_half_way_are_left_out_where_they_would_take_too_long() -> None:
    families = {own.family for own in portfolio("rmse", 0, 1_000_000, None, fit_seconds=4.0)}
    assert not families & {"kernel", "network"}


def test_a_target_without_skew_or_with_negative_values_is_not_learnt_by_its_logarithm() -> None:
    names = {own.name for own in portfolio("rmse", 0, 1_000, None, 10.0)}
    assert not any("log" in name or "gamma" in name for name in names)
