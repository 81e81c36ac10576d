from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import UsageError
from pipelines.records import Window, WindowRequest
from pipelines.serving.windows import scored_window
from pipelines.spec.model import ClassicSpec


def _spec(by: str, days: float | None) -> ClassicSpec:
    source: dict[str, Any] = {"type": "files", "paths": ["x"], "format": "csv", "time_column": "t", "partition_by": by}
    return ClassicSpec.model_validate(
        {
            "kind": "classic",
            "name": "tiny",
            "description": "Tells.",
            "source": {**source, "key_columns": ["id"]},
            "scoring": {"window_days": days},
            "holdout": {"by": "key", "share": 0.5},
            "training": {"task": "binary", "target": "y", "features": ["x"], "budget": {"trials": 1}},
            "gates": {"rules": [{"metric": "roc_auc", "minimum": 0.6}]},
        }
    )


@pytest.mark.parametrize(
    ("by", "days", "start"),
    [
        ("month", 3, "2013-05-01T00:00:00"),
        ("month", 20, "2013-04-01T00:00:00"),
        ("day", 3, "2013-05-12T00:00:00"),
        ("day", 0.5, "2013-05-14T00:00:00"),
        ("year", 3, "2013-01-01T00:00:00"),
        ("none", 0.5, "2013-05-14T22:00:00"),
    ],
)
def test_an_open_window_begins_with_the_partition_that_many_days_ago(by: str, days: float, start: str) -> None:
    request = WindowRequest(as_of="2013-05-15T12:00:00+02:00")
    assert scored_window(_spec(by, days), request) == Window(start=start)


def test_a_window_that_is_asked_for_is_the_window() -> None:
    for window in (Window(start="2013-01-15"), Window(end="2013-02-01")):
        assert scored_window(_spec("month", 3), WindowRequest(window=window)) == window
    assert scored_window(_spec("month", None), WindowRequest()) == Window()


def test_a_moment_that_is_no_time_is_refused() -> None:
    with pytest.raises(UsageError, match="'soon'"):
        scored_window(_spec("month", 3), WindowRequest(as_of="soon"))
