from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.errors import DataError, NoRows, UsageError
from pipelines.records import RunRequest, Window, WindowRequest
from pipelines.spec import load_model
from pipelines.spec.environment import Environment, MlflowSettings, StoreSettings
from pipelines.spec.model import ClassicSpec
from pipelines.steps.context import Context
from pipelines.steps.ingest import ingest
from pipelines.steps.run import run_step_in
from pipelines.store import open_store

LINES = "time,id,x,y,note\n2013-01-01,1,0.5,0,a\n2013-02-01,2,1.5,1,b\n,3,2.5,1,c\n"


def context_of(folder: Path, spec: ClassicSpec) -> Context:
    environment = Environment(
        name="test",
        home=folder,
        store=StoreSettings(uri=f"file://{folder}/store"),
        mlflow=MlflowSettings(tracking_uri=f"sqlite:///{folder}/mlflow.db", artifact_root=f"file://{folder}/artifacts"),
    )
    return Context(spec, environment, open_store(environment.store))


def tiny_spec(folder: Path, **source: Any) -> ClassicSpec:
    return ClassicSpec.model_validate(
        {
            "kind": "classic",
            "name": "tiny",
            "description": "Tells whether y follows from x.",
            "schedule": {"data_start": "2013-01-01", "data_end": "2013-03-01"},
            "source": {
                "type": "files",
                "paths": [f"{folder}/*.csv"],
                "format": "csv",
                "time_column": "time",
                "key_columns": ["id"],
                **source,
            },
            "holdout": {"by": "key", "share": 0.5},
            "training": {"task": "binary", "target": "y", "features": ["x"], "budget": {"trials": 1}},
            "gates": {"rules": [{"metric": "roc_auc", "minimum": 0.6}]},
        }
    )


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A tiny model over a file of three rows, with an empty store on the disk."""
    (tmp_path / "rows.csv").write_text(LINES)
    return context_of(tmp_path, tiny_spec(tmp_path))


def test_the_rows_are_in_the_store_by_month_with_all_their_columns(context: Context) -> None:
    ingested = ingest(context, RunRequest())
    january = ingested.partitions[0]

    assert [(partition.name, partition.num_rows) for partition in ingested.partitions] == [
        ("2013-01", 1),
        ("2013-02", 1),
        ("undated", 1),
    ]
    with context.store.fetch(january.key) as path:
        assert pq.read_table(path).select(["id", "x", "y", "note"]).to_pylist() == [
            {"id": 1, "x": 0.5, "y": 0, "note": "a"}
        ]
    assert (ingested.model, ingested.num_rows, ingested.new) == ("tiny", 3, ("2013-01", "2013-02", "undated"))
    assert ingested.source.startswith("csv files ")


def test_a_bound_that_is_not_asked_for_comes_from_the_spec(context: Context) -> None:
    assert ingest(context, RunRequest()).window == Window(start="2013-01-01", end="2013-03-01")

    asked = ingest(context, RunRequest(window=Window(start="2013-02-01")))

    assert asked.window == Window(start="2013-02-01", end="2013-03-01")
    assert [partition.name for partition in asked.partitions] == ["2013-02", "undated"]


def test_the_same_request_again_gives_the_same_record_and_writes_nothing(context: Context) -> None:
    first = ingest(context, RunRequest())
    stored = list(context.store.list())

    assert ingest(context, RunRequest(note="again", by="somebody else")) == first
    assert list(context.store.list()) == stored


def test_a_correction_of_the_past_is_noticed_and_named(context: Context, tmp_path: Path) -> None:
    before = ingest(context, RunRequest())
    (tmp_path / "rows.csv").write_text(LINES.replace("0.5", "0.25"))
    after = ingest(context, RunRequest())

    assert [change.name for change in after.changed] == ["2013-01"]
    assert after.changed[0].before_sha256 == before.partitions[0].content_sha256


def test_a_window_without_rows_is_no_new_data_and_leaves_nothing(context: Context) -> None:
    with pytest.raises(DataError, match=r"None of the 3 rows .* from 2020-01-01 to before 2020-02-01.*no new data"):
        ingest(context, RunRequest(window=Window(start="2020-01-01", end="2020-02-01")))
    assert list(context.store.list()) == []


def test_every_column_that_training_needs_must_be_there(context: Context, tmp_path: Path) -> None:
    assert list(context.spec.source_columns) == ["time", "id", "y", "x"]
    for column in ("time", "id", "x", "y"):
        (tmp_path / "rows.csv").write_text(LINES.replace(column, f"{column}_", 1))
        with pytest.raises(DataError, match=rf"rows\.csv: '{column}' is missing"):
            ingest(context, RunRequest())
    assert list(context.store.list()) == []


def test_a_bad_line_far_behind_leaves_nothing(context: Context, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(LINES + "2013-01-02,4,0.5,0,d\n" * 200_000 + "2013-01-03,5,zero,0,e\n")

    with pytest.raises(DataError, match=r"rows\.csv, line 200005, column 'x': found 'zero', expected DOUBLE"):
        ingest(context, RunRequest())
    assert list(context.store.list()) == []


def test_a_window_that_is_no_time_is_wrong_use(context: Context) -> None:
    with pytest.raises(UsageError, match="window's end is 'tomorrow'"):
        ingest(context, RunRequest(window=Window(end="tomorrow")))


def test_the_flights_come_by_month(tmp_path: Path) -> None:
    ingested = ingest(context_of(tmp_path, load_model("flight_delay")), RunRequest())

    assert {partition.name: partition.num_rows for partition in ingested.partitions} == {
        "2013-01": 27_004,
        "2013-02": 24_951,
        "2013-03": 28_834,
    }


def test_to_score_an_open_bound_is_open_and_a_window_may_be_empty(context: Context) -> None:
    open_window = ingest(context, WindowRequest())
    assert (open_window.window, open_window.num_rows) == (Window(), 3)
    month = ingest(context, WindowRequest(window=Window(start="2013-02-01", end="2013-03-01")))
    assert [one.name for one in month.partitions] == ["2013-02", "undated"]
    (context.environment.home / "rows.csv").write_text(LINES.rpartition("\n,")[0] + "\n")
    window = Window(start="2014-01-01", end="2014-01-02")
    nothing = ingest(context, WindowRequest(window=window))
    assert (nothing.window, nothing.partitions, nothing.num_rows) == (window, (), 0)
    with pytest.raises(NoRows):
        ingest(context, RunRequest(window=window))


def test_to_score_the_labels_need_not_be_there_yet(context: Context) -> None:
    lines = "time,id,x\n2013-01-01,1,0.5\n"
    (context.environment.home / "rows.csv").write_text(lines)
    assert ingest(context, WindowRequest()).num_rows == 1
    with pytest.raises(DataError, match="'y' is missing"):
        ingest(context, RunRequest())


def test_a_request_as_json_is_known_for_what_it_is(context: Context) -> None:
    window = {"start": "2013-01-01", "end": None}
    to_train = run_step_in(context, "ingest", RunRequest(window=Window(**window)).to_dict())
    to_score = run_step_in(context, "ingest", WindowRequest(window=Window(**window)).to_dict())
    assert to_train["window"] == {"start": "2013-01-01", "end": "2013-03-01"}
    assert to_score["window"] == window
