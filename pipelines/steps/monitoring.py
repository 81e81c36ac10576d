"""What the step `monitor` does for either half: choose the windows, make the reports that are not there, show them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from pipelines.data.periods import period_names, period_span
from pipelines.data.windows import bounds
from pipelines.errors import MonitoringRefused
from pipelines.monitoring.page import render_report, report_key
from pipelines.monitoring.policy import moment_of, text_of
from pipelines.monitoring.windows import MOST_WINDOWS
from pipelines.records import Decided, LedgerEntry, Monitored, MonitoringReport, Window, WindowRequest
from pipelines.registry.ledger import champion_entry, read_ledger
from pipelines.steps.context import Context
from pipelines.steps.ingest import ingest
from pipelines.steps.reports import Reports
from pipelines.steps.watched import Answers, Watched, find_watched
from pipelines.steps.watching import NOT_WATCHED, Half, empty_report, inputs_of, make_report

LOG = logging.getLogger(__name__)
MOST_TEACHING_WINDOWS = 3  # labelled windows that an estimate learns from: each is read at every look


def watch(context: Context, request: WindowRequest, half: Half) -> Monitored:
    """Store a report of each window that was scored, and a page that shows them beside those before."""
    spec, store = context.spec, context.store
    as_of = moment_of(request.as_of, datetime.now(UTC))
    entries = read_ledger(store, spec.name)
    serving = champion_entry(entries)
    if serving is None:
        raise MonitoringRefused(f"{spec.name}: no version serves yet. {NOT_WATCHED}; train a champion first.")
    rules = spec.monitoring
    newest = max(rules.drift.persistence.windows, rules.performance.persistence.windows)
    version = serving.version if request.replay else None
    answers = Answers(store, spec.name)
    found = find_watched(context, answers, entries, request.window, as_of, newest + 1, version)
    missing = sorted(_expected(context, request.window, found, as_of) - {watched.name for watched in found})
    if not found and not missing:
        raise MonitoringRefused(
            f"{spec.name}: no partition was scored by {text_of(as_of)}. {NOT_WATCHED}; score one first, with the DAG "
            f"score__{spec.name} or `tandem score {spec.name}`."
        )
    _bring_labels(context, [watched.name for watched in found])
    found = find_watched(context, answers, entries, request.window, as_of, newest + 1, version)  # with what came now
    reports = Reports(context.within(request.replay).store, spec, as_of)
    by_name = {watched.name: watched for watched in found}
    made, keys = list[MonitoringReport](), list[str]()
    for name in sorted([*by_name, *missing]):
        if name in by_name:
            made.append(_watched(context, half, by_name[name], serving, entries, answers, reports, as_of))
        else:
            made.append(_empty(context, name, serving, reports, as_of))
        keys.append(reports.add(made[-1]))
    return Monitored(
        model=spec.name,
        as_of=text_of(as_of),
        replay=request.replay,
        report_keys=tuple(keys),
        report_sha256s=tuple(report.sha256 for report in made),
        report_key=write_page(context, reports, None),
    )


def write_page(context: Context, reports: Reports, decided: Decided | None) -> str:
    """Store the page that shows the last windows, and what was decided; return its key."""
    names = [report.window_name for report in reports.last(most=MOST_WINDOWS)] or reports.names[-1:]
    before = sum(name < names[0] for name in reports.names)
    page = render_report(reports.made_of(names), decided, context.spec, before)
    key = report_key(context.spec.name, page)
    if context.store.stat(key) is None:
        context.store.write(key, page.encode())
    return key


def _watched(
    context: Context,
    half: Half,
    watched: Watched,
    serving: LedgerEntry,
    entries: Sequence[LedgerEntry],
    answers: Answers,
    reports: Reports,
    as_of: datetime,
) -> MonitoringReport:
    """Return the report of a window: the one that is there, where it was made from the same."""
    history = reports.last(watched.name)
    before = _before(context, watched, history, entries, answers, as_of)
    there = reports.newest(watched.name)
    if there is None or there.inputs_sha256 != inputs_of(context, half, watched, serving, before, history, as_of):
        num_labelled = partial(reports.num_labelled, watched.name)
        there = make_report(context, half, watched, serving, before, history, num_labelled, as_of)
        LOG.info("Window %s: %s", watched.name, _told(there))
    return there


def _empty(context: Context, name: str, serving: LedgerEntry, reports: Reports, as_of: datetime) -> MonitoringReport:
    fresh, there = empty_report(context, name, serving, as_of), reports.newest(name)
    return there if there is not None and there.inputs_sha256 == fresh.inputs_sha256 else fresh


def _before(
    context: Context,
    watched: Watched,
    history: Sequence[MonitoringReport],
    entries: Sequence[LedgerEntry],
    answers: Answers,
    as_of: datetime,
) -> list[Watched]:
    """Return the last windows before that the same version answered and labels have come of, the oldest first."""
    version, by = watched.scored.version, context.spec.source.partition_by
    same = [one.window_name for one in history if one.champion_version == version and one.num_labelled]
    same = same[-MOST_TEACHING_WINDOWS:]
    spans = [period_span(name, by) for name in same]
    starts, ends = [start for start, _ in spans if start], [end for _, end in spans if end]
    if not same or len(starts) < len(spans) or len(ends) < len(spans):
        return []
    window = Window(start=min(starts).isoformat(), end=max(ends).isoformat())
    found = find_watched(context, answers, entries, window, as_of, len(same), version)
    return [one for one in found if one.name in same and one.scored.version == version]


def _expected(context: Context, window: Window, found: Sequence[Watched], as_of: datetime) -> set[str]:
    """Return the windows that have ended and lie in the span asked for, or between those found where it is open."""
    by = context.spec.source.partition_by
    spans = [period_span(watched.name, by) for watched in found]
    start, end = bounds(window)
    start = min((first for first, _ in spans if first), default=None) if start is None else start
    end = max((last for _, last in spans if last), default=None) if end is None else end
    ended = as_of.astimezone(UTC).replace(tzinfo=None)
    return set(period_names(by, (start, ended if end is None else min(end, ended))))


def _bring_labels(context: Context, names: Sequence[str]) -> None:
    """Read the windows' rows from the source once more: labels come later than the rows that were scored."""
    spans = [period_span(name, context.spec.source.partition_by) for name in names]
    starts, ends = [start for start, _ in spans if start], [end for _, end in spans if end]
    if len(starts) == len(ends) == len(spans) and spans:
        ingest(context, WindowRequest(window=Window(start=min(starts).isoformat(), end=max(ends).isoformat())))
    elif context.spec.source.partition_by == "none" and spans:
        ingest(context, WindowRequest())


def _told(report: MonitoringReport) -> str:
    drifted = sum(column.drifted for column in report.columns)
    alarms = sum(one.severity != "info" for one in report.anomalies)
    figures = [one for one in report.performance if one.value is not None][:1]
    measured = f", {figures[0].metric} {figures[0].value:.4f}" if figures else ""
    return f"{report.num_rows:,} rows, {drifted} of {len(report.columns)} columns drifted, {alarms} alarms{measured}"
