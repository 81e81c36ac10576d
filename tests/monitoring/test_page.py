"""The monitoring page: whole, alone, escaped, and it says the numbers that it draws."""

from __future__ import annotations

import re
import time

import pytest

from pipelines.errors import UsageError
from pipelines.monitoring.page import render_report, report_key
from pipelines.records import Anomaly, MonitoringReport
from pipelines.spec import ModelSpec, load_model
from tests.monitoring.histories import FLIGHT_COLUMNS, decided, history, months, silent
from tests.monitoring.pages import assert_whole_and_alone

NASTY = "<script>alert('x')</script>&\"' \u202e"


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return load_model("flight_delay")


def _with(report: MonitoringReport, **changes: object) -> MonitoringReport:
    return report.model_copy(update=changes)


@pytest.mark.parametrize(
    "reports",
    [
        history(9),
        history(24, retrained_in=(4, 9, 16)),
        history(1),
        [silent()],
        [silent(month) for month in months(3)],
        [_with(report, performance=(), num_labelled=0) for report in history(5)],
        [_with(report, columns=(), predictions=(), joint=None, anomalies=()) for report in history(3)],
        history(24, [f"{'a_long_name_' * 5}{number:03d}" for number in range(200)]),
    ],
    ids=["nine", "all", "one", "silent", "three silent", "unlabelled", "no columns", "200 columns"],
)
def test_whatever_is_known_the_page_is_whole_and_needs_nothing_but_itself(
    reports: list[MonitoringReport], spec: ModelSpec
) -> None:
    for decision in (None, decided("start", "it fell"), decided("none")):
        page = assert_whole_and_alone(render_report(reports, decision, spec))
        assert len(page.html) < 1_000_000
        assert reports[-1].window_name in page.text
        assert "None" not in page.text.replace("None in", "")
        assert "nan" not in re.findall(r"\w+", page.html)


def test_whatever_stands_in_the_data_stays_text(spec: ModelSpec) -> None:
    report = _with(
        history(1, [NASTY, "b"])[0],
        window_name=NASTY,
        anomalies=(Anomaly(kind=NASTY, severity="critical", column=NASTY, message=NASTY),),
    )
    page = assert_whole_and_alone(render_report([report], decided("none", NASTY, NASTY), spec))
    assert page.text.count("<script>alert('x')</script>") >= 8


def test_the_same_reports_give_the_same_page(spec: ModelSpec) -> None:
    pages = [render_report(history(5), decided("start", "it fell"), spec) for _ in range(2)]
    assert pages[0] == pages[1]
    key = report_key("flight_delay", pages[0])
    assert re.fullmatch(r"flight_delay/reports/monitoring/[0-9a-f]{64}\.html", key)
    assert report_key("flight_delay", render_report(history(5), None, spec)) != key


def test_the_page_says_every_number_that_it_draws(spec: ModelSpec) -> None:
    reports = history(9)
    text = assert_whole_and_alone(render_report(reports, None, spec)).text
    for report in reports[:-1]:
        measured = report.performance[0]
        assert f"{measured.value:.3f} [{measured.low:.3f}, {measured.high:.3f}]" in text
    for column in reports[-1].columns:
        assert re.search(rf"{column.column} .*{column.distance:.3f}", text)


def test_a_column_that_matters_and_moved_comes_first(spec: ModelSpec) -> None:
    newest = history(9)[-1]
    weights = {"hour": 0.9, "temperature": 0.0}
    columns = tuple(one.model_copy(update={"weight": weights.get(one.column, 0.01)}) for one in newest.columns)
    html = render_report([*history(9)[:-1], _with(newest, columns=columns)], None, spec)
    order = [name for name in re.findall(r"<h3>(\w+)</h3>", html) if name in FLIGHT_COLUMNS]
    assert order[:2] == ["hour", "dew_point"]
    assert order[-1] == "temperature"


def test_a_column_that_is_gone_comes_last_and_is_said_to_be_gone(spec: ModelSpec) -> None:
    html = render_report([history(1, ["gone", "kept"])[0], history(2, ["kept"])[1]], None, spec)
    order = re.findall(r"<h3>(gone|kept)</h3>", html)
    assert order == ["kept", "gone"]
    assert "not in the newest window" in html


def test_the_picture_of_a_column_says_when_it_drifted(spec: ModelSpec) -> None:
    page = assert_whole_and_alone(render_report(history(5), None, spec))
    (words,) = [value for name, value in page.attributes if name == "aria-label" and value.startswith("temperature:")]
    assert re.search(r"alarm from 0\.08; drifted in 4 of 5 windows, last in 2013-08\.", words)


def test_which_version_answered_when_is_drawn_as_bands(spec: ModelSpec) -> None:
    html = render_report(history(9, retrained_in=(3, 6)), None, spec)
    bands = re.findall(r'<rect class="band[01]" x="([\d.]+)%".*?<title>(version \d)</title>', html)
    assert bands == [("0.00", "version 1"), ("33.33", "version 2"), ("66.67", "version 3")]


def test_the_margin_is_drawn_where_the_spec_says(spec: ModelSpec) -> None:
    html = render_report(history(3), None, spec)
    reference = history(3)[0].performance[0].reference
    assert reference is not None
    assert f"<title>reference {reference:g}</title>" in html
    assert f"<title>bound {reference - spec.monitoring.performance.may_drop_by:g}</title>" in html


def test_where_less_is_better_the_margin_lies_above(spec: ModelSpec) -> None:
    performance = spec.monitoring.performance.model_copy(update={"metric": "brier"})
    watched = spec.monitoring.model_copy(update={"performance": performance})
    html = render_report(history(3), None, spec.model_copy(update={"monitoring": watched}))
    assert "<title>reference 0.158</title>" in html
    assert "<title>bound 0.178</title>" in html


def test_of_many_windows_the_last_31_are_drawn_and_it_says_where_the_others_are(spec: ModelSpec) -> None:
    text = assert_whole_and_alone(render_report(history(37), None, spec, num_before=1_000)).text
    shown = set(re.findall(r"20\d\d-\d\d\b(?!-)", text))
    assert set(months(37)[6:]) <= shown
    assert not set(months(37)[:6]) & shown
    assert "1,006 earlier windows not shown" in text
    assert "flight_delay/monitoring/windows/" in text
    assert "not shown" not in assert_whole_and_alone(render_report(history(31), None, spec)).text


def test_without_a_report_there_is_no_page(spec: ModelSpec) -> None:
    with pytest.raises(UsageError, match="no monitoring report"):
        render_report([], None, spec)


def test_two_years_of_twenty_columns_take_less_than_a_second(spec: ModelSpec) -> None:
    reports = history(24)
    started = time.process_time()
    render_report(reports, None, spec)
    assert time.process_time() - started < 1


def test_each_way_in_which_writing_is_compared_has_a_picture_and_a_row_of_its_own(spec: ModelSpec) -> None:
    looks = {"messages (length)": "ks", "messages (words)": "words", "messages (meaning)": "centroid"}
    reports = [
        _with(report, columns=tuple(one.model_copy(update={"measure": looks[one.column]}) for one in report.columns))
        for report in history(4, list(looks))
    ]
    page = assert_whole_and_alone(render_report(reports, None, spec))
    for name, told in zip(looks, ("KS", "words", "embeddings"), strict=True):
        assert f"<h3>{name}</h3>" in page.html
        assert f"<td>{name}</td><td>{told}</td>" in page.html
    assert "for the words of writing; for what writing is about, how far the means of its embeddings" in page.text
    assert "writing" not in assert_whole_and_alone(render_report(history(4), None, spec)).text
