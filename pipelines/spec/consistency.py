"""What no single value of a model spec can show: values that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pipelines.spec.corpus import CONVERSATION_COLUMNS
from pipelines.spec.document import Path
from pipelines.spec.gates import GateRule
from pipelines.spec.model import ClassicSpec, LlmSpec, ModelSpec, Schedule
from pipelines.spec.nearest import choices
from pipelines.spec.source import FilesSource
from pipelines.spec.training import METRICS_BY_TASK

_UNIT_METRICS = frozenset(
    {"roc_auc", "roc_auc_ovr", "average_precision", "accuracy", "balanced_accuracy", "f1", "f1_macro", "precision"}
    | {"recall", "brier", "exact_match", "token_f1", "format_valid", "general_accuracy", "stereotype_preference"}
    | {"toxicity", "personal_data_leaks", "refusal"}
)
_COLUMN_KWARGS = ("column", "column_A", "column_B", "column_list", "column_set")


class Inconsistency(NamedTuple):
    """A value that does not fit another one."""

    path: Path
    found: str
    allowed: str


def inconsistencies(spec: ModelSpec) -> list[Inconsistency]:
    """Return every contradiction in a spec whose single values are all right."""
    own = _training(spec) if isinstance(spec, ClassicSpec) else _fine_tuning(spec) if isinstance(spec, LlmSpec) else ()
    return [*_schedule(spec), *_source(spec), *_holdout(spec), *own, *_gates(spec), *_watching(spec)]


def _schedule(spec: ModelSpec) -> Iterator[Inconsistency]:
    schedule = spec.schedule
    for section, cron in (
        ("schedule", schedule.cron),
        ("scoring", spec.scoring.cron),
        ("monitoring", spec.monitoring.cron),
    ):
        if cron is not None and (reason := _cron_problem(cron)):
            yield Inconsistency((section, "cron"), repr(cron), reason)
    if spec.scoring.window_days is not None and spec.source.time_column is None:
        found = repr(spec.scoring.window_days)
        yield Inconsistency(
            ("scoring", "window_days"), found, "only with 'source.time_column', which tells a row's time"
        )
    times = {key: _instant(getattr(schedule, key)) for key in ("data_start", "data_end")}
    for key, time in times.items():
        if time is None and (text := getattr(schedule, key)) is not None:
            yield Inconsistency(("schedule", key), repr(text), "ISO 8601, such as 2013-01-01 or 2013-01-01T06:00:00")
    start, end = times["data_start"], times["data_end"]
    if start is not None and end is not None and start >= end:
        yield Inconsistency(("schedule", "data_end"), repr(schedule.data_end), f"later than {schedule.data_start!r}")
    if _bounds_files_without_time(spec, schedule):
        key = "data_start" if schedule.data_start is not None else "data_end"
        yield Inconsistency(("schedule", key), "a data window", "none without 'source.time_column' to find it by")


def _bounds_files_without_time(spec: ModelSpec, schedule: Schedule) -> bool:
    bounded = schedule.data_start is not None or schedule.data_end is not None
    return bounded and isinstance(spec.source, FilesSource) and spec.source.time_column is None


def _cron_problem(cron: str) -> str | None:
    from croniter import croniter  # 10 ms that most DAG parses need not spend

    if len(cron.split()) != 5 and not cron.startswith("@"):
        return "5 fields: minute, hour, day of month, month, day of week; such as '0 6 * * 1'"
    return None if croniter.is_valid(cron) else "a cron expression, such as '0 6 * * 1' for Mondays at 06:00 UTC"


def _instant(text: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _source(spec: ModelSpec) -> Iterator[Inconsistency]:
    source = spec.source
    if source.time_column is None and source.partition_by != "none":
        allowed = "'none', or give 'source.time_column' to cut partitions by"
        yield Inconsistency(("source", "partition_by"), repr(source.partition_by), allowed)
    yield from _repeated(source.key_columns, ("source", "key_columns"))


def _holdout(spec: ModelSpec) -> Iterator[Inconsistency]:
    holdout, source = spec.holdout, spec.source
    needed, foreign = ("last_days", ["share", "salt"]) if holdout.by == "time" else ("share", ["last_days"])
    if holdout.by == "time":
        if source.time_column is None:
            yield Inconsistency(("holdout", "by"), "'time'", "'key', or give 'source.time_column'")
    elif not spec.holdout_key_columns:
        yield Inconsistency(("holdout", "by"), "'key'", "'time', or give 'source.key_columns'")
    if getattr(holdout, needed) is None:
        allowed = f"a value, since a holdout by {holdout.by} needs {needed!r}"
        yield Inconsistency(("holdout", needed), "nothing", allowed)
    for key in foreign:
        if key in holdout.model_fields_set and getattr(holdout, key) is not None:
            allowed = f"nothing, since a holdout by {holdout.by} has no {key!r}"
            yield Inconsistency(("holdout", key), repr(getattr(holdout, key)), allowed)


def _fine_tuning(spec: LlmSpec) -> Iterator[Inconsistency]:
    training, hardware = spec.training, spec.hardware
    if spec.holdout.by == "time" and spec.corpus.document_column is None and not spec.corpus.near_duplicates.keep_one:
        allowed = "'key', or 'keep_one: true': near-duplicates would stand on both sides of a day"
        yield Inconsistency(("holdout", "by"), "'time'", allowed)
    if training.sequences_per_step % hardware.world_size:
        allowed = f"a multiple of the {hardware.world_size} processes"
        yield Inconsistency(("training", "sequences_per_step"), str(training.sequences_per_step), allowed)
    elif training.micro_batch is not None and training.sequences_per_step % (
        training.micro_batch * hardware.world_size
    ):
        each = training.sequences_per_step // hardware.world_size
        allowed = f"a divisor of the {each} sequences that each of {hardware.world_size} processes has in a step"
        yield Inconsistency(("training", "micro_batch"), str(training.micro_batch), allowed)
    if spec.ability.holdout_items < spec.gates.minimum_rows:
        allowed = (
            f"at least {spec.gates.minimum_rows}, which is 'gates.minimum_rows': fewer always give a verdict of hold"
        )
        yield Inconsistency(("ability", "holdout_items"), str(spec.ability.holdout_items), allowed)
    if training.offload and training.zero_stage == 0:
        yield Inconsistency(("training", "offload"), "true", "false, or a 'zero_stage' of 1 to 3")
    if (
        training.early_stop is not None
        and training.max_steps is not None
        and (training.evaluate_every > training.max_steps and "evaluate_every" in training.model_fields_set)
    ):
        allowed = f"at most the {training.max_steps} steps of the training"
        yield Inconsistency(("training", "evaluate_every"), str(training.evaluate_every), allowed)


def _training(spec: ClassicSpec) -> Iterator[Inconsistency]:
    training = spec.training
    place: Path = ("training", "features")
    leaks = {column: index for index, column in enumerate(training.leak_columns)}
    for index, feature in enumerate(training.features):
        if feature == training.target:
            yield Inconsistency((*place, index), f"{feature!r}, the target", "columns known before the answer is")
        elif feature in leaks:
            found = f"{feature!r}, which is among training.leak_columns"
            yield Inconsistency((*place, index), found, "columns known before the answer is")
    yield from _repeated(training.features, place)
    metrics = METRICS_BY_TASK[training.task]
    if training.metric is not None and training.metric not in metrics:
        yield Inconsistency(("training", "metric"), repr(training.metric), choices(training.metric, metrics))
    if training.folds == "time" and spec.source.time_column is None:
        yield Inconsistency(("training", "folds"), "'time'", "'shuffled', or give 'source.time_column'")
    if training.task == "regression" and "calibrate" in training.model_fields_set and training.calibrate:
        yield Inconsistency(("training", "calibrate"), "true", "false: a regression has no probabilities to calibrate")
    budget = training.budget
    if budget.trials is not None and training.workers > budget.trials:
        allowed = f"at most the budget of {budget.trials} trials"
        yield Inconsistency(("training", "workers"), str(training.workers), allowed)
    fit, seconds = training.max_fit_seconds, budget.seconds
    if fit is not None and seconds is not None and fit > seconds:
        yield Inconsistency(("training", "max_fit_seconds"), f"{fit:g}", f"at most the budget of {seconds:g} seconds")


def _gates(spec: ModelSpec) -> Iterator[Inconsistency]:
    gates, known = spec.gates, _known_columns(spec)
    for index, column in enumerate(gates.slices):
        yield from _slice(column, known, _target(spec), ("gates", "slices", index))
    yield from _repeated(gates.slices, ("gates", "slices"))
    for index, rule in enumerate(gates.rules):
        yield from _rule(rule, spec.metrics, ("gates", "rules", index))
        if rule.slice is not None:
            yield from _slice(rule.slice, known, _target(spec), ("gates", "rules", index, "slice"))
        if not isinstance(spec, LlmSpec):
            yield from _without_base(rule, ("gates", "rules", index))
        elif needed := _unmeasured(rule.metric, spec):
            yield Inconsistency(("gates", "rules", index, "metric"), repr(rule.metric), needed)
    if all(rule.slice is not None or not rule.holds_without_champion for rule in gates.rules):
        allowed = "a minimum or maximum on all rows: the first model has no champion to be held to"
        yield Inconsistency(("gates", "rules"), "only rules against the champion or on slices", allowed)


def _watching(spec: ModelSpec) -> Iterator[Inconsistency]:
    metric = spec.monitoring.performance.metric
    if metric is not None and metric not in spec.served_metrics:
        yield Inconsistency(("monitoring", "performance", "metric"), repr(metric), choices(metric, spec.served_metrics))
    elif metric is not None and isinstance(spec, LlmSpec) and (needed := _unmeasured(metric, spec)):
        yield Inconsistency(("monitoring", "performance", "metric"), repr(metric), needed)
    columns, known = spec.monitoring.drift.columns, set(spec.source_columns)
    for index, column in enumerate(columns):
        if column not in known:
            place: Path = ("monitoring", "drift", "columns", index)
            yield Inconsistency(place, repr(column), choices(column, spec.source_columns))
    yield from _repeated(columns, ("monitoring", "drift", "columns"))
    resting: Path = ("monitoring", "anomalies", "resting_days")
    days = spec.monitoring.anomalies.resting_days
    if days and spec.source.partition_by != "day":
        yield Inconsistency(resting, ", ".join(days), "none, or 'day' as 'source.partition_by'")
    if spec.monitoring.drift.embedder is not None and not isinstance(spec, LlmSpec):
        allowed = "nothing: only what a language model is asked is read by one"
        yield Inconsistency(("monitoring", "drift", "embedder"), "a model", allowed)
    retraining = spec.retraining
    if retraining.budget is not None and isinstance(spec, LlmSpec):
        yield Inconsistency(("retraining", "budget"), "a budget", "nothing: a fine-tuning is bounded by its steps")
    if retraining.weekly_gpu_hours is not None and not isinstance(spec, LlmSpec):
        yield Inconsistency(("retraining", "weekly_gpu_hours"), "a bound", "nothing: only a fine-tuning takes GPUs")


def _rule(rule: GateRule, metrics: Sequence[str], place: Path) -> Iterator[Inconsistency]:
    if rule.metric not in metrics:
        yield Inconsistency((*place, "metric"), repr(rule.metric), choices(rule.metric, metrics))
        return
    if rule.minimum is not None and rule.maximum is not None and rule.minimum > rule.maximum:
        yield Inconsistency((*place, "minimum"), f"{rule.minimum:g}", f"at most the maximum, {rule.maximum:g}")
    highest = 1.0 if rule.metric in _UNIT_METRICS or rule.metric == "r2" else None
    if highest is not None and rule.minimum is not None and rule.minimum > highest:
        yield Inconsistency((*place, "minimum"), f"{rule.minimum:g}", f"at most 1: {rule.metric} cannot be higher")
    if rule.metric != "r2" and rule.maximum is not None and rule.maximum < 0:
        yield Inconsistency((*place, "maximum"), f"{rule.maximum:g}", f"at least 0: {rule.metric} cannot be lower")


def _without_base(rule: GateRule, place: Path) -> Iterator[Inconsistency]:
    for key in ("better_than_base_by", "no_worse_than_base_by"):
        if getattr(rule, key) is not None:
            found = f"{getattr(rule, key):g}"
            yield Inconsistency((*place, key), found, "nothing: only a fine-tuned language model has a base")


def _unmeasured(metric: str, spec: LlmSpec) -> str | None:
    """Return what the spec must ask for to have a metric measured, or None: what is not measured is rejected."""
    ability = spec.ability
    if metric in {"exact_match", "token_f1", "format_valid"} and not ability.generated_items:
        return "measured only with 'ability.generated_items' of 1 or more"
    if metric == "format_valid" and ability.answer_form is None:
        return "measured only with 'ability.answer_form'"
    if metric in {"stereotype_preference", "toxicity", "personal_data_leaks", "refusal"} and not ability.safety_items:
        return "measured only with 'ability.safety_items' of 1 or more"
    if metric == "general_accuracy" and not ability.suites:
        return "measured only with 'ability.suites'"
    if metric == "canary_exposure" and not spec.training.canary_share:
        return "measured only with 'training.canary_share' above 0"
    return None


def _target(spec: ModelSpec) -> str | None:
    return spec.training.target if isinstance(spec, ClassicSpec) else None


def _slice(column: str, known: Sequence[str], target: str | None, place: Path) -> Iterator[Inconsistency]:
    if column == target:
        yield Inconsistency(place, f"{column!r}, the target", "a column that is known before the answer is")
    elif column not in known:
        advice = f"{choices(column, known)}; an expectation on a column makes it known"
        yield Inconsistency(place, repr(column), advice)


def _known_columns(spec: ModelSpec) -> list[str]:
    known = [*spec.source_columns, *(CONVERSATION_COLUMNS if isinstance(spec, LlmSpec) else ())]
    known += spec.source.column_types if isinstance(spec.source, FilesSource) else ()
    for expectation in spec.quality.expectations:
        for kwarg in _COLUMN_KWARGS:
            value = expectation.kwargs.get(kwarg)
            known += [value] if isinstance(value, str) else map(str, value) if isinstance(value, list) else ()
    return list(dict.fromkeys(column for column in known if column != _target(spec)))


def _repeated(columns: Sequence[str], place: Path) -> Iterator[Inconsistency]:
    first: dict[str, int] = {}
    for index, column in enumerate(columns):
        if first.setdefault(column, index) != index:
            yield Inconsistency((*place, index), f"{column!r} a second time", "each column once")
