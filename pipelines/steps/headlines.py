"""Say in one line what a step left, for logs: the person on call reads these before anything else."""

from __future__ import annotations

from functools import singledispatch

from pipelines.records import (
    Appointed,
    Candidate,
    Decided,
    Evaluation,
    Ingested,
    Judged,
    Monitored,
    Packed,
    Promoted,
    Reconciled,
    Record,
    Registered,
    RunRequest,
    Scored,
    ScoredShard,
    SearchPlan,
    SearchShare,
    SnapshotRef,
    TuningPlan,
    Validated,
)


@singledispatch
def headline(record: Record) -> str:
    """Return what a record says, in one line."""
    return type(record).__name__


@headline.register
def _(record: RunRequest) -> str:
    window = f"data from {record.window.start or 'the first'} to {record.window.end or 'the last'}"
    return f"run {record.run_id} begins, asked by {record.by}; {window}{f'; {record.note}' if record.note else ''}"


@headline.register
def _(record: Decided) -> str:
    into = f" {record.run_id}, to begin at {record.run_after or 'once'}" if record.run_id else ""
    return f"retraining: {record.outcome}{into}; {'; '.join(record.reasons)}"


@headline.register
def _(record: Ingested) -> str:
    changed = "".join(f"; the source of {change.name} is not what it was" for change in record.changed)
    return f"{record.num_rows:,} rows in {len(record.partitions)} partitions, {len(record.new)} of them new{changed}"


@headline.register
def _(record: Validated) -> str:
    statuses = [check.status for check in record.checks]
    checks = ", ".join(f"{statuses.count(status)} {status}" for status in sorted(set(statuses), reverse=True))
    return f"{record.num_rows_bad:,} of {record.num_rows_in:,} rows quarantined; checks: {checks or 'none'}"


@headline.register
def _(record: SnapshotRef) -> str:
    rows = f"{record.num_rows_train:,} rows to train on, {record.num_rows_holdout:,} held out"
    return f"{rows}; snapshot {record.snapshot_id[:12]}"


@headline.register
def _(record: Packed) -> str:
    sequences = f"{record.num_sequences:,} sequences of {record.sequence_length} tokens, {record.useful_share:.1%} used"
    return f"{record.num_documents:,} conversations in {sequences}; {record.num_decontaminated:,} taken out"


@headline.register
def _(record: TuningPlan) -> str:
    forecast = f"forecast {record.forecast_bytes / 1e9:.1f} GB a process, {record.forecast_step_seconds:.1f} s a step"
    return f"{record.num_steps} steps, ZeRO-{record.zero_stage}, {record.world_size} process(es); {forecast}"


@headline.register
def _(record: SearchPlan) -> str:
    budget = f"{record.budget_seconds:g} s" if record.budget_trials is None else f"{record.budget_trials} trials"
    return f"{budget} for the search, {record.workers} worker(s)"


@headline.register
def _(record: SearchShare) -> str:
    return f"{record.num_trials} trials in {record.seconds:.1f} s"


@headline.register
def _(record: Candidate) -> str:
    return f"candidate {record.sha256[:12]}: {record.algorithm}"


@headline.register
def _(record: Evaluation) -> str:
    overall = [metric for metric in record.metrics if metric.slice == "all" and metric.value is not None]
    base = {
        one.metric: f" (base {one.value:.4f})"
        for one in record.base_metrics
        if one.slice == "all" and one.value is not None
    }
    figures = ", ".join(f"{one.metric} {one.value:.4f}{base.get(one.metric, '')}" for one in overall)
    against = "no champion yet" if record.champion_version is None else f"beside version {record.champion_version}"
    return f"{figures} on {record.num_rows:,} rows; {against}"


@headline.register
def _(record: Judged) -> str:
    return f"verdict {record.outcome}"


@headline.register
def _(record: Registered) -> str:
    return f"version {record.version} stands in MLflow and does not serve yet"


@headline.register
def _(record: Promoted) -> str:
    return f"version {record.version} is champion, by ledger entry {record.ledger_seq}"


@headline.register
def _(record: Reconciled) -> str:
    return record.message


@headline.register
def _(record: Appointed) -> str:
    beside = "" if record.canary is None else f"; version {record.canary.version} beside it on {record.canary_share:g}"
    return f"version {record.champion.version} answers{beside}"


@headline.register
def _(record: ScoredShard) -> str:
    rows = sum(partition.num_rows for partition in record.partitions)
    return f"shard {record.shard}: {rows:,} rows in {len(record.partitions)} results"


@headline.register
def _(record: Scored) -> str:
    rows = f"{record.num_rows:,} rows in {sum(one.role == 'champion' for one in record.partitions)} partitions"
    return f"{rows}, {len(record.new)} of them new, answered by version {record.champion_version}"


@headline.register
def _(record: Monitored) -> str:
    windows = [key.split("/")[-2] for key in record.report_keys]
    return f"{len(windows)} windows looked at as of {record.as_of}, the newest is {windows[-1]}"
