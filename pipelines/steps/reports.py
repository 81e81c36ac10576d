"""The reports that monitoring has stored: which there are, by one listing, and of them only those that are needed.

Of a source with daily partitions there are a thousand after three years. A look reads the last ones, whatever came
before: a report's key tells its window and its moment, and what older reports say of labels is kept in one object.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from pipelines.data.periods import period_span
from pipelines.monitoring.windows import FOLDER, MOST_WINDOWS, is_counted
from pipelines.records import MonitoringReport, Record
from pipelines.spec import ModelSpec
from pipelines.store import Store
from pipelines.store.verified import read_record


class LabelledRows(Record):
    """How many labelled rows reports tell of, by key: a report never changes, so neither does what is kept of it."""

    num_labelled: dict[str, int]


class Reports:
    """A model's stored reports as they were at a moment; each is read when it is asked for, and once.

    Args:
        store: Where the reports are.
        spec: The model.
        as_of: Reports that were made later do not count.
    """

    def __init__(self, store: Store, spec: ModelSpec, as_of: datetime) -> None:
        self._store = store
        self._spec = spec
        self._read = dict[str, MonitoringReport]()
        self._newest_ever = dict[str, str]()
        self._keys = dict[str, list[str]]()
        for info in store.list(f"{spec.name}/{FOLDER}/"):
            *_, name, last = info.key.split("/")
            self._newest_ever[name] = info.key
            if _moment(last) <= as_of:
                self._keys.setdefault(name, []).append(info.key)

    @property
    def names(self) -> list[str]:
        """The windows that there are reports of, in order."""
        return sorted(self._keys)

    def newest(self, name: str) -> MonitoringReport | None:
        """Return the newest report of a window, or None where there is none. Raises `IntegrityError`."""
        return self._report(self._keys[name][-1]) if name in self._keys else None

    def last(self, before: str | None = None, most: int | None = None) -> list[MonitoringReport]:
        """Return the newest report of each of the last windows, in order; days on which the source rested do not count.

        Args:
            before: Only windows before this one; all where left out.
            most: How many; where left out, as many as a page shows or the spec's K of N looks at.

        Raises:
            IntegrityError: If one is not what was written.
        """
        rules, found = self._spec.monitoring, list[MonitoringReport]()
        most = most or max(MOST_WINDOWS, rules.drift.persistence.windows, rules.performance.persistence.windows)
        for name in reversed(self._before(before)):
            report = self._report(self._keys[name][-1])
            if is_counted(report, rules.anomalies.resting_days):
                found.append(report)
            if len(found) == most:
                break
        return found[::-1]

    def made_of(self, names: Iterable[str]) -> list[MonitoringReport]:
        """Return all reports of these windows, of each the oldest first. Raises `IntegrityError`."""
        return [self._report(key) for name in names for key in self._keys[name]]

    def add(self, report: MonitoringReport) -> str:
        """Store a report, unless it is its window's newest already, and return its key; from now on it is."""
        keys = self._keys.setdefault(report.window_name, [])
        before = [key for key in keys if _moment_text(key) == _moment_text(report_key(report))]
        if before and self._report(before[-1]) == report:
            key = before[-1]
        else:
            key = report_key(report, len(before))
            self._store.write(key, report.to_bytes())
            keys.append(key)
        self._newest_ever[report.window_name] = max(key, self._newest_ever.get(report.window_name, key))
        self._read[key] = report
        return key

    def num_labelled(self, before: str, since: datetime | None) -> int:
        """Return the labelled rows of the windows before one, of those that begin at a moment or later.

        Raises:
            IntegrityError: If a report is not what was written.
        """
        by = self._spec.source.partition_by
        starts = {name: period_span(name, by)[0] for name in self._before(before)}
        names = [name for name, start in starts.items() if since is None or start is None or start >= since]
        keys = [self._keys[name][-1] for name in names]
        known = {key: self._read[key].num_labelled for key in keys if key in self._read}
        if len(known) < len(keys):
            known |= self._told_before([key for key in keys if key not in known])
        return sum(known.values())

    def _told_before(self, keys: Sequence[str]) -> dict[str, int]:
        """Return what reports tell of labels; what is not kept of them yet is read, and kept for the next look."""
        place = f"{self._spec.name}/monitoring/labelled.json"
        found = self._store.stat(place) and read_record(self._store, place, LabelledRows).num_labelled
        told = dict(found or {})
        told |= {key: self._report(key).num_labelled for key in keys if key not in told}
        newest = set(self._newest_ever.values())
        kept = {key: number for key, number in sorted(told.items()) if key in newest}
        if kept != found:
            self._store.write(place, LabelledRows(num_labelled=kept).to_bytes())
        return {key: told[key] for key in keys}

    def _before(self, name: str | None) -> list[str]:
        return [one for one in self.names if name is None or one < name]

    def _report(self, key: str) -> MonitoringReport:
        if key not in self._read:
            self._read[key] = read_report(self._store, key)
        return self._read[key]


def read_report(store: Store, key: str) -> MonitoringReport:
    """Return one report, by the hash in its name. Raises `ObjectMissing`, `IntegrityError`."""
    return read_record(store, key, MonitoringReport, key.rsplit(".", 2)[-2])


def report_key(report: MonitoringReport, number: int = 0) -> str:
    """Return the key of a report: its moment is in the name, so that a listing is in order of time.

    Args:
        report: What is to be stored.
        number: How many reports of this window and this moment were made before: of another spec, or of later labels.
    """
    moment = report.as_of.replace(":", "-") + (f"_{number:03}" if number else "")
    return f"{report.model}/{FOLDER}/{report.window_name}/{moment}.{report.sha256}.json"


def _moment(name: str) -> datetime:
    """Return the moment in the name of a report: its time had ':' replaced."""
    day, _, time = _moment_text(name).partition("T")
    return datetime.fromisoformat(f"{day}T{time.replace('-', ':')}")


def _moment_text(key: str) -> str:
    return key.rsplit("/", 1)[-1].rsplit(".", 2)[0].partition("_")[0]
