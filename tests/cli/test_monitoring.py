"""`tandem monitor` and what `tandem replay` shows, on a tiny champion and days of rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.cli.scoring import show_replay
from pipelines.monitoring.replay import ReplayMonth, Score, summarize
from tests.steps.watching import MODEL, Place, copy_tiny, day, end_of


@pytest.fixture
def place(trained_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A champion that has answered two days: on the 14th all is reversed."""
    place = copy_tiny(trained_tiny, tmp_path, monkeypatch)
    place.deliver(13)
    place.deliver(14, is_reversed=True)
    place.score(13)
    place.score(14)
    return place


def monitored(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert main(["monitor", MODEL, "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_nothing_to_do_is_said_with_the_reason_and_where_the_page_is(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["monitor", MODEL, "--as-of", end_of(13)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"No retraining of {MODEL} as of {end_of(13)}"
    assert lines[1].startswith("  measured roc_auc is 0.9")
    page = lines[-1].removeprefix("Report: file://")
    assert "<html" in Path(page).read_text()


def test_a_drop_is_said_with_its_run_and_who_starts_it(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", MODEL, "--as-of", end_of(14)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"Retraining retrain__{shown.partition('retrain__')[2][:16]} of {MODEL} as of {end_of(14)}" in shown
    assert "dropped in 1 of the last 1 windows" in shown
    assert f"The next run of monitor__{MODEL} in Airflow starts it" in shown


def test_as_json_it_is_one_document_and_the_same_again(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    first = monitored(capsys, "--as-of", end_of(14))
    assert (first["outcome"], len(first["report_keys"])) == ("start", 2)
    assert [key.split("/")[3] for key in first["report_keys"]] == [day(13), day(14)]
    assert Path(first["page"].removeprefix("file://")).is_file()
    again = monitored(capsys, "--as-of", end_of(14))
    assert (again["outcome"], again["run_id"]) == ("known", first["run_id"])
    assert again["report_keys"] == first["report_keys"]


def test_windows_can_be_named(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    found = monitored(capsys, "--start", day(13), "--end", day(14), "--as-of", end_of(14))
    assert [key.split("/")[3] for key in found["report_keys"]] == [day(13)]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--as-of", end_of(12)], 1, "no partition was scored by 2013-01-13"),
        (["--as-of", "yesterday"], 2, "allowed is an ISO 8601 time"),
        (["--as-of", "2100-01-01"], 2, "a day ahead at most"),
        (["--start", day(14), "--end", day(13)], 2, "the start must lie before the end"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    place: Place, capsys: pytest.CaptureFixture[str], options: list[str], code: int, said: str
) -> None:
    assert main(["monitor", MODEL, *options]) == code
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_replay_is_shown_as_a_line_a_window_and_what_it_came_to(capsys: pytest.CaptureFixture[str]) -> None:
    worse, better = Score(value=0.6), Score(value=0.7)
    months = [
        ReplayMonth(
            window_name="2013-04", frozen=worse, served=worse, served_version=1, oracle=worse, outcome="start",
            reason="roc_auc [dropped]", retrained=True, promoted_version=2, is_oracle_retrained=False,
        ),
        ReplayMonth(window_name="2013-05", frozen=worse, served=better, served_version=2, oracle=better),
    ]  # fmt: skip
    summary = summarize(months, "roc_auc").to_dict()
    rows = [month.to_dict() for month in months]
    show_replay({"windows": rows, "metric": "roc_auc", "summary": summary, "picture": "/p.svg", "page": "/p.html"})
    shown = " ".join(capsys.readouterr().out.split())
    for expected in (
        "2013-04",
        "2013-05",
        "roc_auc [dropped]",
        "+0.0500 roc_auc",
        "1 retraining ran",
        "/p.svg",
        "/p.html",
    ):
        assert expected in shown, expected
