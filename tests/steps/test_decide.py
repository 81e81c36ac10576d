"""Decide on what a real champion's days show: one run a reason, a recorded no, and a replay that meets nobody."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.monitoring.policy import run_id_of
from pipelines.records import Decided, RunRequest
from pipelines.registry.decisions import put_request, stored_request_ids
from pipelines.registry.ledger import read_ledger
from pipelines.registry.monitored import PAGE_TAG
from pipelines.steps.begin import begin
from pipelines.steps.decide import decide
from pipelines.steps.request import request
from tests.faults.deadly import DeadlyStore, run_in_child
from tests.steps.deciding import wish
from tests.steps.watching import MODEL, Place, copy_tiny, day, end_of


@pytest.fixture
def place(trained_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A champion that has answered two days: on the 13th it is as good as it was, on the 14th all is reversed."""
    place = copy_tiny(trained_tiny, tmp_path, monkeypatch)
    place.deliver(13)
    place.deliver(14, is_reversed=True)
    place.score(13)
    place.score(14)
    return place


def begun(place: Place, decided: Decided, as_of: str, replay: str | None = None) -> RunRequest:
    """Let the run of a decision begin, as Airflow would."""
    assert decided.run_id is not None
    asked = RunRequest(run_id=decided.run_id, by="airflow", as_of=as_of, replay=replay)
    return begin(place.context, asked)


def actions(place: Place, replay: str | None = None) -> list[str]:
    return [entry.action for entry in place.decisions(replay)]


def test_a_champion_as_good_as_it_was_asks_for_nothing_and_the_look_is_recorded_once(place: Place) -> None:
    decided = place.decide(13)
    assert (decided.outcome, decided.run_id, decided.entry_seq) == ("none", None, place.decisions()[-1].seq)
    assert decided.reasons[0].startswith("measured roc_auc is 0.9")
    assert decided.reasons[0].endswith("not dropped")
    looks = place.decisions()
    assert place.decide(13) == decided
    assert place.decide(13, as_of=end_of(13).replace("T00", "T09")).outcome == "none"
    assert place.decisions() == looks
    assert looks[-1].action == "observed"
    assert looks[-1].evidence == (place.watch(13).sha256,)


def test_a_drop_starts_one_run_however_often_one_looks(place: Place) -> None:
    decided = place.decide(14)
    assert (decided.outcome, decided.run_after) == ("start", end_of(14))
    assert "dropped in 1 of the last 1 windows" in decided.reasons[0]
    (request_id,) = stored_request_ids(place.context.store, MODEL)
    assert decided.run_id == run_id_of(MODEL, request_id)
    entries = actions(place)
    again, later = place.decide(14), place.decide(14, as_of=end_of(15))
    assert [(one.outcome, one.run_id) for one in (again, later)] == [("known", decided.run_id)] * 2
    assert actions(place) == entries
    assert entries.count("requested") == 1


def test_the_run_learns_the_rows_that_showed_the_drop(place: Place) -> None:
    decided = place.decide(14)
    told = begun(place, decided, end_of(14))
    assert (told.window.start, told.window.end) == (day(1), end_of(14))
    assert "measured roc_auc" in told.note


def test_within_the_cooldown_a_drop_is_a_no_that_is_recorded_with_its_reason(place: Place) -> None:
    begun(place, place.decide(14), end_of(14))
    place.deliver(15, is_reversed=True)
    place.score(15)
    refused = place.decide(15)
    assert (refused.outcome, refused.run_id) == ("none", None)
    assert "cooldown of 3 days" in refused.reasons[-1]
    last = place.decisions()[-1]
    assert (last.action, last.reasons, last.evidence) == ("refused", refused.reasons, (place.watch(15).sha256,))
    assert place.decide(15).entry_seq == last.seq == len(place.decisions())
    assert len(stored_request_ids(place.context.store, MODEL)) == 1


def test_after_the_cooldown_the_same_drop_asks_for_the_next_run(place: Place) -> None:
    first = place.decide(14)
    begun(place, first, end_of(14))
    place.deliver(17, is_reversed=True)
    place.score(17)
    second = place.decide(17)
    assert second.outcome == "start"
    assert second.run_id not in (None, first.run_id)


def test_what_a_run_began_for_is_no_reason_for_another_when_the_cooldown_is_over(place: Place) -> None:
    first = place.decide(14)
    begun(place, first, end_of(14))
    later = place.decide(14, as_of=end_of(19))
    assert (later.outcome, later.run_id) == ("none", None)  # a run that Airflow forgot must not be made again
    assert later.reasons[-1] == f"{first.run_id} began for that very reason, and nothing has come since"
    assert actions(place)[-2:] == ["begun", "refused"]
    assert place.decide(14, as_of=end_of(19)) == later


def test_too_few_new_labels_are_no_reason(place: Place) -> None:
    place = place.changed("retraining", minimum_new_rows=10_000)
    decided = place.decide(14)
    assert (decided.outcome, actions(place)[-1]) == ("none", "observed")
    assert "only 240 labelled rows are new" in decided.reasons[-1]


def test_a_run_that_is_pending_is_named_again_by_a_look_that_finds_nothing(place: Place) -> None:
    asked = request(place.context, wish(1, model=MODEL), end_of(12))
    decided = place.decide(13)
    assert (decided.outcome, decided.run_id, decided.run_after) == ("known", asked.run_id, asked.run_after)
    assert "observed" in actions(place)


def test_a_drop_goes_into_the_run_that_is_pending(place: Place) -> None:
    asked = request(place.context, wish(1, model=MODEL), end_of(12))
    decided = place.decide(14)
    assert (decided.outcome, decided.run_id) == ("fold", asked.run_id)


def test_a_request_that_was_stored_and_never_decided_is_decided_by_the_next_look(place: Place) -> None:
    forgotten = wish(1, model=MODEL)
    put_request(place.context.store, forgotten)
    decided = place.decide(13)
    assert decided.run_id == run_id_of(MODEL, forgotten.id)


def test_a_replays_decisions_lie_apart_from_the_real_ones(place: Place) -> None:
    before = place.decisions()
    decided = place.decide(14, replay="r1")
    assert (decided.outcome, decided.replay, decided.as_of) == ("start", "r1", end_of(14))
    assert place.decisions() == before
    assert stored_request_ids(place.context.store, MODEL) == []
    assert actions(place, "r1") == ["requested"]
    runs = {decided.run_id, place.decide(14).run_id, place.decide(14, replay="r2").run_id}
    assert len(runs) == 3  # or Airflow would take one of them for another
    assert actions(place, "r1") == ["requested"]


def test_a_replays_run_begins_in_the_replays_own_chain_and_time(place: Place) -> None:
    decided = place.decide(14, replay="r1")
    before = place.decisions()
    told = begun(place, decided, end_of(14), replay="r1")
    assert (told.as_of, told.replay, told.run_id) == (end_of(14), "r1", decided.run_id)
    assert (told.window.start, told.window.end) == (day(1), end_of(14))
    assert actions(place, "r1") == ["requested", "begun"]
    assert place.decisions() == before
    refused = place.decide(14, as_of=end_of(15), replay="r1")
    assert "cooldown" in refused.reasons[-1]
    assert actions(place, "r1")[-1] == "refused"


def test_the_page_shows_the_decision(place: Place) -> None:
    decided = place.decide(14)
    page = place.context.store.read(str(decided.report_key)).decode()
    assert str(decided.run_id) in page
    assert place.decide(14).report_key is not None


def test_mlflow_shows_the_windows_on_the_versions_page(place: Place) -> None:
    from pipelines.registry.connection import connect

    decided = place.decide(13)
    version = connect(place.context.environment).get_model_version(MODEL, "1")
    assert version.tags[PAGE_TAG].endswith(str(decided.report_key).rsplit("/", 1)[1])


def test_a_replay_shows_nothing_in_mlflow(place: Place) -> None:
    from pipelines.registry.connection import connect

    place.decide(13, replay="r1")
    assert PAGE_TAG not in connect(place.context.environment).get_model_version(MODEL, "1").tags


def test_mlflow_down_does_not_stop_a_decision(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    settings = place.context.environment.mlflow.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    environment = place.context.environment.model_copy(update={"mlflow": settings})
    dark = Place(replace(place.context, environment=environment), place.rows)
    monitored = dark.monitor(14)
    with caplog.at_level(logging.WARNING):
        decided = decide(dark.context, monitored)
    assert decided.outcome == "start"
    assert "MLflow" in caplog.text


def test_killed_at_any_write_and_run_again_there_is_one_request_and_one_run(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitored = place.monitor(14)
    for point in range(5):
        trial = copy_tiny(tmp_path, tmp_path / f"trial-{point}", monkeypatch)
        deadly = replace(trial.context, store=DeadlyStore(trial.context.store, point))
        assert run_in_child(lambda deadly=deadly: decide(deadly, monitored)) < 0, point
        (request_id,) = {decide(trial.context, monitored).request_id, *stored_request_ids(trial.context.store, MODEL)}
        assert request_id is not None
        assert decide(trial.context, monitored).run_id == run_id_of(MODEL, request_id), point
        assert actions(trial).count("requested") == 1, point


def test_the_ledger_is_left_alone(place: Place) -> None:
    before = read_ledger(place.context.store, MODEL)
    place.decide(14)
    assert read_ledger(place.context.store, MODEL) == before
