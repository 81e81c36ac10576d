"""What a run over a window of data is asked for: by its form, the API, its cron, or the events of assets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from airflow.sdk import Asset, Param
from pydantic import ValidationError

from pipelines.errors import UsageError
from pipelines.records import Window, WindowRequest
from pipelines.spec import ModelSpec


def partitions_asset(model: str) -> Asset:
    """Return the asset whose events announce new rows; `extra` may say of which window, `{"start": …, "end": …}`."""
    return Asset(name=f"{model}_partitions", uri=f"tandem://{model}/partitions", group="tandem")


def scores_asset(model: str) -> Asset:
    """Return the asset that a scoring run updates; `extra` of its events says which window, and as of when."""
    return Asset(name=f"{model}_scores", uri=f"tandem://{model}/scores", group="tandem")


def window_fields(spec: ModelSpec) -> dict[str, Param]:
    """Return the fields of the form; a window begins where the training data ends, or by `window_days`."""
    date = {"type": ["null", "string"], "format": "date", "section": "Window"}
    start = None if spec.scoring.window_days else spec.schedule.data_end
    window = {
        "data_start": Param(start, title="From", description_md="First day of the rows.", **date),
        "data_end": Param(None, title="Until", description_md="First day after; all there are where left out.", **date),
    }
    return {**(window if spec.source.time_column else {}), **moment_fields()}


def moment_fields() -> dict[str, Param]:
    """Return the fields of the form that say of which moment a run is, and why."""
    moment = {"type": ["null", "string"], "format": "date-time", "section": "Moment"}
    kept = {"maxLength": 500, "title": "Note", "description_md": "Why you ask; kept with the run."}
    said = "The moment that the run is about; the present where left out."
    return {
        "as_of": Param(None, title="As of", description_md=said, **moment),
        "note": Param(None, type=["null", "string"], **kept),
    }


def asked(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked of this run, as a `WindowRequest` in plain JSON.

    Several announcements may come as one run: it looks at the window that spans theirs. One that names no window asks
    for all that the form would. The moment is that of the run, so that a task that is tried again asks the same.
    `replay` is no field of the form: a replay sends it with its call.

    Raises:
        UsageError: If an announcement's window is none.
    """
    params, dag_run = context["params"], context["dag_run"]
    window = Window(start=params.get("data_start"), end=params.get("data_end"))
    windows = [_announced(event.extra or {}) for event in _events(context)]
    if windows and None not in windows:
        window = _span([each for each in windows if each])
    request = WindowRequest(
        window=window,
        as_of=params.get("as_of") or dag_run.run_after.isoformat(),
        replay=params.get("replay"),
        note=params.get("note") or "",
        by=dag_run.triggering_user_name or dag_run.run_type,
    )
    return request.to_dict()


def _events(context: Mapping[str, Any]) -> list[Any]:
    return [event for each in (context.get("triggering_asset_events") or {}).values() for event in each]


def _announced(extra: Mapping[str, Any]) -> Window | None:
    found = extra.get("window")
    try:
        return Window.model_validate(found) if found else None
    except ValidationError as error:
        raise UsageError(
            f"An announcement of new rows names the window {found!r}; allowed is "
            '{"start": "2013-05-01", "end": "2013-06-01"}, either of which may be left out. Nothing was read.'
        ) from error


def _span(windows: Sequence[Window]) -> Window:
    """Return the window from the first moment of all to the last, whatever zones they are written in."""
    from pipelines.data.windows import bounds  # on the worker: parsing stays fast

    starts = [(bounds(each)[0], each.start) for each in windows]
    ends = [(bounds(each)[1], each.end) for each in windows]
    return Window(start=_bound(min, starts), end=_bound(max, ends))


def _bound(furthest: Callable[..., Any], moments: Sequence[tuple[datetime | None, str | None]]) -> str | None:
    if any(moment is None for moment, _ in moments):
        return None  # an open one makes the whole span open
    text: str | None = furthest(moments, key=itemgetter(0))[1]
    return text
