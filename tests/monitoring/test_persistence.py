"""What drifts once is no reason; what goes on drifting and matters is."""

from __future__ import annotations

import pytest

from pipelines.monitoring.persistence import is_drift_alarm, persistent_weight, with_persistence
from pipelines.records import ColumnDrift
from pipelines.spec.watching import KOfN


def column(name: str, drifted: bool, weight: float = 0.0, persistent: bool = False) -> ColumnDrift:
    return ColumnDrift(
        column=name,
        measure="ks",
        distance=0.2,
        psi=0.1,
        p_value=0.01,
        q_value=0.02,
        null_share=0,
        reference_null_share=0,
        drifted=drifted,
        persistent=persistent,
        weight=weight,
        num_rows=100,
        num_reference_rows=100,
    )


def windows(pattern: str) -> list[tuple[ColumnDrift, ...]]:
    return [(column("x", mark == "1"),) for mark in pattern]


@pytest.mark.parametrize(
    ("before", "now", "persistent"),
    [
        ("", "1", False),
        ("1", "1", True),
        ("10", "1", True),
        ("100", "1", False),
        ("00", "1", False),
        ("11", "0", False),
        ("0000", "1", False),
        ("1111", "1", True),
    ],
)
def test_two_of_the_last_three_windows_the_newest_among_them(before, now, persistent) -> None:
    (found,) = with_persistence(windows(now)[0], windows(before), KOfN(needed=2, windows=3))
    assert found.persistent is persistent


def test_one_of_one_needs_no_history() -> None:
    (found,) = with_persistence(windows("1")[0], windows("1"), KOfN(needed=1, windows=1))
    assert found.persistent
    (found,) = with_persistence(windows("0")[0], windows("1"), KOfN(needed=1, windows=1))
    assert not found.persistent


def test_a_column_that_was_not_there_before_has_no_history() -> None:
    now = (column("new", True), column("x", True))
    found = with_persistence(now, windows("11"), KOfN(needed=2, windows=3))
    assert {one.column: one.persistent for one in found} == {"new": False, "x": True}


def test_persistent_columns_must_matter_together() -> None:
    columns = [column("a", True, 0.03, True), column("b", True, 0.07, True), column("c", True, 0.9, False)]
    assert persistent_weight(columns) == pytest.approx(0.1)
    assert is_drift_alarm(columns, 0.1)
    assert not is_drift_alarm(columns, 0.11)


def test_nothing_persistent_is_no_alarm_even_where_no_weight_is_asked_for() -> None:
    assert not is_drift_alarm([column("a", True, 1.0)], 0.0)
    assert not is_drift_alarm([], 0.0)
