"""Make the report of one window: drift against the reference, performance, and whatever is not as it should be."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pipelines.data.manifests import Manifest
from pipelines.data.periods import period_span
from pipelines.data.profile_store import Reading, store_profile, store_reading
from pipelines.data.profiles import Profile, with_columns
from pipelines.data.snapshots import read_manifest
from pipelines.data.windows import bounds
from pipelines.errors import DataError, ObjectMissing
from pipelines.gates.bootstrap import seed_from
from pipelines.monitoring.anomalies.arrival import duplicate_keys, freshness, undated_rows, volume
from pipelines.monitoring.anomalies.served import other_champion, other_rows
from pipelines.monitoring.anomalies.shape import null_bursts, schema_changes, unseen_categories, usable_reference
from pipelines.monitoring.column_drift import column_drift
from pipelines.monitoring.joint import joint_columns, joint_drift
from pipelines.monitoring.persistence import with_persistence
from pipelines.monitoring.policy import text_of
from pipelines.monitoring.reference import Reference, stored_reference
from pipelines.monitoring.sampling import reference_sample, sample_rows
from pipelines.monitoring.windows import is_resting
from pipelines.records import (
    Anomaly,
    Candidate,
    ColumnDrift,
    Evaluation,
    JointDrift,
    LedgerEntry,
    MonitoringReport,
    PerformanceValue,
    Verdict,
    sha256_of,
)
from pipelines.registry.champion import candidate_of
from pipelines.steps.context import Context
from pipelines.steps.watched import Watched, usual_rows
from pipelines.store.verified import fetch_verified, read_record

FORMAT = 2  # of what a report says of the same inputs
NOT_WATCHED = "Nothing was watched"
_SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True)
class Performed:
    """What is known of a champion's performance in one window."""

    num_labelled: int = 0
    measured: tuple[PerformanceValue, ...] = ()
    estimated: tuple[PerformanceValue, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()


@dataclass(frozen=True)
class Champion:
    """The version that answered a window: what it was promoted by, and what it learnt from."""

    entry: LedgerEntry
    candidate: Candidate
    evaluation: Evaluation
    manifest: Manifest


class Half(Protocol):
    """What watching is for one half of Tandem: which columns, which answers, how good they were."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns that are watched; none means all that the reference has."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """What a report hangs on in the spec's sections of this half, as JSON; what `reading` tells is not repeated."""
        ...

    def reading(self, is_prepared: bool) -> Reading | None:
        """Return how the model reads rows, the source's or those prepared for training; None where as they are."""
        ...

    def ignored(self, reference: Profile) -> Collection[str]:
        """Return the reference's columns that new rows get later than the rest, or not at all."""
        ...

    def weights(self, champion: Champion) -> dict[str, float]:
        """Return each column's share of what the champion relies on."""
        ...

    def answers(self, scored: Path) -> Profile:
        """Return the profile of the answers in a file."""
        ...

    def usual_answers(self, champion: Champion) -> Profile | None:
        """Return the profile of its answers when it was promoted, under the same names; None where unknown."""
        ...

    def odd_answers(self, answers: Profile, usual: Profile | None) -> list[Anomaly]:
        """Return an alarm for whatever is not as it should be in the answers."""
        ...

    def perform(
        self,
        watched: Watched,
        before: Sequence[Watched],
        champion: Champion,
        as_of: datetime,
        scored: Path,
        folder: Path,
    ) -> Performed:
        """Return how good the champion was in a window; `before` are labelled windows that it answered earlier."""
        ...


def read_champion(context: Context, entry: LedgerEntry) -> Champion:
    """Return all that a ledger entry's version is compared by. Raises `IntegrityError`."""
    store, model = context.store, context.spec.name
    candidate = candidate_of(store, entry, NOT_WATCHED)
    verdict = read_record(store, entry.verdict_key, Verdict, entry.verdict_sha256)
    key = f"{model}/evaluations/{verdict.evaluation_sha256}.json"
    evaluation = read_record(store, key, Evaluation, verdict.evaluation_sha256)
    return Champion(entry, candidate, evaluation, read_manifest(store, model, candidate.snapshot_id))


def inputs_of(
    context: Context,
    half: Half,
    watched: Watched,
    serving: LedgerEntry,
    before: Sequence[Watched],
    history: Sequence[MonitoringReport],
    as_of: datetime,
) -> str:
    """Return the hash of all that a window's report is computed from: where it is the same, so is the report."""
    return sha256_of(
        {
            "format": FORMAT,
            "scored": watched.scored.sha256,
            "contents": watched.contents(),
            "entry": watched.entry.sha256,
            "serving": serving.sha256,
            "before": [[one.scored.sha256, *one.contents()] for one in before],
            "history": [report.inputs_sha256 for report in history],
            "spec": [_settings(context), half.settings, list(half.columns)],
            **({} if (reading := half.reading(is_prepared=False)) is None else {"reading": reading.identity}),
            "undated": watched.num_undated,
            "as_of": text_of(as_of) if _hangs_on_the_moment(context, watched, as_of) else None,
        }
    )


def _settings(context: Context) -> dict[str, Any]:
    """Return what a report hangs on in the spec's sections of both halves.

    Of `monitoring`, what only chooses the windows before or asks for a retraining is left out, and so is what `columns`
    and the readings tell.
    """
    spec = context.spec
    monitoring = spec.monitoring.model_dump(
        mode="json",
        exclude={
            "cron": True,
            "drift": {"minimum_weight", "columns", "embedder"},
            "performance": {"metric", "persistence"},
            "anomalies": {"resting_days"},
        },
    )
    return {
        "monitoring": monitoring,
        "source": [spec.source.time_column, spec.source.partition_by, spec.source.key_columns],
        "bootstrap_samples": spec.gates.bootstrap_samples,
    }


def _hangs_on_the_moment(context: Context, watched: Watched, as_of: datetime) -> bool:
    """Tell whether labels are still held back, or the newest rows get older: then each look tells something else."""
    settings, end = context.spec.monitoring, period_span(watched.name, context.spec.source.partition_by)[1]
    if settings.anomalies.most_days_old is not None and watched.is_newest:
        return True
    if context.spec.source.time_column is None or not settings.label_delay_days:
        return False
    return end is None or as_of - timedelta(days=settings.label_delay_days) < end.replace(tzinfo=UTC)


def make_report(
    context: Context,
    half: Half,
    watched: Watched,
    serving: LedgerEntry,
    before: Sequence[Watched],
    history: Sequence[MonitoringReport],
    num_labelled: Callable[[datetime | None], int],
    as_of: datetime,
) -> MonitoringReport:
    """Return the report of one window.

    Args:
        context: The model's surroundings.
        half: What watching is for the model's half.
        watched: The window.
        serving: The entry by which a version serves now.
        before: Labelled windows that the same version answered earlier, the oldest first.
        history: The newest report of each of the last windows before.
        num_labelled: Gives the labelled rows of all windows before that begin at a moment or later.
        as_of: The moment at which the world is looked at.

    Raises:
        DataError: If answers or labels do not have the columns that the spec names.
        IntegrityError: If anything stored is not what was written.
    """
    spec, store, settings = context.spec, context.store, context.spec.monitoring
    champion = read_champion(context, watched.entry)
    rows = watched.answered_rows(store, spec.name)
    own = [report for report in history if report.champion_ledger_sha256 == watched.entry.sha256]
    with (
        tempfile.TemporaryDirectory(prefix="tandem-") as scratch,
        fetch_verified(store, rows.key, rows.content_sha256) as path,
        fetch_verified(store, watched.scored.key, watched.scored.content_sha256) as scored,
    ):
        new = store_profile(store, rows, path)[0]
        reading = half.reading(is_prepared=False)
        read = () if reading is None else store_reading(store, rows, reading).columns
        new = with_columns(new, read)
        answers = half.answers(scored)
        compared, anomalies = _reference(context, half, champion, watched.name)
        columns: tuple[ColumnDrift, ...] = ()
        joint: JointDrift | None = None
        if compared is not None:
            reference, every = compared
            names = half.columns or [column.name for column in reference.profile.columns]
            columns = column_drift(
                reference.profile, new, settings.drift, names, half.weights(champion), reference.usual
            )
            columns = with_persistence(columns, [report.columns for report in own], settings.drift.persistence)
            whole = [name for name in names if name not in {column.name for column in read}]  # as they are in the rows
            joint = _joint(context, champion, reference, path, rows.content_sha256, whole)
            anomalies += _shape(context, half, new, every, names)
        usual_answers = half.usual_answers(champion)
        predictions = () if usual_answers is None else column_drift(usual_answers, answers, settings.drift)
        performed = half.perform(watched, before, champion, as_of, scored, Path(scratch))
        anomalies += [
            *volume(rows.num_rows, usual_rows(history, _usual_rows(champion)), settings.anomalies.volume_factor),
            *_freshness(context, watched, new, as_of),
            *duplicate_keys(scored, spec.source.key_columns),
            *undated_rows(watched.num_undated, rows.num_rows),
            *other_champion(watched.scored, serving.version),
            *other_rows(watched.scored, watched.current.partition),
            *half.odd_answers(answers, usual_answers),
            *performed.anomalies,
        ]
    report = MonitoringReport(
        model=spec.name,
        window_name=watched.name,
        as_of=text_of(as_of),
        inputs_sha256=inputs_of(context, half, watched, serving, before, history, as_of),
        champion_version=watched.scored.version,
        champion_ledger_sha256=watched.entry.sha256,
        reference="none" if compared is None else compared[0].words,
        num_rows=rows.num_rows,
        num_labelled=performed.num_labelled,
        num_new_labelled_rows=0,
        columns=columns,
        predictions=with_persistence(predictions, [report.predictions for report in own], settings.drift.persistence),
        joint=joint,
        performance=performed.measured,
        estimates=performed.estimated,
        anomalies=tuple(sorted(anomalies, key=lambda one: _SEVERITIES.index(one.severity))),
    )
    now = champion if serving == watched.entry else read_champion(context, serving)
    learnt_until = bounds(now.manifest.training.window)[1]
    start = period_span(watched.name, spec.source.partition_by)[0]
    is_new = learnt_until is None or start is None or start >= learnt_until
    since = num_labelled(learnt_until) + (report.num_labelled if is_new else 0)
    return report.model_copy(update={"num_new_labelled_rows": since})


def empty_report(context: Context, name: str, serving: LedgerEntry, as_of: datetime) -> MonitoringReport:
    """Return the report of a window of which nothing was scored: an alarm, but where the source rests, and no more."""
    rests = is_resting(name, context.spec.monitoring.anomalies.resting_days)
    inputs = {"format": FORMAT, "empty": name, "serving": serving.sha256, **({"rests": True} if rests else {})}
    return MonitoringReport(
        model=context.spec.name,
        window_name=name,
        as_of=text_of(as_of),
        inputs_sha256=sha256_of(inputs),
        champion_version=serving.version,
        champion_ledger_sha256=serving.sha256,
        reference="none",
        num_rows=0,
        num_labelled=0,
        num_new_labelled_rows=0,
        anomalies=() if rests else tuple(volume(0, (), context.spec.monitoring.anomalies.volume_factor)),
    )


def _reference(
    context: Context, half: Half, champion: Champion, name: str
) -> tuple[tuple[Reference, Profile] | None, list[Anomaly]]:
    """Return what the window is compared with and the profile of all training rows, or None and an alarm."""
    spec, train = context.spec, champion.manifest.training.train
    snapshot_id, reading = champion.candidate.snapshot_id, half.reading(is_prepared=True)
    read = partial(stored_reference, context.store, spec.name, snapshot_id, train, name, reading=reading)
    try:
        reference = read(spec.source.partition_by, spec.monitoring.drift.reference)
        every = read(spec.source.partition_by, "training").profile
    except (DataError, ObjectMissing):
        return None, usable_reference(None, f"of version {champion.entry.version}")[1]
    usable, anomalies = usable_reference(reference.profile, reference.words)
    return ((reference, every) if usable else None), anomalies


def _joint(
    context: Context, champion: Champion, reference: Reference, path: Path, sha256: str, names: Sequence[str]
) -> JointDrift | None:
    settings = context.spec.monitoring.drift
    if not settings.joint_rows:
        return None
    chosen = joint_columns(names, reference.usual)
    side = champion.manifest.training.train
    known = reference_sample(
        context.store, context.spec.name, champion.candidate.snapshot_id, side, names, settings.joint_rows
    )
    return joint_drift(
        known, sample_rows(path, chosen, settings.joint_rows, sha256), chosen, settings, seed_from(sha256) % 2**32
    )


def _freshness(context: Context, watched: Watched, new: Profile, as_of: datetime) -> list[Anomaly]:
    """Return an alarm where the newest window's rows are old; those before it were fresh in their time, or said so."""
    days = context.spec.monitoring.anomalies.most_days_old if watched.is_newest else None
    return freshness(new, context.spec.source.time_column, as_of, days)


def _shape(context: Context, half: Half, new: Profile, reference: Profile, names: Sequence[str]) -> list[Anomaly]:
    settings = context.spec.monitoring.anomalies
    return [
        *schema_changes(new, reference, names, half.ignored(reference)),
        *null_bursts(new, reference, names, settings.null_share_rise),
        *unseen_categories(new, reference, names, settings.unseen_share),
    ]


def _usual_rows(champion: Champion) -> list[int]:
    return [one.num_rows for one in champion.manifest.lineage]
