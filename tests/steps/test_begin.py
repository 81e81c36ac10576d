from __future__ import annotations

import pytest

from pipelines.errors import StoreError, UsageError
from pipelines.records import RunRequest, Window
from pipelines.registry.decisions import last_decision, read_decisions, state_after
from pipelines.spec.training import Budget
from pipelines.steps.begin import begin
from pipelines.steps.request import request
from pipelines.store import ObjectInfo
from pipelines.store.memory import MemoryStore
from tests.steps.deciding import MODEL, begun, context_of, run_of, wish

FORM = RunRequest(window=Window(start="2013-01-01", end="2013-02-01"), budget_trials=4, note="try", by="grace")


def test_a_run_by_form_does_what_was_asked_and_counts() -> None:
    context = context_of(MemoryStore(), cooldown_days=7)
    asked = FORM.model_copy(update={"run_id": "manual__1", "as_of": "2013-05-01"})
    told = begin(context, asked)
    assert told == asked.model_copy(update={"as_of": "2013-05-01T00:00:00+00:00"})
    (entry,) = read_decisions(context.store, MODEL)
    assert (entry.action, entry.run_id, entry.by, entry.asked) == ("begun", "manual__1", "grace", told)
    assert request(context, wish(), "2013-05-02").run_after == "2013-05-08T00:00:00+00:00"


def test_a_retraining_learns_up_to_its_newest_request_by_its_own_budget_and_says_why() -> None:
    context = context_of(MemoryStore(), window_days=30, budget=Budget(trials=7))
    decided = request(context, wish(1, note="slow"), "2013-05-01")
    request(context, wish(2, note="late"), "2013-05-03")
    told = begun(context, decided, window=FORM.window, budget_seconds=90.0, note="form", as_of="2013-05-03T12:00:00Z")
    assert told.window == Window(start="2013-04-03T00:00:00+00:00", end="2013-05-03T00:00:00+00:00")
    assert (told.budget_seconds, told.budget_trials) == (None, 7)
    assert (told.note, told.by, told.as_of) == ("event: slow; event: late", "ada", "2013-05-03T12:00:00+00:00")


def test_after_it_began_a_retraining_takes_no_more_requests() -> None:
    context = context_of(MemoryStore())
    first = request(context, wish(1))
    begun(context, first)
    second = request(context, wish(2))
    assert second.outcome == "start"
    assert second.run_id != first.run_id
    assert request(context, wish(1)).run_id == first.run_id


def test_a_run_that_begins_again_appends_nothing_and_is_told_the_same() -> None:
    context = context_of(MemoryStore())
    decided = request(context, wish(1))
    told = begun(context, decided)
    request(context, wish(2))
    again = begun(context, decided, note="a retry", as_of="2013-05-01")
    assert again == told
    assert [entry.action for entry in read_decisions(context.store, MODEL)] == ["requested", "begun", "requested"]
    assert state_after(last_decision(context.store, MODEL)).pending is not None


def test_a_run_that_only_looks_like_a_retraining_is_a_persons() -> None:
    context = context_of(MemoryStore())
    decided = request(context, wish())
    told = begin(context, FORM.model_copy(update={"run_id": "retrain__0123456789abcdef"}))
    assert (told.window, told.budget_trials, told.note, told.by) == (FORM.window, 4, "try", "grace")
    pending = state_after(last_decision(context.store, MODEL)).pending
    assert pending is not None
    assert pending.run_id == decided.run_id


def test_in_a_replay_a_run_that_was_held_begins_when_it_may() -> None:
    context = context_of(MemoryStore(), cooldown_days=7)
    begun(context, request(context, wish(1), "2013-05-01"), as_of="2013-05-01")
    told = begun(context, request(context, wish(2), "2013-05-02"), as_of="2013-05-02")
    assert told.as_of == told.window.end == "2013-05-08T00:00:00+00:00"
    assert request(context, wish(3), "2013-05-09").run_after == "2013-05-15T00:00:00+00:00"


def test_a_run_without_an_id_or_from_the_future_does_not_begin() -> None:
    context = context_of(MemoryStore())
    with pytest.raises(UsageError, match="needs an id"):
        begin(context, RunRequest())
    with pytest.raises(UsageError, match="a day ahead at most"):
        begin(context, RunRequest(run_id="a", as_of="2999-01-01"))
    assert list(context.store.list()) == []


class _DownOnce(MemoryStore):
    """A store that takes a decision, and does not answer the first time."""

    is_down = True

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        info = super().put_if_absent(key, data)
        if "/decisions/" in key and self.is_down:
            self.is_down = False
            raise StoreError("The store does not answer.")
        return info


def test_a_begin_whose_answer_was_lost_is_found_when_it_is_tried_again() -> None:
    context = context_of(_DownOnce())
    asked = FORM.model_copy(update={"run_id": "manual__1"})
    with pytest.raises(StoreError):
        begin(context, asked)
    assert begin(context, asked).note == "try"
    assert len(read_decisions(context.store, MODEL)) == 1


def test_a_replay_begins_apart_from_what_is_real() -> None:
    context = context_of(MemoryStore())
    decided = request(context.within("y2013"), wish(), "2013-05-01")
    told = begin(context, run_of(decided, as_of="2013-05-01", replay="y2013"))
    assert (told.replay, told.note) == ("y2013", "event, asked by ada")
    assert read_decisions(context.store, MODEL) == []
    assert [entry.action for entry in read_decisions(context.within("y2013").store, MODEL)] == ["requested", "begun"]
