from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from tandem_windows import asked, partitions_asset, scores_asset

from pipelines.errors import UsageError
from pipelines.records import Window, WindowRequest


def _context(params: dict[str, Any], *extras: Any, user: str | None = "ada") -> dict[str, Any]:
    run = SimpleNamespace(
        run_after=datetime(2026, 1, 2, tzinfo=UTC), triggering_user_name=user, run_type="asset_triggered"
    )
    events = {partitions_asset("m"): [SimpleNamespace(extra=extra) for extra in extras]} if extras else {}
    return {"params": {"data_start": "2013-04-01", **params}, "dag_run": run, "triggering_asset_events": events}


def _asked(params: dict[str, Any], *extras: Any, **more: Any) -> WindowRequest:
    return WindowRequest.from_dict(asked(_context(params, *extras, **more)))


def test_the_form_says_window_moment_and_note() -> None:
    request = _asked({"data_end": "2013-05-01", "as_of": "2013-05-02T00:00:00Z", "note": "late rows"})
    assert request.window == Window(start="2013-04-01", end="2013-05-01")
    assert (request.as_of, request.note, request.by) == ("2013-05-02T00:00:00Z", "late rows", "ada")


def test_without_a_moment_it_is_the_runs_so_that_a_task_tried_again_asks_the_same() -> None:
    assert _asked({}).as_of == "2026-01-02T00:00:00+00:00"
    assert _asked({}, user=None).by == "asset_triggered"


def test_announcements_say_their_windows_and_several_are_one_span() -> None:
    may = {"window": {"start": "2013-05-01", "end": "2013-06-01"}}
    june = {"window": {"start": "2013-06-01", "end": "2013-07-01"}}
    assert _asked({}, may).window == Window(**may["window"])
    assert _asked({}, june, may).window == Window(start="2013-05-01", end="2013-07-01")


def test_announcements_of_several_zones_are_one_span_of_moments_and_not_of_texts() -> None:
    in_berlin = {"window": {"start": "2013-10-27T01:00:00+02:00", "end": "2013-10-27T02:30:00+01:00"}}
    in_utc = {"window": {"start": "2013-10-27T00:30:00Z", "end": "2013-10-27T02:00:00+00:00"}}
    assert _asked({}, in_utc, in_berlin).window == Window(
        start="2013-10-27T01:00:00+02:00", end="2013-10-27T02:00:00+00:00"
    )


@pytest.mark.parametrize("without", [None, {}, {"window": None}])
def test_an_announcement_without_a_window_asks_for_all_that_the_form_would(without: Any) -> None:
    may = {"window": {"start": "2013-05-01", "end": "2013-06-01"}}
    assert _asked({}, may, without).window == Window(start="2013-04-01", end=None)


def test_an_announced_window_that_is_open_makes_the_span_open() -> None:
    may = {"window": {"start": "2013-05-01", "end": "2013-06-01"}}
    assert _asked({}, may, {"window": {"start": "2013-06-01"}}).window == Window(start="2013-05-01", end=None)


def test_who_scores_and_who_waits_name_the_same_assets() -> None:
    assert (partitions_asset("m").uri, scores_asset("m").uri) == ("tandem://m/partitions", "tandem://m/scores")


@pytest.mark.parametrize("window", ["2013-05", {"from": "2013-05-01"}, {"start": 2013}])
def test_an_announcement_with_a_window_that_is_none_is_refused(window: Any) -> None:
    with pytest.raises(UsageError, match="An announcement of new rows names the window"):
        _asked({}, {"window": window})
