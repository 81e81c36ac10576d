"""Replay days of a tiny model through every step, with an Airflow that runs the tasks here and now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from pipelines.errors import DataError, GateFailed, ServiceError, UsageError
from pipelines.local.airflow_api import AirflowApi
from pipelines.local.replay import Replayed, keep, replay
from pipelines.local.replay_windows import windows_between
from pipelines.monitoring.replay import ReplayMonth, Score
from pipelines.records import RunRequest, Window, WindowRequest
from pipelines.registry.decisions import read_decisions
from pipelines.registry.ledger import read_ledger
from pipelines.steps.loop import run_monitoring, run_scoring, run_training
from pipelines.store.nested import NestedStore
from tests.steps.watching import MODEL, Place, copy_tiny, day

LINKS = {"airflow_url": "http://127.0.0.1:9", "user": "admin", "password": "none"}
pytestmark = pytest.mark.timeout(300)


class InstantAirflow(AirflowApi):
    """An Airflow that runs each DAG to its end as it is triggered, and remembers what its tasks left.

    `unreachable` and `broken` name runs by how they begin: the first time such a run is asked about Airflow does not
    answer; the first time one is triggered, it fails.
    """

    def __init__(self, unreachable: str = "", broken: str = "") -> None:
        self.unreachable, self.broken = unreachable, broken
        self.runs: dict[str, dict[str, Any]] = {}
        self.states: dict[str, str] = {}

    def __call__(self, *_: str) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def find_dag(self, dag_id: str) -> dict[str, Any] | None:
        return {"dag_id": dag_id}

    def unpause(self, dag_id: str) -> None:
        """Nothing is paused."""

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> bool:
        kind, key = dag_id.partition("__")[0], f"{dag_id}/{run_id}"
        if key in self.states:
            return False
        if self.broken and key.startswith(self.broken):
            self.broken, self.states[key] = "", "failed"
            return True
        try:
            self.runs[key] = self._run(kind, run_id, conf)
        except GateFailed:
            self.states[key] = "failed"
        else:
            self.states[key] = "success"
        return True

    def _run(self, kind: str, run_id: str, conf: Mapping[str, Any]) -> dict[str, Any]:
        about = {"as_of": conf["as_of"], "replay": conf["replay"], "by": "airflow"}
        if kind == "train":
            return run_training(MODEL, RunRequest(run_id=run_id, **about))
        window = Window(start=conf["data_start"], end=conf["data_end"])
        if kind == "score":
            return run_scoring(MODEL, WindowRequest(window=window, **about))
        left = run_monitoring(MODEL, WindowRequest(window=window, **about))
        decided = left["decide"]
        if decided["run_id"] is not None:
            self.trigger(f"train__{MODEL}", decided["run_id"], {**about, "as_of": decided["as_of"]})
        return left

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        key = f"{dag_id}/{run_id}"
        if self.unreachable and key.startswith(self.unreachable):
            self.unreachable = ""
            raise ServiceError("Airflow does not answer")
        return {"state": self.states[key]}

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return []

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        return self.runs[f"{dag_id}/{run_id}"].get(task_id)

    def triggered(self, kind: str) -> list[str]:
        return [key.partition("/")[2] for key in self.states if key.startswith(f"{kind}__")]


@pytest.fixture
def place(trained_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A champion under a gate that lets nearly everything pass; on the 13th all is reversed."""
    place = copy_tiny(trained_tiny, tmp_path, monkeypatch)
    spec = tmp_path / "root" / "config" / "models" / f"{MODEL}.yaml"
    spec.write_text(spec.read_text().replace("minimum: 0.6", "minimum: 0.01"))
    place.deliver(13, is_reversed=True)
    place.deliver(14)
    return place


def test_windows_are_whole_partitions() -> None:
    assert [window.name for window in windows_between("month", "2013-11", "2014-01")] == [
        "2013-11",
        "2013-12",
        "2014-01",
    ]
    (leap,) = windows_between("day", "2012-02-29", "2012-02-29")
    assert (leap.span, leap.begin) == (Window(start="2012-02-29", end="2012-03-01"), "2012-02-29T00:00:00+00:00")
    assert leap.as_of == "2012-03-01T00:00:00+00:00"
    (year,) = windows_between("year", "2013", "2013")
    assert (year.start, year.end) == ("2013-01-01", "2014-01-01")


@pytest.mark.parametrize(
    ("by", "first", "last"),
    [
        ("month", "2013-05", "2013-04"),
        ("month", "2013-05-01", "2013-06"),
        ("month", "2013", "2013"),
        ("day", "2013-05", "2013-06"),
        ("month", "spring", "summer"),
        ("month", "2013-13", "2013-13"),
        ("month", "", ""),
        ("month", "undated", "undated"),
        ("month", "2000-01", "2013-01"),
        ("none", "all", "all"),
    ],
)
def test_what_is_no_span_of_windows_is_refused(by: Any, first: str, last: str) -> None:
    with pytest.raises(UsageError, match="Nothing was replayed"):
        windows_between(by, first, last)


def test_a_language_model_is_not_replayed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="python_helper is a language model"):
        replay("python_helper", "2013-04", "2013-05", LINKS, InstantAirflow())


def test_rows_that_the_champion_has_learnt_from_are_not_replayed(place: Place) -> None:
    airflow = InstantAirflow()
    with pytest.raises(DataError, match="was trained on rows until 2013-01-13, and the replay begins with 2013-01-12"):
        replay(MODEL, day(12), day(13), LINKS, airflow)
    assert airflow.states == {}


def test_an_interrupted_replay_goes_on_and_each_thing_happens_once(place: Place) -> None:
    """The champion fails on the 13th; a training is asked for, and Airflow goes away while it is followed."""
    airflow = InstantAirflow(unreachable=f"train__{MODEL}/")
    with pytest.raises(ServiceError, match="does not answer"):
        replay(MODEL, day(13), day(14), LINKS, airflow)
    replayed = replay(MODEL, day(13), day(14), LINKS, airflow)

    first, second = replayed.windows
    assert [one.window_name for one in replayed.windows] == [day(13), day(14)]
    assert (first.outcome, first.retrained, first.promoted_version) == ("start", True, 2)
    assert (first.served_version, second.served_version) == (1, 2)
    assert first.frozen == first.served == first.oracle
    assert first.frozen is not None
    assert first.frozen.value < 0.2
    assert [one.is_oracle_retrained for one in replayed.windows] == [False, True]
    assert second.oracle == second.served != second.frozen  # the oracle learns what the retraining learnt
    assert (second.outcome, second.retrained) == ("none", False)

    (run_id,) = airflow.triggered("train")
    assert [len(airflow.triggered(kind)) for kind in ("score", "monitor")] == [2, 2]
    assert len(read_ledger(place.context.store, MODEL)) == 2
    (name,) = {key.split("/")[2] for key in place.keys("replays/")}
    chain = read_decisions(NestedStore(place.context.store, f"{MODEL}/replays/{name}"), MODEL)
    assert [(entry.action, entry.run_id) for entry in chain][:2] == [("requested", run_id), ("begun", run_id)]
    assert "begun" not in [entry.action for entry in place.decisions()[1:]]

    before = dict(airflow.states)
    assert replay(MODEL, day(13), day(14), LINKS, airflow) == replayed
    assert airflow.states == before


def test_a_window_whose_run_failed_is_tried_under_the_next_number_and_one_without_rows_is_played(place: Place) -> None:
    (place.rows / f"{day(13)}.csv").unlink()
    airflow = InstantAirflow(broken=f"score__{MODEL}/")
    with pytest.raises(ServiceError, match="ended red"):
        replay(MODEL, day(13), day(13), LINKS, airflow)
    (played,) = replay(MODEL, day(13), day(13), LINKS, airflow).windows
    first, second = airflow.triggered("score")
    assert second == f"{first}-2"
    assert (played.frozen, played.served, played.oracle) == (None, None, None)
    assert (played.num_alarms, played.outcome) == (1, "none")


def test_picture_and_page_are_kept_under_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path))
    score = Score(value=0.7, low=0.6, high=0.8)
    months = tuple(ReplayMonth(window_name=day(n), frozen=score, served=score, oracle=score) for n in (13, 14))
    kept = keep(Replayed(model=MODEL, metric="roc_auc", first_version=1, windows=months))
    folder = tmp_path / "replays" / f"{MODEL}-{day(13)}"
    assert (kept["picture"], kept["page"]) == (str(folder / "replay.png"), str(folder / "replay.html"))
    assert day(14) in (folder / "replay.html").read_text()
    assert (folder / "replay.png").stat().st_size > 1000
    assert kept["summary"]["mean_gain"] == 0
    assert keep(Replayed.from_dict({key: kept[key] for key in Replayed.model_fields})) == kept
