"""Tell how the planner's forecasts did in the trainings that the ledger knows: its score."""

from __future__ import annotations

from statistics import median
from typing import Any

from pipelines.errors import IntegrityError, ObjectMissing
from pipelines.llm.history import Training
from pipelines.records import Candidate, LedgerEntry
from pipelines.registry.ledger import walk_ledger
from pipelines.spec import LlmSpec
from pipelines.steps.context import Context
from pipelines.store import Store
from pipelines.store.verified import read_record


def past_forecasts(context: Context[LlmSpec]) -> dict[str, Any]:
    """Return what was forecast of each champion's training and what was measured, as plain JSON values.

    Each training record is read by the hash that its candidate names, and each candidate by the ledger's.

    Args:
        context: A language model's.

    Returns:
        `trainings`, newest version first: `version`, `at`, `world_size`, `forecast_bytes` and `peak_bytes` of one
        process, `forecast_step_seconds` and `step_seconds`, and the errors `memory_error` and `time_error`, which are
        forecast over measured minus 1; `median_memory_error` and `median_time_error` without their signs, None where
        nothing was measured; `problems`: what could not be read, and why.
    """
    trainings, problems = list[dict[str, Any]](), list[str]()
    seen = set[int]()
    for entry in walk_ledger(context.store, context.spec.name):
        if isinstance(entry, IntegrityError):
            problems.append(str(entry))
        elif entry.version not in seen:
            seen.add(entry.version)
            try:
                trainings.append(_score(context.store, entry))
            except (IntegrityError, ObjectMissing) as error:
                problems.append(f"version {entry.version}: {error}")
    trainings.sort(key=lambda one: -one["version"])
    return {
        "trainings": trainings,
        "median_memory_error": _median([one["memory_error"] for one in trainings]),
        "median_time_error": _median([one["time_error"] for one in trainings]),
        "problems": problems,
    }


def _score(store: Store, entry: LedgerEntry) -> dict[str, Any]:
    candidate = read_record(store, entry.candidate_key, Candidate, entry.candidate_sha256)
    training = read_record(store, candidate.training_key, Training)
    return {
        "version": entry.version,
        "at": entry.at,
        "world_size": training.world_size,
        "forecast_bytes": training.forecast_bytes,
        "peak_bytes": training.peak_bytes,
        "memory_error": _error(training.forecast_bytes, training.peak_bytes),
        "forecast_step_seconds": training.forecast_step_seconds,
        "step_seconds": training.step_seconds,
        "time_error": _error(training.forecast_step_seconds, training.step_seconds),
    }


def _error(forecast: float, measured: float | None) -> float | None:
    return round(forecast / measured - 1, 4) if measured else None


def _median(errors: list[float | None]) -> float | None:
    known = [abs(error) for error in errors if error is not None]
    return median(known) if known else None
