"""Which windows there are to watch: what was scored of each, by which version, and all that came of its rows since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipelines.data.partitions import CurrentPartition, read_current
from pipelines.data.periods import UNDATED_NAME, period_span
from pipelines.data.windows import Bounds, bounds
from pipelines.errors import IntegrityError, ObjectMissing
from pipelines.records import LedgerEntry, MonitoringReport, Partition, ScoredPartition, Window
from pipelines.steps.context import Context
from pipelines.store import Store
from pipelines.store.verified import read_record

MOST_DELIVERIES = 6  # contents of a partition that may have brought labels: the newest win anyway


@dataclass(frozen=True)
class Watched:
    """One window that was scored: the newest answers to it, and the entry by which their version last came to serve.

    `is_newest`: no window after it was scored. `num_undated` counts the rows that came with it and have no time.
    """

    scored: ScoredPartition
    entry: LedgerEntry
    current: CurrentPartition
    is_newest: bool = False
    num_undated: int = 0

    @property
    def name(self) -> str:
        """The window's name."""
        return self.scored.name

    def answered_rows(self, store: Store, model: str) -> Partition:
        """Return the partition whose rows were answered, whatever its content is by now. Raises `ObjectMissing`."""
        return content_of(store, model, self.name, self.scored.partition_sha256, self.scored.num_rows)

    def contents(self) -> list[str]:
        """Return the hashes of the contents that came since the rows were answered, the oldest first."""
        every = [*self.current.history, self.current.partition.content_sha256]
        first = self.scored.partition_sha256
        since = every[every.index(first) :] if first in every else every
        return list(dict.fromkeys(reversed(since)))[:MOST_DELIVERIES][::-1]


def content_of(store: Store, model: str, name: str, sha256: str, num_rows: int = 0) -> Partition:
    """Return one content that a partition has or had. Raises `ObjectMissing`."""
    key = f"{model}/partitions/{name}/{sha256}.parquet"
    info = store.stat(key)
    if info is None:
        raise ObjectMissing(f"Partition {name!r} of {model} had the content {sha256}, and {key} is gone.")
    return Partition(name=name, key=key, content_sha256=sha256, num_rows=num_rows, size_bytes=info.size_bytes)


def find_watched(
    context: Context,
    entries: Sequence[LedgerEntry],
    window: Window,
    as_of: datetime,
    newest: int,
    version: int | None = None,
) -> list[Watched]:
    """Return the windows that were scored by `as_of`, oldest first.

    Rows without a time belong to no window; each window says how many came with it.

    Args:
        context: The model's surroundings.
        entries: The ledger.
        window: Those that overlap with it; where it is open on both sides, the `newest`.
        as_of: Answers of a later request do not count.
        newest: How many.
        version: One whose answers count whenever they were asked for, and before all others. A replay needs it: the
            same answers may have been given before it began.

    Raises:
        IntegrityError: If a record of answers is not what was written, or its version is in no ledger.
    """
    model, store = context.spec.name, context.store
    asked, names = bounds(window), sorted({_name(info.key) for info in store.list(f"{model}/scores/")} - {UNDATED_NAME})
    spans = {name: period_span(name, context.spec.source.partition_by) for name in names}
    chosen = [name for name in names if _overlap(spans[name], asked)]
    if asked == (None, None):
        chosen = chosen[-newest:]
    served = {entry.version: entry for entry in entries}
    undated = _answers(store, model, UNDATED_NAME)
    found = list[Watched]()
    for name in chosen:
        scored = _newest(_answers(store, model, name), as_of, version)
        current = read_current(store, model, name)
        if scored is None or current is None:
            continue
        if scored.version not in served:
            raise IntegrityError(
                f"The answers to {name} are by version {scored.version} of {model}, which is in no entry of its "
                "ledger. Nothing was told of this window; score it again."
            )
        beside = [one.num_rows for one in undated if one.requested_at == scored.requested_at]
        found.append(Watched(scored, served[scored.version], current, name == names[-1], sum(beside)))
    return found


def read_reports(store: Store, model: str, as_of: datetime) -> list[MonitoringReport]:
    """Return every report that was made by `as_of`: windows in order, of each the oldest first.

    Raises:
        IntegrityError: If one is not what was written.
    """
    keys = [info.key for info in store.list(f"{model}/monitoring/windows/")]
    return [read_report(store, key) for key in keys if _moment(key.rsplit("/", 1)[1]) <= as_of]


def newest_reports(reports: Sequence[MonitoringReport]) -> list[MonitoringReport]:
    """Return the newest report of each window, in the order of the windows."""
    return list({report.window_name: report for report in reports}.values())


def read_report(store: Store, key: str) -> MonitoringReport:
    """Return one report, by the hash in its name. Raises `ObjectMissing`, `IntegrityError`."""
    return read_record(store, key, MonitoringReport, key.rsplit(".", 2)[-2])


def write_report(store: Store, report: MonitoringReport) -> str:
    """Store a report and return its key: its moment is in the name, so that a listing is in order of time."""
    moment = report.as_of.replace(":", "-")
    folder = f"{report.model}/monitoring/windows/{report.window_name}"
    key = f"{folder}/{moment}.{report.sha256}.json"
    if store.stat(key) is None:
        store.write(key, report.to_bytes())
    return key


def usual_rows(history: Sequence[MonitoringReport], training: Sequence[int]) -> list[int]:
    """Return the rows of windows before, or of the training's partitions where there were none."""
    return [report.num_rows for report in history if report.num_rows] or list(training)


def _answers(store: Store, model: str, name: str) -> list[ScoredPartition]:
    keys = [info.key for info in store.list(f"{model}/scores/{name}/") if info.key.endswith(".json")]
    records = [read_record(store, key, ScoredPartition) for key in keys]
    return [one for one in records if one.role == "champion"]


def _newest(answers: Sequence[ScoredPartition], as_of: datetime, version: int | None) -> ScoredPartition | None:
    known = [one for one in answers if one.version == version or datetime.fromisoformat(one.requested_at) <= as_of]
    return max(known, key=lambda one: (one.version == version, one.requested_at, one.version), default=None)


def _name(key: str) -> str:
    return key.split("/")[2]


def _overlap(span: Bounds, asked: Bounds) -> bool:
    starts_before = asked[1] is None or span[0] is None or span[0] < asked[1]
    ends_after = asked[0] is None or span[1] is None or span[1] > asked[0]
    return starts_before and ends_after


def _moment(name: str) -> datetime:
    """Return the moment in the name of a report: its time had ':' replaced."""
    text = name.rsplit(".", 2)[0]
    day, _, time = text.partition("T")
    return datetime.fromisoformat(f"{day}T{time.replace('-', ':')}")
