"""Rows that were scored get the labels of every content that came since, and only those that were known by a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.partitions import content_key, read_current, write_partitions
from pipelines.errors import DataError, IntegrityError, ObjectMissing
from pipelines.monitoring.labels import LabelCounts
from pipelines.records import Partition, ScoredPartition, Window
from pipelines.registry.ledger import append_entry
from pipelines.spec import ClassicSpec
from pipelines.steps.context import Context
from pipelines.steps.labelling import LabelsIn, join_window
from pipelines.steps.watched import Watched
from pipelines.store.memory import MemoryStore
from tests.conftest import environment_at
from tests.steps.conftest import SPEC

NUM_ROWS = 4
HOURS = [datetime(2013, 1, 1, hour) for hour in range(NUM_ROWS)]
MUCH_LATER = datetime(2013, 3, 1, tzinfo=UTC)
NAIVE = pa.timestamp("us")
Labels = Mapping[int, str]


def as_they_are(content: Path, _: Path) -> Path:
    return content


@dataclass
class Desk:
    """One partition of four rows, an hour apart, of which the champion answered the first content."""

    folder: Path
    delay: float = 0.0
    keys: Sequence[str] = ("id",)
    time_column: str | None = "time"
    store: MemoryStore = field(default_factory=MemoryStore)
    first: Partition | None = None

    def deliver(self, labels: Labels | None = None, kind: pa.DataType = NAIVE, **columns: Any) -> Partition:
        """Let a content come: all rows, those with a label that have one, and `columns` beside or instead."""
        times = pa.array(HOURS, NAIVE).cast(pa.timestamp("us", "UTC")).cast(kind) if kind != NAIVE else HOURS
        told = pa.array([(labels or {}).get(row) for row in range(NUM_ROWS)], pa.string())
        rows = {"id": list(range(NUM_ROWS)), "time": times, "y": told} | columns
        table = pa.table({name: values for name, values in rows.items() if values is not None})
        (partition,) = write_partitions(
            self.store, "tiny", table.to_reader(), source="s", time_column=None, by="none", window=Window()
        ).partitions
        self.first = self.first or partition
        return partition

    def join(self, as_of: datetime = MUCH_LATER, labels_in: LabelsIn = as_they_are) -> tuple[Labels, LabelCounts]:
        """Return the labels by the number of the row that got them, and what became of all."""
        found = join_window(self._context, self._watched, self._scored, as_of, self.folder, "y", labels_in)
        table = pq.read_table(found.path)
        return dict(zip(table["row"].to_pylist(), table["truth"].to_pylist(), strict=True)), found.counts

    @property
    def _context(self) -> Context[ClassicSpec]:
        source = SPEC["source"] | {"key_columns": list(self.keys), "time_column": self.time_column}
        spec = ClassicSpec.model_validate(SPEC | {"source": source, "monitoring": {"label_delay_days": self.delay}})
        return Context(spec, environment_at(self.folder), self.store)

    @property
    def _watched(self) -> Watched:
        current = read_current(self.store, "tiny", "all")
        assert self.first is not None
        assert current is not None
        entry = append_entry(
            MemoryStore(), "tiny", None, action="promote", version=1, candidate_key="c", candidate_sha256="c",
            model_sha256="m", verdict_key="v", verdict_sha256="v", reason="r", by="ada",
        )  # fmt: skip
        scored = ScoredPartition(
            name="all", partition_sha256=self.first.content_sha256, version=1, role="champion", key="k",
            content_sha256="a", num_rows=NUM_ROWS, size_bytes=1, requested_at="2013-01-01T00:00:00+00:00",
        )  # fmt: skip
        return Watched(scored, entry, current)

    @property
    def _scored(self) -> Path:
        path = self.folder / "scored.parquet"
        numbers = list(range(NUM_ROWS))
        pq.write_table(pa.table({"id": numbers, "row": pa.array(numbers, pa.int64())}), path)
        return path


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_labels_come_in_parts_and_corrected_and_the_newest_wins(desk: Desk) -> None:
    for labels in ({}, {0: "a", 1: "b"}, {0: "c"}, {3: "d"}):
        desk.deliver(labels)
    found, counts = desk.join()
    assert found == {0: "c", 1: "b", 3: "d"}
    assert (counts.num_scored, counts.num_waiting, counts.num_corrected) == (NUM_ROWS, 1, 1)


def test_what_a_content_said_before_the_rows_were_answered_is_no_label(desk: Desk) -> None:
    desk.deliver({0: "early", 1: "early"})
    desk.first = desk.deliver({1: "b"})  # this one was answered: the source had taken a label back
    assert desk.join()[0] == {1: "b"}


@pytest.mark.parametrize("kind", [NAIVE, pa.timestamp("ns", "UTC"), pa.timestamp("us", "Europe/Berlin")])
@pytest.mark.parametrize("as_of", ["2013-01-03T01:00:00+00:00", "2013-01-02T22:00:00-03:00"])
def test_labels_are_known_when_their_rows_are_as_old_as_the_delay_whatever_the_zone(
    desk: Desk, kind: pa.DataType, as_of: str
) -> None:
    desk.delay = 2
    desk.deliver(dict.fromkeys(range(NUM_ROWS), "a"), kind)
    found, counts = desk.join(datetime.fromisoformat(as_of))
    assert found == {0: "a", 1: "a"}  # of midnight, and of one o'clock to the minute
    assert (counts.num_waiting, counts.num_contradicting) == (2, 0)


def test_of_two_looks_each_sees_what_was_known_at_its_moment(desk: Desk) -> None:
    desk.deliver(dict.fromkeys(range(NUM_ROWS), "a"))
    looks = [desk.join(hour.replace(tzinfo=UTC))[0] for hour in HOURS]
    assert [len(found) for found in looks] == [1, 2, 3, 4]


def test_a_correction_of_a_row_that_is_too_young_is_held_back_with_its_first_label(desk: Desk) -> None:
    desk.deliver({0: "a", 3: "a"})
    desk.deliver({0: "b", 3: "b"})
    found, counts = desk.join(HOURS[1].replace(tzinfo=UTC))
    assert found == {0: "b"}
    assert (counts.num_corrected, counts.num_waiting) == (1, NUM_ROWS - 1)


def test_without_a_key_labels_keep_their_places_when_those_before_are_held_back(desk: Desk) -> None:
    desk.keys = ()
    desk.deliver({row: str(row) for row in range(NUM_ROWS)}, time=HOURS[::-1])
    found, counts = desk.join(HOURS[1].replace(tzinfo=UTC))
    assert found == {2: "2", 3: "3"}
    assert counts.num_unplaced == 0


def test_a_row_without_a_time_has_its_label_at_once(desk: Desk) -> None:
    desk.deliver({0: "a", 3: "b"}, time=pa.array([None, *HOURS[1:]], NAIVE))
    assert desk.join(HOURS[1].replace(tzinfo=UTC))[0] == {0: "a"}


def test_without_a_time_column_no_label_is_held_back(desk: Desk) -> None:
    desk.time_column, desk.delay = None, 100
    desk.deliver({0: "a", 3: "b"}, time=None)
    assert desk.join(HOURS[0].replace(tzinfo=UTC))[0] == {0: "a", 3: "b"}


def test_a_content_that_can_have_no_labels_is_passed_over(desk: Desk) -> None:
    desk.deliver(y=None)
    desk.deliver({0: "a"})

    def labels_in(content: Path, _: Path) -> Path | None:
        return content if "y" in pq.read_schema(content).names else None

    assert desk.join(labels_in=labels_in)[0] == {0: "a"}
    found, counts = desk.join(labels_in=lambda *_: None)
    assert (found, counts.num_waiting) == ({}, NUM_ROWS)


def test_labels_that_are_made_from_a_content_are_held_back_too(desk: Desk) -> None:
    desk.deliver({0: "a", 1: "b", 3: "d"})

    def loud(content: Path, path: Path) -> Path:
        rows = pq.read_table(content)
        pq.write_table(rows.set_column(2, "y", pa.array(["A", "B", "C", "D"])), path)
        return path

    assert desk.join(HOURS[1].replace(tzinfo=UTC), loud)[0] == {0: "A", 1: "B"}


@pytest.mark.parametrize("column", ["id", "time", "y"])
def test_a_content_without_a_column_that_is_needed_is_refused_in_words(desk: Desk, column: str) -> None:
    desk.deliver({0: "a"})
    desk.deliver({0: "b"}, **{column: None})
    with pytest.raises(DataError, match=rf"A delivery of labels lacks? the columns \['{column}'\].*nothing was joined"):
        desk.join(HOURS[1].replace(tzinfo=UTC))


def test_a_content_that_was_altered_or_is_gone_is_not_joined(desk: Desk) -> None:
    desk.deliver()
    changed = desk.deliver({0: "a"})
    desk.deliver({0: "b"})
    key = content_key("tiny", "partitions", "all", changed.content_sha256)
    desk.store.write(key, desk.store.read(key)[:-1] + b"!")
    with pytest.raises(IntegrityError):
        desk.join()
    desk.store.delete(key)
    with pytest.raises(ObjectMissing, match=changed.content_sha256):
        desk.join()
