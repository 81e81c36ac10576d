"""Each row gets one label at most, whatever is delivered how often."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import DataError
from pipelines.monitoring.labels import LabelCounts, join_labels

KEYS = ["carrier", "flight"]


class Desk:
    """A folder where rows were scored and labels arrive."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.num_files = 0

    def file(self, columns: Mapping[str, Any]) -> Path:
        self.num_files += 1
        path = self.folder / f"file{self.num_files}.parquet"
        pq.write_table(pa.table(dict(columns)), path)
        return path

    def scored(self, flights: Sequence[int], **more: Any) -> Path:
        columns = {"carrier": ["UA"] * len(flights), "flight": pa.array(flights, pa.int32())}
        predicted = pa.array([flight / 100 for flight in flights], pa.float64())
        return self.file(
            {**columns, "prediction.True": predicted, "row": pa.array(range(len(flights)), pa.int64())} | more
        )

    def delivered(self, labels: Sequence[tuple[int, Any]], kind: pa.DataType | None = None) -> list[Path]:
        flights = pa.array([flight for flight, _ in labels], pa.int64())
        carriers = pa.array(["UA"] * len(labels), pa.string())
        late = pa.array([label for _, label in labels], kind or pa.bool_())
        return [self.file({"flight": flights, "carrier": carriers, "late": late, "other": late})]

    def join(self, scored: Path, *deliveries: Sequence[Path], keys: Sequence[str] = KEYS) -> tuple[Any, LabelCounts]:
        found = join_labels(scored, deliveries, keys, "late", self.folder)
        return pq.read_table(found.path), found.counts


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def _truth(table: pa.Table) -> dict[int, Any]:
    return dict(zip(table.column("flight").to_pylist(), table.column("truth").to_pylist(), strict=True))


def _is_whole(counts: LabelCounts) -> bool:
    parts = counts.num_labelled + counts.num_waiting + counts.num_contradicting + counts.num_doubled
    return parts == counts.num_scored


def test_labelled_rows_come_in_the_order_of_scoring_and_the_others_wait(desk: Desk) -> None:
    table, counts = desk.join(desk.scored([3, 1, 2]), desk.delivered([(2, True), (3, False)]))
    assert table.column_names == ["carrier", "flight", "prediction.True", "row", "truth"]
    assert table.column("row").to_pylist() == [0, 2]
    assert table.column("prediction.True").to_pylist() == [0.03, 0.02]
    assert table.column("truth").to_pylist() == [False, True]
    assert (counts.num_scored, counts.num_labelled, counts.num_waiting) == (3, 2, 1)
    assert _is_whole(counts)


def test_before_any_label_every_row_waits(desk: Desk) -> None:
    table, counts = desk.join(desk.scored([1, 2]))
    assert table.num_rows == 0
    assert counts.num_waiting == counts.num_scored == 2


def test_labels_before_predictions_are_labels_for_rows_never_scored(desk: Desk) -> None:
    table, counts = desk.join(desk.scored([]), desk.delivered([(1, True), (2, False), (2, False)]))
    assert table.num_rows == 0
    assert counts.num_never_scored == 2
    assert counts.num_scored == counts.num_labelled == counts.num_waiting == 0


def test_null_and_nan_say_nothing_and_take_no_label_back(desk: Desk) -> None:
    scored = desk.scored([1, 2])
    table, counts = desk.join(
        scored,
        desk.delivered([(1, 1.0), (2, None)], pa.float64()),
        desk.delivered([(1, float("nan")), (2, float("nan"))], pa.float64()),
    )
    assert _truth(table) == {1: 1.0}
    assert (counts.num_waiting, counts.num_corrected, counts.num_contradicting) == (1, 0, 0)


def test_the_newest_delivery_wins_and_is_counted_as_a_correction_once(desk: Desk) -> None:
    deliveries = [desk.delivered([(1, label), (2, True)]) for label in (False, True, False, True)]
    table, counts = desk.join(desk.scored([1, 2]), *deliveries)
    assert _truth(table) == {1: True, 2: True}
    assert counts.num_corrected == 1
    reversed_table, _ = desk.join(desk.scored([1, 2]), *deliveries[:3])
    assert _truth(reversed_table) == {1: False, 2: True}


def test_a_label_delivered_twice_counts_once(desk: Desk) -> None:
    delivery = desk.delivered([(1, True), (1, True)])
    table, counts = desk.join(desk.scored([1]), delivery, delivery)
    assert table.num_rows == counts.num_labelled == 1
    assert (counts.num_corrected, counts.num_contradicting) == (0, 0)


def test_a_row_with_two_labels_in_one_delivery_is_in_doubt_until_a_newer_delivery_settles_it(desk: Desk) -> None:
    scored, first = desk.scored([1, 2]), desk.delivered([(1, True)])
    contradicting = desk.delivered([(1, True), (1, False), (2, True)])
    table, counts = desk.join(scored, first, contradicting)
    assert _truth(table) == {2: True}
    assert counts.num_contradicting == 1
    assert _is_whole(counts)
    table, counts = desk.join(scored, first, contradicting, desk.delivered([(1, False)]))
    assert _truth(table) == {1: False, 2: True}
    assert (counts.num_contradicting, counts.num_corrected) == (0, 1)


def test_a_delivery_of_several_files_contradicts_itself_over_its_files(desk: Desk) -> None:
    both = [*desk.delivered([(1, True)]), *desk.delivered([(1, False)])]
    _, counts = desk.join(desk.scored([1]), both)
    assert (counts.num_labelled, counts.num_contradicting) == (0, 1)


def test_a_key_scored_twice_is_held_to_its_label_once(desk: Desk) -> None:
    table, counts = desk.join(desk.scored([7, 8, 7]), desk.delivered([(7, True), (8, False)]))
    assert table.column("row").to_pylist() == [0, 1]
    assert (counts.num_doubled, counts.num_labelled) == (1, 2)
    assert _is_whole(counts)


def test_a_missing_part_of_a_key_is_equal_to_a_missing_part(desk: Desk) -> None:
    row = pa.array([0, 1], pa.int64())
    scored = desk.file({"carrier": pa.array([None, "UA"]), "flight": [1, 1], "row": row})
    labels = desk.file({"carrier": pa.array([None], pa.string()), "flight": [1], "late": [True]})
    table, counts = desk.join(scored, [labels])
    assert table.column("row").to_pylist() == [0]
    assert counts.num_never_scored == 0


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (pa.array([1, 2], pa.int8()), pa.array([1.0, 2.0])),
        (pa.array([1, 2]), pa.array(["1", "2"])),
        (pa.array([1, 2**64 - 1], pa.uint64()), pa.array([1, 2**64 - 1], pa.uint64())),
        (pa.array([0.5, 1.5]), pa.array([0.5, 1.5], pa.float32())),
        (pa.array(["1", "2"]).dictionary_encode(), pa.array(["1", "2"])),
        (
            pa.array([datetime(2013, 1, 1), datetime(2013, 1, 2)], pa.timestamp("ns")),
            pa.array([datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC)], pa.timestamp("ms", "UTC")),
        ),
    ],
)
def test_keys_are_compared_by_what_they_mean(desk: Desk, ours: pa.Array, theirs: pa.Array) -> None:
    scored = desk.file({"id": ours, "row": pa.array([0, 1], pa.int64())})
    table, _ = desk.join(scored, [desk.file({"id": theirs, "late": [True, False]})], keys=["id"])
    assert table.column("truth").to_pylist() == [True, False]


def test_without_keys_a_label_belongs_to_the_row_of_its_number(desk: Desk) -> None:
    scored = desk.scored([5, 5, 5])
    whole = desk.file({"late": pa.array([True, None, False])})
    later = desk.file({"row": [1, 9], "late": [True, True]})
    table, counts = desk.join(scored, [whole], [later], keys=[])
    assert table.column("truth").to_pylist() == [True, True, False]
    assert (counts.num_doubled, counts.num_never_scored) == (0, 1)


def test_without_keys_a_file_with_other_rows_is_counted_and_not_used(desk: Desk) -> None:
    scored = desk.scored([5, 6, 7])
    shifted = desk.file({"late": pa.array([False, True, True, None])})
    table, counts = desk.join(scored, [shifted], keys=[])
    assert table.num_rows == 0
    assert (counts.num_unplaced, counts.num_waiting, counts.num_never_scored) == (3, 3, 0)
    assert _is_whole(counts)


def _about(keys: Sequence[int], asked: Sequence[str], **more: Any) -> dict[str, Any]:
    return {"flight": pa.array(keys, pa.int64()), "asked": pa.array(asked, pa.string()), **more}


def test_a_label_for_what_was_not_asked_is_misplaced_until_the_right_one_comes(desk: Desk) -> None:
    scored = desk.file(_about([1, 2, 3], ["a", "b", "c"], row=pa.array(range(3), pa.int64())))
    early = desk.file(_about([1, 2, 9], ["a", "other", "z"], late=["x", "y", "z"]))
    found = join_labels(scored, [[early]], ["flight"], "late", desk.folder, "asked")
    assert pq.read_table(found.path).select(["row", "truth"]).to_pylist() == [{"row": 0, "truth": "x"}]
    assert (found.counts.num_misplaced, found.counts.num_never_scored, found.counts.num_waiting) == (1, 1, 2)
    assert _is_whole(found.counts)
    later = desk.file(_about([1, 2], ["other", "b"], late=["n", "y"]))
    found = join_labels(scored, [[early], [later]], ["flight"], "late", desk.folder, "asked")
    assert pq.read_table(found.path).column("truth").to_pylist() == ["x", "y"]
    assert (found.counts.num_misplaced, found.counts.num_never_scored, found.counts.num_corrected) == (0, 1, 0)


def test_without_keys_place_and_question_must_both_agree(desk: Desk) -> None:
    scored = desk.file({"asked": ["a", "b"], "row": pa.array([0, 1], pa.int64())})
    moved = desk.file({"asked": ["b", "b"], "late": ["x", "y"]})
    found = join_labels(scored, [[moved]], [], "late", desk.folder, "asked")
    assert pq.read_table(found.path).column("row").to_pylist() == [1]
    assert (found.counts.num_misplaced, found.counts.num_never_scored) == (1, 0)


def test_labels_of_other_types_are_made_alike(desk: Desk) -> None:
    older, newer = desk.delivered([(1, 0), (2, 1)], pa.int8()), desk.delivered([(1, 1.0)], pa.float64())
    table, counts = desk.join(desk.scored([1, 2]), older, newer)
    assert _truth(table) == {1: 1.0, 2: 1.0}
    assert counts.num_corrected == 1


def test_the_same_files_give_the_same_bytes(desk: Desk) -> None:
    scored, labels = desk.scored(range(5000)), desk.delivered([(flight, flight % 3 == 0) for flight in range(5000)])
    first = join_labels(scored, [labels], KEYS, "late", desk.folder).path.read_bytes()
    assert join_labels(scored, [labels], KEYS, "late", desk.folder).path.read_bytes() == first


LABELS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([True, False, None])), max_size=5)


@settings(max_examples=25, deadline=None)
@given(flights=st.lists(st.integers(0, 3), max_size=5), deliveries=st.lists(LABELS, max_size=4))
def test_whatever_is_delivered_the_rows_get_what_the_rules_in_words_give_them(
    flights: list[int], deliveries: list[list[tuple[int, bool | None]]]
) -> None:
    said: dict[int, list[set[bool]]] = {}
    for delivery in deliveries:
        for flight in {flight for flight, label in delivery if label is not None}:
            said.setdefault(flight, []).append({label for key, label in delivery if key == flight} - {None})
    settled = {flight: next(iter(labels[-1])) for flight, labels in said.items() if len(labels[-1]) == 1}
    firsts = {flight: flights.index(flight) for flight in flights}
    sure = {flight: [labels for labels in said[flight] if len(labels) == 1] for flight in settled}

    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        table, counts = desk.join(desk.scored(flights), *[desk.delivered(delivery) for delivery in deliveries])
        rows = dict(zip(table.column("row").to_pylist(), table.column("truth").to_pylist(), strict=True))

    assert rows == {row: settled[flight] for flight, row in firsts.items() if flight in settled}
    assert list(rows) == sorted(rows)
    assert counts.num_contradicting == len((said.keys() - settled.keys()) & firsts.keys())
    assert counts.num_never_scored == len(said.keys() - firsts.keys())
    assert counts.num_doubled == len(flights) - len(firsts)
    assert counts.num_corrected == sum({True} in sure[key] and {False} in sure[key] for key in settled.keys() & firsts)
    assert _is_whole(counts)


def test_scored_columns_may_have_any_name(desk: Desk) -> None:
    scored = desk.scored([1], label=["a"], truth=[3], is_in_doubt=[True], known=[1], k0=["x"])
    table, _ = desk.join(scored, desk.delivered([(1, True)]))
    assert table.select(["label", "is_in_doubt", "known", "k0", "truth"]).to_pylist() == [
        {"label": "a", "is_in_doubt": True, "known": 1, "k0": "x", "truth": True}
    ]


def test_a_delivery_without_key_or_target_is_refused_in_words(desk: Desk) -> None:
    with pytest.raises(DataError, match=r"delivery of labels lack the columns \['late'\]"):
        desk.join(desk.scored([1]), [desk.file({"carrier": ["UA"], "flight": [1]})])
    with pytest.raises(DataError, match=r"scored rows lack the columns \['tail'\]"):
        desk.join(desk.scored([1]), keys=["tail"])
