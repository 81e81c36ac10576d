"""What the steps of a training run leave: from partitions over candidates to ledger entries."""

from __future__ import annotations

from typing import Literal

from pipelines.records.base import Record, Sealed

Outcome = Literal["promote", "hold", "reject"]


class Window(Record):
    """A half-open span of the data's time column, as ISO 8601 text; None is open. `[start, end)`."""

    start: str | None = None
    end: str | None = None


class RunRequest(Record):
    """What a person or an event asks of one training run; what is None comes from the spec.

    `run_id` tells it from all other runs of the model. `as_of` is the moment that it is about, UTC, ISO 8601: the
    present where it is None; a replay, which `replay` names, sets it.
    """

    window: Window = Window()
    budget_seconds: float | None = None
    budget_trials: int | None = None
    note: str = ""
    by: str = "unknown"
    run_id: str = ""
    as_of: str | None = None
    replay: str | None = None


class Partition(Record):
    """One immutable Parquet object. `name` is the slice of time it holds, such as `2013-01`."""

    name: str
    key: str
    content_sha256: str
    num_rows: int
    size_bytes: int


class PartitionChange(Record):
    """A past partition whose source now gives other content than before."""

    name: str
    before_sha256: str
    after_sha256: str


class Ingested(Record):
    """What ingest leaves: every partition in the window, and which of them are new or not what they were.

    `prepare` leaves the same of a language model's conversations: `prepared_from` are the partitions as they came in,
    and `report_key` names what was found in them.
    """

    model: str
    window: Window
    source: str
    partitions: tuple[Partition, ...]
    new: tuple[str, ...]
    changed: tuple[PartitionChange, ...]
    num_rows: int
    prepared_from: tuple[Partition, ...] = ()
    report_key: str | None = None


class CheckResult(Record):
    """The result of one Great Expectations check over all partitions of a run.

    `status`: passed, failed, or broken (the check itself crashed). `bad_rows` is None for a check on the whole table.
    """

    check: str
    type: str
    column: str | None
    status: Literal["passed", "failed", "broken"]
    severity: Literal["critical", "warning"]
    bad_rows: int | None
    observed: str
    required: str


class Validated(Record):
    """What validate leaves: partitions without the bad rows, and the bad rows with their reasons.

    `raw` are the partitions as they were judged, so that a snapshot can name the bytes it rests on; `prepared_from`
    are those that they were prepared from, where they were.
    """

    model: str
    window: Window
    raw: tuple[Partition, ...] = ()
    prepared_from: tuple[Partition, ...] = ()
    partitions: tuple[Partition, ...]
    quarantined: tuple[Partition, ...]
    num_rows_in: int
    num_rows_bad: int
    checks: tuple[CheckResult, ...]
    report_key: str


class SnapshotRef(Record):
    """A snapshot as training may see it: the id and the training manifest. It does not name the holdout's objects.

    `training_sha256` is the hash of the bytes under `training_key`: training cannot read the whole manifest, and so
    needs a hash of its own to know its part by.
    """

    model: str
    snapshot_id: str
    training_key: str
    training_sha256: str
    num_rows_train: int
    num_rows_holdout: int


class Packed(Record):
    """What pack leaves of a language model's training side: sequences of tokens, ready to be mapped into memory.

    `manifest_key` names the stored list of files with their hashes; `manifest_sha256` binds all of them.
    """

    model: str
    snapshot: SnapshotRef
    manifest_key: str
    manifest_sha256: str
    pretrained_sha256: str
    sequence_length: int
    num_documents: int
    num_sequences: int
    num_validation_sequences: int
    num_tokens: int
    num_answer_tokens: int
    useful_share: float
    num_decontaminated: int
    report_key: str


class TuningPlan(Record):
    """The fine-tuning as it was fixed before any of it ran; `plan_key` names DeepSpeed's settings and the forecast."""

    model: str
    packed: Packed
    plan_key: str
    plan_sha256: str
    mlflow_run_id: str
    world_size: int
    num_steps: int
    zero_stage: int
    forecast_bytes: int
    forecast_step_seconds: float


class SearchPlan(Record):
    """The search as it was fixed before its first fit: `search_key` is the prefix of everything its workers write."""

    model: str
    snapshot: SnapshotRef
    search_key: str
    mlflow_run_id: str
    workers: int
    budget_seconds: float | None
    budget_trials: int | None


class SearchShare(Record):
    """What one search worker did: its trials are in the store under the plan's `search_key`."""

    worker: int
    num_trials: int
    seconds: float


class Candidate(Record):
    """A trained version that nobody has judged yet.

    `model_key` names the model's one file, or the manifest of its files where it has several; `model_sha256` is its
    hash. `training_key` names the record from which the training can be replayed. `validation_score` is what
    the training itself optimised, on rows of the training side: `cv roc_auc`, `validation loss`.
    """

    model: str
    snapshot_id: str
    model_key: str
    model_sha256: str
    training_key: str
    mlflow_run_id: str
    algorithm: str
    validation_metric: str
    validation_score: float
    num_trials: int
    seconds: float
    spec_sha256: str
    code_commit: str
    environment_sha256: str


class MetricValue(Record):
    """One metric on one slice with its 95 % bootstrap interval; `value` is None when it could not be measured."""

    metric: str
    slice: str
    value: float | None
    low: float | None
    high: float | None
    num_rows: int


class PairedDifference(Record):
    """Challenger minus champion on the same rows, with its 95 % paired bootstrap interval, in the metric's unit."""

    metric: str
    slice: str
    value: float | None
    low: float | None
    high: float | None
    num_rows: int


class Evaluation(Record):
    """The evidence: candidate and champion on the same frozen holdout, and of a language model its pretrained base too.

    `champion_saw_holdout` says how the champion came to know these rows; None when it did not. `predictions_key` names
    the Parquet object with both models' prediction for each row, and `predictions_sha256` binds it.
    """

    model: str
    candidate_sha256: str
    candidate_model_sha256: str
    champion_version: int | None
    champion_ledger_sha256: str | None
    champion_saw_holdout: str | None
    snapshot_id: str
    holdout_sha256: str
    num_rows: int
    metrics: tuple[MetricValue, ...]
    champion_metrics: tuple[MetricValue, ...]
    differences: tuple[PairedDifference, ...]
    predictions_key: str | None = None
    predictions_sha256: str | None = None
    base_sha256: str | None = None
    base_metrics: tuple[MetricValue, ...] = ()
    base_differences: tuple[PairedDifference, ...] = ()


class RuleResult(Record):
    """One gate rule and what came of it."""

    rule: str
    outcome: Outcome
    reason: str


class Verdict(Record):
    """The judgement, bound by hash to candidate, champion, holdout, evidence and rules."""

    model: str
    outcome: Outcome
    results: tuple[RuleResult, ...]
    candidate_sha256: str
    champion_ledger_sha256: str | None
    holdout_sha256: str
    evaluation_sha256: str
    rules_sha256: str


class Judged(Record):
    """What the gate leaves: where the verdict and the evidence it rests on are stored."""

    model: str
    outcome: Outcome
    verdict_key: str
    verdict_sha256: str
    evaluation_key: str
    candidate_key: str


class Registered(Record):
    """A judged candidate with a version in MLflow's registry. It does not serve yet."""

    judged: Judged
    version: int


class LedgerEntry(Sealed):
    """One line of a model's ledger.

    For `promote` and `roll_back`, `version` serves from `at` on. `at` is UTC, ISO 8601.
    """

    action: Literal["promote", "roll_back"]
    version: int
    candidate_key: str
    candidate_sha256: str
    model_sha256: str
    verdict_key: str
    verdict_sha256: str
    reason: str
    by: str
    at: str


class Promoted(Record):
    """What promote leaves: the ledger entry that made this version champion."""

    model: str
    version: int
    ledger_seq: int
    ledger_sha256: str
    previous_version: int | None


class Reconciled(Record):
    """What became of the alias: it stood right, was healed after a crash, or was moved back from somebody's hand."""

    model: str
    outcome: Literal["right", "healed", "moved_back"]
    version: int | None
    found_version: int | None
    message: str
