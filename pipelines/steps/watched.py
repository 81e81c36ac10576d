"""Which windows there are to watch: what was scored of each, by which version, and all that came of its rows since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipelines.data.partitions import CurrentPartition, content_key, read_current
from pipelines.data.periods import UNDATED_NAME, period_span
from pipelines.data.windows import Bounds, bounds
from pipelines.errors import IntegrityError, ObjectMissing
from pipelines.monitoring.windows import MOST_WINDOWS
from pipelines.records import LedgerEntry, MonitoringReport, Partition, ScoredPartition, Window
from pipelines.serving.scoring import CANARY_SUFFIX
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
    key = content_key(model, "partitions", name, sha256)
    info = store.stat(key)
    if info is None:
        raise ObjectMissing(f"Partition {name!r} of {model} had the content {sha256}, and {key} is gone.")
    return Partition(name=name, key=key, content_sha256=sha256, num_rows=num_rows, size_bytes=info.size_bytes)


class Answers:
    """All answers to a model's windows, as one listing shows them; the records of one window are read when asked for.

    Args:
        store: Where the answers are.
        model: The model's name.
    """

    def __init__(self, store: Store, model: str) -> None:
        self._store = store
        self._model = model
        self._read = dict[str, list[ScoredPartition]]()
        self._keys = dict[str, list[str]]()
        for info in store.list(f"{model}/scores/"):
            keys = self._keys.setdefault(info.key.split("/")[2], [])
            if info.key.endswith(".json") and not info.key.endswith(CANARY_SUFFIX):
                keys.append(info.key)

    @property
    def names(self) -> list[str]:
        """The windows that were answered, in order; rows without a time belong to none."""
        return sorted(self._keys.keys() - {UNDATED_NAME})

    def of(self, name: str) -> list[ScoredPartition]:
        """Return the champions' answers to a window. Raises `IntegrityError`."""
        if name not in self._read:
            self._read[name] = self._records(self._keys.get(name, ()))
        return self._read[name]

    def undated(self) -> list[ScoredPartition]:
        """Return the champions' answers to rows without a time, as they came last. Raises `IntegrityError`."""
        if UNDATED_NAME in self._keys and UNDATED_NAME not in self._read:
            current = read_current(self._store, self._model, UNDATED_NAME)
            every = [] if current is None else [*current.history, current.partition.content_sha256]
            last = set(every[-MOST_WINDOWS:])
            keys = [key for key in self._keys[UNDATED_NAME] if key.split("/")[3] in last]
            self._read[UNDATED_NAME] = self._records(keys)
        return self._read.get(UNDATED_NAME, [])

    def _records(self, keys: Sequence[str]) -> list[ScoredPartition]:
        records = [read_record(self._store, key, ScoredPartition) for key in keys]
        return [one for one in records if one.role == "champion"]


def find_watched(
    context: Context,
    answers: Answers,
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
        answers: What was scored.
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
    asked, names = bounds(window), answers.names
    chosen = [name for name in names if _overlap(period_span(name, context.spec.source.partition_by), asked)]
    if asked == (None, None):
        chosen = chosen[-newest:]
    served = {entry.version: entry for entry in entries}
    found = list[Watched]()
    for name in chosen:
        scored = _newest(answers.of(name), as_of, version)
        current = read_current(store, model, name)
        if scored is None or current is None:
            continue
        if scored.version not in served:
            raise IntegrityError(
                f"The answers to {name} are by version {scored.version} of {model}, which is in no entry of its "
                "ledger. Nothing was told of this window; score it again."
            )
        beside = [one.num_rows for one in answers.undated() if one.requested_at == scored.requested_at]
        found.append(Watched(scored, served[scored.version], current, name == names[-1], sum(beside)))
    return found


def usual_rows(history: Sequence[MonitoringReport], training: Sequence[int]) -> list[int]:
    """Return the rows of windows before, or of the training's partitions where there were none."""
    return [report.num_rows for report in history if report.num_rows] or list(training)


def _newest(answers: Sequence[ScoredPartition], as_of: datetime, version: int | None) -> ScoredPartition | None:
    known = [one for one in answers if one.version == version or datetime.fromisoformat(one.requested_at) <= as_of]
    return max(known, key=lambda one: (one.version == version, one.requested_at, one.version), default=None)


def _overlap(span: Bounds, asked: Bounds) -> bool:
    starts_before = asked[1] is None or span[0] is None or span[0] < asked[1]
    ends_after = asked[0] is None or span[1] is None or span[1] > asked[0]
    return starts_before and ends_after
