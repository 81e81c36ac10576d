"""Show in MLflow how a version does: its figures window by window, the page, and where Airflow shows it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

from mlflow.entities import Metric, RunTag

from pipelines.records import MonitoringReport, PerformanceValue, sha256_of
from pipelines.registry.connection import connect, translated, written
from pipelines.registry.figures import allowed
from pipelines.spec import Environment

PAGE_TAG = "tandem.monitoring"
SHOWN_TAG = "tandem.monitoring_sha256"
FOLDER = "monitoring"
_MOST_AT_ONCE = 1000  # MLflow refuses longer lists
_OUTCOME = "what was monitored is stored, and MLflow does not show it"
_FILE_NAME = re.compile(r"[^\w.\-]")
_DAY = re.compile(r"\d{4}-\d\d(-\d\d)?")


def show_monitored(environment: Environment, reports: Sequence[MonitoringReport], page: str, address: str) -> None:
    """Write figures and page to the run of the version that answered the newest window, and the page's address to both.

    A figure's step in MLflow is the day on which its window begins, counted from 1970, and its time is that at which it
    was known. The same again adds nothing, and a call that was killed is made good by the next.

    Args:
        environment: Where MLflow is.
        reports: Oldest first; figures of windows that other versions answered are left to those versions' runs.
        page: The monitoring page as HTML.
        address: Where a browser finds the page.

    Raises:
        RegistryError: If MLflow does not answer, or has no such version.
    """
    newest = reports[-1]
    model, number = newest.model, str(newest.champion_version)
    own = [report for report in reports if report.champion_version == newest.champion_version]
    shown = sha256_of([page, address, [report.sha256 for report in own]])
    client = connect(environment, _OUTCOME)
    with translated(environment, _OUTCOME):
        version = client.get_model_version(model, number)
        run_id = str(version.run_id)
        if client.get_run(run_id).data.tags.get(SHOWN_TAG) == shown and version.tags.get(PAGE_TAG) == address:
            return
        metrics = [metric for report in own for metric in _metrics(report)]
        for start in range(0, len(metrics), _MOST_AT_ONCE):
            client.log_batch(run_id, metrics=metrics[start : start + _MOST_AT_ONCE])
        with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
            path = Path(folder) / f"{_FILE_NAME.sub('_', newest.window_name)[:100]}.html"
            path.write_text(page, encoding="utf-8")
            client.log_artifact(run_id, str(path), FOLDER)
        written(lambda: client.set_model_version_tag(model, number, PAGE_TAG, address))
        client.log_batch(run_id, tags=[RunTag(PAGE_TAG, address), RunTag(SHOWN_TAG, shown)])


def _metrics(report: MonitoringReport) -> list[Metric]:
    """Return a report's figures as MLflow takes them; the same report gives the same, which MLflow keeps once."""
    known_ms, day = int(_moment(report.as_of).timestamp() * 1000), _day(report)
    return [Metric(name, value, known_ms, day) for name, value in _figures(report)]


def _figures(report: MonitoringReport) -> Iterator[tuple[str, float]]:
    values: tuple[PerformanceValue, ...] = (*report.performance, *report.estimates)
    for one in values:
        if one.value is not None:
            yield f"{FOLDER}/{allowed(one.metric)} {one.source}", one.value
    yield f"{FOLDER}/drifted columns", float(sum(one.drifted for one in report.columns))
    yield f"{FOLDER}/alarms", float(sum(one.severity != "info" for one in report.anomalies))


def _day(report: MonitoringReport) -> int:
    """Return the day on which a window begins, counted from 1970; of one that names none, that of its report."""
    found = _DAY.match(report.window_name)
    begins = _moment(report.as_of).date()
    if found is not None:
        with suppress(ValueError):  # digits that are no date: a name of somebody's own
            begins = date.fromisoformat(found[0] if found[1] else f"{found[0]}-01")
    return (begins - date(1970, 1, 1)).days


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
