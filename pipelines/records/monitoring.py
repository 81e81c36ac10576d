"""What scoring, monitoring and the decision to retrain leave."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pipelines.records.base import Record, sha256_of
from pipelines.records.training import Window

Reason = Literal["performance", "drift", "schedule", "data", "event", "person"]
Severity = Literal["info", "warning", "critical"]


class WindowRequest(Record):
    """What is asked of one run that scores or monitors; a bound that is None is open.

    `as_of` is the moment that the run is about, UTC, ISO 8601: the present where it is None. `replay` names the replay
    that the run belongs to: what is found and decided there is kept apart from what is found and decided for real.
    `about` tells it, as plain JSON, from what is asked of a training.
    """

    about: Literal["rows"] = "rows"
    window: Window = Window()
    as_of: str | None = None
    replay: str | None = None
    note: str = ""
    by: str = "unknown"


class Appointee(Record):
    """A version that answers rows. `ledger_sha256` is the entry by which it serves, None for one that does not."""

    version: int
    ledger_sha256: str | None
    candidate_key: str
    candidate_sha256: str


class Appointed(Record):
    """Who answers in one scoring run, fixed before its first row, so that a promotion meanwhile mixes no versions.

    `requested_at` is the moment that the run is about, UTC. The challenger answers the share `canary_share` of the rows
    that the champion answers.
    """

    model: str
    requested_at: str
    champion: Appointee
    snapshot_id: str
    canary: Appointee | None = None
    canary_share: float = 0.0
    shards: int = 1


class ScoredPartition(Record):
    """What one version answered to the rows of one partition: at most one such record for partition, version and role.

    `partition_sha256` is the content that was scored. `role` is `canary` where a challenger answered a share of the
    rows beside the champion.
    """

    name: str
    partition_sha256: str
    version: int
    role: Literal["champion", "canary"]
    key: str
    content_sha256: str
    num_rows: int
    size_bytes: int
    requested_at: str


class ScoredShard(Record):
    """What one of a run's mapped tasks did: its share of the partitions, in order of their names."""

    model: str
    shard: int
    partitions: tuple[ScoredPartition, ...]


class Scored(Record):
    """What a scoring run leaves: every partition of its window, and the champion that answered."""

    model: str
    window: Window
    champion_version: int
    champion_ledger_sha256: str
    snapshot_id: str
    partitions: tuple[ScoredPartition, ...]
    new: tuple[str, ...]
    num_rows: int


class ColumnDrift(Record):
    """How far one column of the new rows is from the reference.

    `distance` is the effect size, from 0 to 1: Kolmogorov-Smirnov distance of numbers and times, and of the lengths of
    writing (`<column> (length)`); total variation of categories, and of the words of writing (`<column> (words)`), less
    what is there by chance; how far the means of the texts' embeddings are apart, against how far texts are spread
    (`<column> (meaning)`). What is missing is among the values, but for words and meaning. None where one side has no
    value. `psi` is shown and decides nothing. `q_value` is the p-value
    after Benjamini and Hochberg over all columns. `drifted`: far and significant in this window. `persistent`: in as
    many of the last windows as the spec asks for. `weight` is the share of the champion's feature importance.
    `usual_distance` is the largest distance of one of the training's own partitions from the others, such as that of
    the day of the month; no nearer distance is drift. None where it is not known.
    """

    column: str
    measure: Literal["ks", "total_variation", "words", "centroid"]
    distance: float | None
    psi: float | None
    p_value: float | None
    q_value: float | None
    null_share: float
    reference_null_share: float
    drifted: bool
    persistent: bool
    weight: float
    num_rows: int
    num_reference_rows: int
    usual_distance: float | None = None


class JointDrift(Record):
    """How well a classifier tells new rows from reference rows, as ROC AUC on rows it was not fitted on; 0.5: not.

    `usual_auc`: how well it tells the newest training partition from the others; None where that is not known.
    """

    auc: float | None
    low: float | None
    high: float | None
    num_rows: int
    drifted: bool
    usual_auc: float | None = None


class PerformanceValue(Record):
    """One metric of the champion on one window, against what it was when it was promoted.

    `source` is `measured` where labels were joined, `estimated` where none were needed. `reference` is the value on the
    holdout that it was promoted by. `dropped`: worse than the reference by more than the spec's margin, and by more
    than chance.
    """

    metric: str
    source: Literal["measured", "estimated"]
    value: float | None
    low: float | None
    high: float | None
    reference: float | None
    num_rows: int
    dropped: bool


class Anomaly(Record):
    """One thing that is not as it should be, in a sentence that says value and bound."""

    kind: str
    severity: Severity
    column: str | None
    message: str


class MonitoringReport(Record):
    """What monitoring found in one window (a partition of the source), as far as it was known at `as_of`.

    `champion_version` is the version that scored the window. `num_new_labelled_rows` counts the labelled rows since the
    serving champion's snapshot: what a retraining would learn from. `inputs_sha256` is the hash of all that the report
    is computed from, so that looking again at the same gives the same report.
    """

    model: str
    window_name: str
    as_of: str
    inputs_sha256: str
    champion_version: int
    champion_ledger_sha256: str
    reference: str
    num_rows: int
    num_labelled: int
    num_new_labelled_rows: int
    columns: tuple[ColumnDrift, ...] = ()
    predictions: tuple[ColumnDrift, ...] = ()
    joint: JointDrift | None = None
    performance: tuple[PerformanceValue, ...] = ()
    estimates: tuple[PerformanceValue, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()


class Monitored(Record):
    """What monitor leaves: the stored report of each window, oldest first, and the page that shows them."""

    model: str
    as_of: str
    replay: str | None = None
    report_keys: tuple[str, ...]
    report_sha256s: tuple[str, ...]
    report_key: str | None = None


class RetrainingRequest(Record):
    """A wish for one retraining. Its identity is the hash of model, reason and evidence: who asks, and when, is not.

    `evidence` is plain JSON that says what the wish rests on, such as hashes of reports or an event's own id.
    """

    model: str
    reason: Reason
    evidence: dict[str, Any] = Field(default_factory=dict)
    note: str = ""
    by: str = "unknown"
    at: str = ""

    @property
    def id(self) -> str:
        """The request's identity: equal for the same model, reason and evidence."""
        return sha256_of({"model": self.model, "reason": self.reason, "evidence": self.evidence})


class Decided(Record):
    """What came of a request, or of looking whether there is reason for one.

    `none`: there is no reason, or a rule forbids it. `start`: the run `run_id` was made, to begin at `run_after` (None:
    at once). `fold`: the request went into `run_id`, which was made before and has not begun. `known`: this request was
    decided before. Except for `none`, Airflow must hold a run of this id: triggering it again changes nothing.
    """

    model: str
    outcome: Literal["none", "start", "fold", "known"]
    request_id: str | None
    run_id: str | None
    run_after: str | None
    reasons: tuple[str, ...]
    entry_seq: int | None
    as_of: str
    replay: str | None = None
    report_key: str | None = None
