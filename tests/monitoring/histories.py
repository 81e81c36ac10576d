"""Months of monitoring that might have been: the same reports for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pipelines.monitoring.replay import ReplayMonth, Score
from pipelines.records.monitoring import (
    Anomaly,
    ColumnDrift,
    Decided,
    JointDrift,
    MonitoringReport,
    PerformanceValue,
    Severity,
)

FLIGHT_COLUMNS = (
    "carrier", "origin", "destination", "distance", "hour", "minute", "weekday", "day_of_month", "scheduled_minutes",
    "temperature", "dew_point", "humidity", "wind_direction", "wind_speed", "wind_gust", "precipitation", "pressure",
    "visibility", "plane_year", "plane_seats",
)  # fmt: skip
_SEASONAL = {"temperature": 0.62, "dew_point": 0.55, "pressure": 0.16, "wind_speed": 0.11, "visibility": 0.09}
_SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")


def months(count: int, start: tuple[int, int] = (2013, 4)) -> list[str]:
    """Return the names of months that follow each other."""
    first = start[0] * 12 + start[1] - 1
    return [f"{month // 12}-{month % 12 + 1:02d}" for month in range(first, first + count)]


def history(
    count: int = 9, columns: Sequence[str] = FLIGHT_COLUMNS, seed: int = 7, retrained_in: Sequence[int] = (4,)
) -> list[MonitoringReport]:
    """Return a report a month: the champion fades until it is replaced; the last month's labels are not there yet."""
    chance = random.Random(seed)
    version, since, reports = 1, 0, []
    for place, name in enumerate(months(count)):
        if place in retrained_in:
            version, since = version + 1, 0
        reports.append(_report(name, version, since, place, place == count - 1, columns, chance))
        since += 1
    return reports


def silent(name: str = "2013-04") -> MonitoringReport:
    """Return a report in which nothing could be measured."""
    column = ColumnDrift(
        column="a", measure="ks", distance=None, psi=None, p_value=None, q_value=None, null_share=1.0,
        reference_null_share=0.0, drifted=False, persistent=False, weight=0.0, num_rows=0, num_reference_rows=9,
    )  # fmt: skip
    nothing = PerformanceValue(
        metric="roc_auc", source="measured", value=None, low=None, high=None, reference=None, num_rows=0, dropped=False
    )
    return MonitoringReport(
        model="tiny", window_name=name, as_of=f"{name}-28T00:00:00+00:00", champion_version=1,
        champion_ledger_sha256="0" * 64, reference="training", inputs_sha256="1" * 64,
        num_rows=0, num_labelled=0, num_new_labelled_rows=0,
        columns=(column,), predictions=(column,), performance=(nothing,),
        joint=JointDrift(auc=None, low=None, high=None, num_rows=0, drifted=False),
    )  # fmt: skip


def decided(outcome: str = "start", *reasons: str) -> Decided:
    """Return a decision."""
    return Decided.model_validate(
        {
            "model": "flight_delay",
            "outcome": outcome,
            "request_id": "a" * 64,
            "run_id": "retrain__0123456789abcdef",
            "run_after": "2013-12-08T00:00:00+00:00",
            "reasons": reasons,
            "entry_seq": 3,
            "as_of": "2013-12-01T00:00:00+00:00",
        }
    )


def _report(
    name: str, version: int, since: int, place: int, is_newest: bool, columns: Sequence[str], chance: random.Random
) -> MonitoringReport:
    value = 0.705 + 0.01 * (version - 1) - 0.013 * since + chance.gauss(0, 0.004)
    reference = 0.708 + 0.008 * (version - 1)
    rows = 27_000 + chance.randrange(2000)
    drifts = [_drift(column, place, chance) for column in columns]
    measured = [] if is_newest else _values("measured", value, 0.008, reference, rows)
    return MonitoringReport(
        model="flight_delay", window_name=name, as_of=f"{name}-28T06:00:00+00:00", champion_version=version,
        champion_ledger_sha256=f"{version:064x}", reference="training rows of the same season",
        inputs_sha256="1" * 64, num_rows=rows,
        num_labelled=0 if is_newest else rows - 600, num_new_labelled_rows=27_000 * since, columns=tuple(drifts),
        predictions=(_drift("prediction.late", place, chance),),
        joint=JointDrift(auc=0.55 + 0.015 * place, low=0.53 + 0.015 * place, high=0.57 + 0.015 * place, num_rows=5000,
                         drifted=place > 1),
        performance=tuple(measured),
        estimates=tuple(_values("estimated", value + chance.gauss(0, 0.008), 0.014, reference, rows)),
        anomalies=tuple(
            Anomaly(kind="null_burst", severity=_SEVERITIES[number % 3], column="wind_gust",
                    message=f"wind_gust: 83 % of {rows:,} rows are null, 61 % were; at most 10 % more is usual.")
            for number in range(place % 4)
        ),
    )  # fmt: skip


def _values(source: str, value: float, reach: float, reference: float, rows: int) -> list[PerformanceValue]:
    figures = {"roc_auc": (value, reference), "brier": (0.16 - 0.1 * (value - 0.7), 0.158), "log_loss": (0.5, 0.49)}
    return [
        PerformanceValue.model_validate(
            {"metric": metric, "source": source, "value": shown, "low": shown - reach, "high": shown + reach,
             "reference": was, "num_rows": rows, "dropped": metric == "roc_auc" and shown + reach < was - 0.02}
        )
        for metric, (shown, was) in figures.items()
    ]  # fmt: skip


def _drift(column: str, place: int, chance: random.Random) -> ColumnDrift:
    distance = min(1.0, abs(chance.gauss(0.02, 0.012)) + _SEASONAL.get(column, 0.0) * min(1.0, place / 3))
    drifted = distance > 0.08
    return ColumnDrift(
        column=column, measure="ks", distance=distance, psi=distance * 1.7, p_value=0.001,
        q_value=0.003 if drifted else 0.4,
        null_share=0.003, reference_null_share=0.002, drifted=drifted, persistent=drifted and place > 1,
        weight=0.05, num_rows=27_000, num_reference_rows=80_000,
    )  # fmt: skip


def replayed(count: int = 9, seed: int = 3) -> list[ReplayMonth]:
    """Return the months of a replay: the champion fades, and every third month asks for another."""
    chance = random.Random(seed)
    version, since, made = 1, 0, []
    for place, name in enumerate(months(count)):
        noise = chance.gauss(0, 0.004)
        frozen, served, oracle = 0.70 - 0.006 * place + noise, 0.705 - 0.006 * since + noise, 0.712 + noise
        asked, is_promoted = since >= 2, place % 2 == 0
        made.append(
            ReplayMonth(
                window_name=name,
                frozen=_score(frozen),
                served=_score(frozen if version == 1 else served),
                served_version=version,
                oracle=_score(oracle),
                num_drifted=min(6, place),
                num_alarms=place % 3,
                outcome="start" if asked else "none",
                reason="measured roc_auc is 0.671 against 0.705 at its promotion, dropped in 2 of the last 3 windows"
                if asked
                else "measured roc_auc is 0.700 against 0.705 at its promotion, not dropped",
                retrained=asked,
                promoted_version=version + 1 if asked and is_promoted else None,
            )
        )
        version, since = (version + 1, 0) if asked and is_promoted else (version, since + 1)
    return made


def _score(value: float) -> Score:
    return Score(value=value, low=value - 0.006, high=value + 0.006)
