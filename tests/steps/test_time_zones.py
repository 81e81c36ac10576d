"""Days of 23 and 25 hours, times written in other zones, and a machine that stands in one: a window is a day of UTC."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from pipelines.records import MonitoringReport, ScoredPartition, ScoredShard, Window, WindowRequest
from pipelines.steps.classic.monitor import monitor
from pipelines.steps.reports import read_report
from pipelines.steps.run import run_step_in
from tests.steps.watching import ROWS_A_DAY, Place, copy_tiny, day, end_of

ROOT = Path(__file__).resolve().parents[2]
BERLIN = ZoneInfo("Europe/Berlin")
CLOCKS_GO = {"forward": datetime(2013, 3, 31, tzinfo=BERLIN), "back": datetime(2013, 10, 27, tzinfo=BERLIN)}
A_DAY, STEP = timedelta(days=1), timedelta(minutes=10)


@pytest.fixture
def place(trained_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return zoned(trained_tiny, tmp_path, monkeypatch)


def zoned(before: Path, after: Path, patch: pytest.MonkeyPatch) -> Place:
    """Copy a champion that has learnt times without a zone to a folder where rows with a zone are to come."""
    place = copy_tiny(before, after, patch)
    types = {**place.context.spec.source.model_dump()["column_types"], "time": "TIMESTAMPTZ"}
    for old in place.rows.iterdir():
        old.unlink()  # of one source all times have a zone, or none has
    return place.changed("source", column_types=types)


def moments(midnight: datetime) -> list[datetime]:
    """Return what comes each ten minutes from the day before the clocks change to the day after, as the clock goes."""
    start, end = ((midnight + days).astimezone(UTC) for days in (-A_DAY, 2 * A_DAY))
    return [start + number * STEP for number in range((end - start) // STEP)]


def write(place: Place, times: Sequence[datetime], zone: tzinfo) -> None:
    """Write a row for each moment as a clock of the zone shows it; y follows from x."""
    chance = np.random.default_rng(1)
    lines = ["id,time,x,z,kind,y"]
    for row, moment in enumerate(times):
        x, z = chance.uniform(-1, 1), chance.normal()
        label = "yes" if x > 0 else "no"
        lines.append(f"{row},{moment.astimezone(zone).isoformat(' ')},{x:.6f},{z:.6f},{'ab'[row % 2]},{label}")
    (place.rows / "rows.csv").write_text("\n".join(lines) + "\n")


def whole_days(times: Sequence[datetime]) -> list[str]:
    """Return the days of UTC of which nothing is missing."""
    return [name for name, count in Counter(f"{moment:%Y-%m-%d}" for moment in times).items() if count == A_DAY / STEP]


def score(place: Place, window: Window, as_of: str) -> dict[str, ScoredPartition]:
    """Let the champion answer a window; return what is known of each of its partitions."""
    request = WindowRequest(window=window, as_of=as_of).to_dict()
    appointed = run_step_in(place.context, "appoint", request)
    ingested = run_step_in(place.context, "ingest", request)
    shard = ScoredShard.from_dict(run_step_in(place.context, "score", ingested, appointed, 0))
    return {one.name: one for one in shard.partitions}


@pytest.mark.parametrize("clocks", CLOCKS_GO)
def test_when_the_clocks_change_each_row_is_in_one_day_of_utc_and_no_day_is_longer(clocks: str, place: Place) -> None:
    midnight = CLOCKS_GO[clocks]
    times = moments(midnight)
    assert len(times) * STEP == 3 * A_DAY + timedelta(hours={"forward": -1, "back": 1}[clocks])
    days = whole_days(times)
    window = Window(start=days[0], end=after(days[-1]))
    write(place, times, UTC)
    in_utc = score(place, window, f"{after(days[-1])}T00:00:00+00:00")
    write(place, times, BERLIN)
    again = score(place, window, f"{after(days[-1])}T01:00:00+01:00")
    assert {name: one.partition_sha256 for name, one in again.items()} == {
        name: one.partition_sha256 for name, one in in_utc.items()
    }
    assert {name: one.num_rows for name, one in in_utc.items()} == dict.fromkeys(days, A_DAY // STEP)
    assert again == in_utc, "the same moments were answered twice"


def test_on_a_day_on_which_an_hour_comes_twice_labels_are_known_after_hours_that_have_passed(place: Place) -> None:
    midnight = CLOCKS_GO["back"]
    times = moments(midnight)
    name = f"{midnight:%Y-%m-%d}"
    write(place, times, BERLIN)
    place = place.changed("monitoring", label_delay_days=0.5)
    as_of = midnight.replace(hour=14).isoformat()  # 13:00 in UTC
    score(place, Window(start=name, end=after(name)), as_of)
    known = [
        moment
        for moment in times
        if f"{moment:%Y-%m-%d}" == name and moment <= datetime.fromisoformat(as_of) - A_DAY / 2
    ]
    (report,) = watch(place, Window(start=name, end=after(name)), as_of)
    assert report.num_rows == A_DAY // STEP
    assert report.num_labelled == len(known) == 7  # from 00:00 to 01:00 in UTC, the first time that it is 2 o'clock


def test_one_moment_in_any_zone_and_a_window_by_any_clock_are_the_same_look(
    trained_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = copy_tiny(trained_tiny, tmp_path, monkeypatch)
    place.deliver(13, is_reversed=True)
    place.score(13)
    expected = place.monitor(13)
    for as_of in (end_of(13).replace("+00:00", "Z"), f"{day(14)}T05:45:00+05:45", f"{day(13)}T17:00:00-07:00", day(14)):
        assert place.monitor(13, as_of) == expected, as_of
    asked = Window(start=f"{day(13)}T01:00:00+01:00", end=f"{day(13)}T19:00:00-05:00")
    assert monitor(place.context, WindowRequest(window=asked, as_of=end_of(13))) == expected
    assert len(place.keys("monitoring/windows/")) == 1
    decided = place.decide(13)
    assert decided.outcome == "start"
    assert place.decide(13, f"{day(14)}T05:45:00+05:45").run_id == decided.run_id
    assert [entry.action for entry in place.decisions()] == ["begun", "requested"]


ELSEWHERE = """
import json, sys
from pathlib import Path
import pytest
from tests.steps.test_time_zones import zoned, found_in
with pytest.MonkeyPatch.context() as patch:
    print(json.dumps(found_in(zoned(Path(sys.argv[1]), Path(sys.argv[2]), patch))))
"""


def found_in(place: Place) -> list[Any]:
    """Return what is answered, found and decided about a day of rows whose clock is two hours ahead of UTC."""
    place.deliver(13, is_reversed=True)
    file = place.rows / f"{day(13)}.csv"
    file.write_text(re.sub(r"(:00),", r"\1+02,", file.read_text()))
    return [place.score(13).to_dict(), place.watch(13).to_dict(), place.decide(13).run_id]


def test_a_machine_in_another_zone_finds_the_same(
    trained_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", ELSEWHERE, str(trained_tiny), str(tmp_path / "elsewhere")]
    there = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TZ": "Pacific/Auckland"}, stdout=subprocess.PIPE)
    here = found_in(zoned(trained_tiny, tmp_path / "here", monkeypatch))
    told, _ = there.communicate()
    assert there.returncode == 0
    assert json.loads(told.splitlines()[-1]) == json.loads(json.dumps(here))
    assert here[0]["num_rows"] == ROWS_A_DAY - 20  # the first two hours are of the day before


def after(name: str) -> str:
    """Return the name of the day after."""
    return (date.fromisoformat(name) + A_DAY).isoformat()


def watch(place: Place, window: Window, as_of: str) -> list[MonitoringReport]:
    monitored = monitor(place.context, WindowRequest(window=window, as_of=as_of))
    return [read_report(place.context.store, key) for key in monitored.report_keys]
