from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tandem_form import requested

from pipelines.records import RunRequest, Window


def _asked(user: str | None = "ada", **params: Any) -> RunRequest:
    run = SimpleNamespace(run_id="manual__1", run_type="scheduled", triggering_user_name=user)
    return RunRequest.from_dict(requested({"params": params, "dag_run": run}))


def test_a_form_asks_for_a_window_and_a_budget_in_the_name_of_who_filled_it_in() -> None:
    asked = _asked(data_start="2013-01-01", data_end=None, budget_seconds=90, budget_trials=4, note="try")
    assert asked == RunRequest(
        window=Window(start="2013-01-01"), budget_trials=4, note="try", by="ada", run_id="manual__1"
    )
    assert _asked(user=None, note=None).by == "scheduled"


def test_the_run_is_named_and_a_replay_sends_its_moment_along() -> None:
    asked = _asked(as_of="2013-05-01", replay="y2013")
    assert (asked.run_id, asked.as_of, asked.replay) == ("manual__1", "2013-05-01", "y2013")
    assert (_asked().as_of, _asked().replay) == (None, None)
