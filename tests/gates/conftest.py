"""Evaluations small enough to write down."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipelines.records import Evaluation, MetricValue, PairedDifference

Figures = dict[tuple[str, str], float | None]
Differences = dict[tuple[str, str], tuple[float | None, float | None, float | None]]


def _evaluation(
    metrics: Figures | None = None,
    differences: Differences | None = None,
    *,
    num_rows: int = 5000,
    slice_rows: dict[str, int] | None = None,
    champion: bool | None = None,
    champion_saw_holdout: str | None = None,
    base: Differences | None = None,
) -> Evaluation:
    rows = {"all": num_rows, **(slice_rows or {})}
    has_champion = bool(differences) if champion is None else champion
    return Evaluation(
        model="flight_delay",
        candidate_sha256="c" * 64,
        candidate_model_sha256="d" * 64,
        champion_version=3 if has_champion else None,
        champion_ledger_sha256="e" * 64 if has_champion else None,
        champion_saw_holdout=champion_saw_holdout,
        snapshot_id="a" * 64,
        holdout_sha256="b" * 64,
        num_rows=num_rows,
        metrics=tuple(
            MetricValue(metric=m, slice=s, value=v, low=v, high=v, num_rows=rows.get(s, 1000))
            for (m, s), v in (metrics or {}).items()
        ),
        champion_metrics=(),
        differences=tuple(
            PairedDifference(metric=m, slice=s, value=v, low=low, high=high, num_rows=rows.get(s, 1000))
            for (m, s), (v, low, high) in (differences or {}).items()
        ),
        base_sha256=None if base is None else "f" * 64,
        base_differences=tuple(
            PairedDifference(metric=m, slice=s, value=v, low=low, high=high, num_rows=rows.get(s, 1000))
            for (m, s), (v, low, high) in (base or {}).items()
        ),
    )


@pytest.fixture
def evaluation() -> Callable[..., Evaluation]:
    """Build an evaluation from figures by (metric, slice)."""
    return _evaluation
