"""Evaluate as a step: what is measured, stored, shown and refused, on real models, snapshots and MLflow."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from pipelines.classic.estimators.persistence import save_model
from pipelines.classic.estimators.preprocessing import TableReader
from pipelines.data.snapshots import read_holdout, read_manifest, read_training
from pipelines.errors import GateFailed, IntegrityError, ObjectMissing, RegistryError
from pipelines.records import Candidate, Evaluation, Partition, Validated, Window, sha256_of
from pipelines.registry.ledger import champion_entry, read_ledger
from pipelines.registry.runs import connect
from pipelines.spec import ClassicSpec
from pipelines.spec.gates import GateRule
from pipelines.spec.training import METRICS_BY_TASK
from pipelines.steps.classic.evaluate import evaluate
from pipelines.steps.classic.register import register
from pipelines.steps.context import Context
from pipelines.steps.gate import gate
from pipelines.steps.promote import promote
from pipelines.steps.roll_back import roll_back
from pipelines.steps.snapshot import snapshot
from pipelines.store.verified import read_record, write_record

PICTURES = {"roc", "precision_recall", "calibration", "slices_roc_auc", "slices_log_loss", "importance"}


def _keys(context: Context) -> list[tuple[str, int]]:
    return [(info.key, info.size_bytes) for info in context.store.list()]


def _shown(context: Context, candidate: Candidate) -> set[str]:
    found = connect(context.environment).list_artifacts(candidate.mlflow_run_id, "evaluation")
    return {Path(one.path).stem for one in found}


def _figure(figures: tuple[Any, ...], metric: str, slice_name: str = "all") -> Any:
    (found,) = [one for one in figures if (one.metric, one.slice) == (metric, slice_name)]
    return found


def _sliced(context: Context) -> Context:
    """Return the surroundings with a rule on a slice, and nothing else that names its column."""
    rule = GateRule(metric="brier", slice="kind", maximum=0.5)
    gates = context.spec.gates.model_copy(update={"rules": (*context.spec.gates.rules, rule)})
    return Context(context.spec.model_copy(update={"gates": gates}), context.environment, context.store)


def test_a_first_model_is_measured_without_a_champion(workshop) -> None:
    candidate = workshop.candidate()
    evaluation = evaluate(workshop.context, candidate)
    manifest = read_manifest(workshop.context.store, "tiny", candidate.snapshot_id)
    assert evaluation.candidate_sha256 == candidate.sha256
    assert evaluation.candidate_model_sha256 == candidate.model_sha256
    assert (evaluation.snapshot_id, evaluation.holdout_sha256) == (manifest.sha256, manifest.holdout.content_sha256)
    assert evaluation.num_rows == manifest.holdout.num_rows
    assert evaluation.champion_version is evaluation.champion_ledger_sha256 is evaluation.champion_saw_holdout is None
    assert evaluation.champion_metrics == evaluation.differences == ()
    figure = _figure(evaluation.metrics, "roc_auc")
    assert figure.low <= figure.value <= figure.high


def test_the_evidence_is_stored_under_its_hash_with_each_rows_predictions(workshop) -> None:
    candidate = workshop.candidate()
    evaluation = evaluate(workshop.context, candidate)
    store = workshop.context.store
    assert read_record(store, f"tiny/evaluations/{evaluation.sha256}.json", Evaluation) == evaluation
    data = store.read(evaluation.predictions_key)
    assert sha256_of(data) == evaluation.predictions_sha256
    rows = pq.read_table(io.BytesIO(data))
    holdout = read_holdout(store, "tiny", candidate.snapshot_id)
    assert rows.column_names == ["key.id", "truth", "challenger.False", "challenger.True"]
    assert rows["key.id"].equals(holdout["id"])
    assert rows["truth"].equals(holdout["y"])
    area = roc_auc_score(rows["truth"].to_pylist(), rows["challenger.True"].to_pylist())
    assert _figure(evaluation.metrics, "roc_auc").value == pytest.approx(area)


def test_evaluating_again_changes_nothing_in_store_or_mlflow(workshop) -> None:
    candidate = workshop.candidate()
    first = evaluate(workshop.context, candidate)
    stored = _keys(workshop.context)
    assert evaluate(workshop.context, candidate) == first
    assert _keys(workshop.context) == stored
    client = connect(workshop.context.environment)
    assert len(client.get_metric_history(candidate.mlflow_run_id, "holdout/roc_auc")) == 1


def test_figures_and_pictures_are_in_the_candidates_run(workshop) -> None:
    candidate = workshop.candidate()
    context = _sliced(workshop.context)
    evaluation = evaluate(context, candidate)
    data = connect(context.environment).get_run(candidate.mlflow_run_id).data
    assert data.metrics["holdout/roc_auc"] == _figure(evaluation.metrics, "roc_auc").value
    assert data.metrics["holdout/roc_auc_low"] == _figure(evaluation.metrics, "roc_auc").low
    assert data.metrics["holdout by kind/roc_auc a"] == _figure(evaluation.metrics, "roc_auc", "kind=a").value
    assert data.tags["tandem.evaluation_sha256"] == evaluation.sha256
    assert _shown(context, candidate) == PICTURES | {"slices_brier"}


def test_a_run_that_was_left_half_shown_is_shown_whole(workshop, monkeypatch) -> None:
    candidate = workshop.candidate()
    with monkeypatch.context() as patched:
        patched.setattr("pipelines.registry.figures.set_tags", _stop)
        with pytest.raises(KeyboardInterrupt):
            evaluate(workshop.context, candidate)
    client = connect(workshop.context.environment)
    assert "tandem.evaluation_sha256" not in client.get_run(candidate.mlflow_run_id).data.tags
    evaluation = evaluate(workshop.context, candidate)
    tags = client.get_run(candidate.mlflow_run_id).data.tags
    assert tags["tandem.evaluation_sha256"] == evaluation.sha256
    assert _shown(workshop.context, candidate) == PICTURES


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_without_mlflow_the_evidence_is_stored_and_the_step_says_so(workshop, tmp_path: Path) -> None:
    candidate = workshop.candidate()
    (tmp_path / "file").write_text("no folder")
    gone = workshop.context.environment.mlflow.model_copy(update={"tracking_uri": f"sqlite:///{tmp_path}/file/x.db"})
    environment = workshop.context.environment.model_copy(update={"mlflow": gone})
    with pytest.raises(RegistryError):
        evaluate(Context(workshop.context.spec, environment, workshop.context.store), candidate)
    assert len(list(workshop.context.store.list("tiny/evaluations/"))) == 1


def test_each_slice_is_measured(workshop) -> None:
    evaluation = evaluate(_sliced(workshop.context), workshop.candidate())
    assert {figure.slice for figure in evaluation.metrics} == {"all", "kind=a", "kind=b"}
    sizes = {figure.slice: figure.num_rows for figure in evaluation.metrics}
    assert sizes["kind=a"] + sizes["kind=b"] == sizes["all"] == evaluation.num_rows


def _trained(workshop: Any, task: str, target: str) -> tuple[Context, Candidate]:
    """Return surroundings of another task on the same snapshot, and a stored candidate for it."""
    base = workshop.context.spec
    training = base.training.model_copy(update={"task": task, "target": target, "features": ("n", "y")})
    spec = base.model_copy(update={"training": training})
    context = Context(spec, workshop.context.environment, workshop.context.store)
    boosting = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    rows = read_training(context.store, workshop.snapshot)
    model = make_pipeline(TableReader(["n", "y"]), boosting(max_iter=2, min_samples_leaf=2))
    model.fit(rows, rows[target].to_numpy(zero_copy_only=False))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.skops"
        save_model(model, path)
        sha256 = sha256_of(path.read_bytes())
        context.store.upload(f"tiny/models/{sha256}/model.skops", path)
    own = {"model_sha256": sha256, "model_key": f"tiny/models/{sha256}/model.skops"}
    return context, workshop.candidate().model_copy(update=own)


@pytest.mark.parametrize(
    ("task", "target", "pictures"),
    [
        ("multiclass", "kind", {"confusion", "calibration", "slices_log_loss", "importance"}),
        ("regression", "x", {"predicted_against_actual", "residuals", "slices_rmse", "importance"}),
    ],
)
def test_other_tasks_have_their_own_metrics_and_pictures(workshop, task: str, target: str, pictures: set[str]) -> None:
    context, candidate = _trained(workshop, task, target)
    evaluation = evaluate(context, candidate)
    assert {figure.metric for figure in evaluation.metrics} == set(METRICS_BY_TASK[task])
    assert all(figure.value is not None for figure in evaluation.metrics)
    assert _shown(context, candidate) == pictures


def test_a_challenger_meets_the_champion_on_the_same_rows(workshop) -> None:
    workshop.promote_one()
    entry = champion_entry(read_ledger(workshop.context.store, "tiny"))
    candidate = workshop.candidate()
    evaluation = evaluate(workshop.context, candidate)
    assert (evaluation.champion_version, evaluation.champion_ledger_sha256) == (1, entry.sha256)
    assert evaluation.champion_saw_holdout is None
    ours, theirs = _figure(evaluation.metrics, "brier"), _figure(evaluation.champion_metrics, "brier")
    difference = _figure(evaluation.differences, "brier")
    assert difference.value == pytest.approx(ours.value - theirs.value)
    assert difference.value != 0
    rows = pq.read_table(io.BytesIO(workshop.context.store.read(evaluation.predictions_key)))
    assert rows.column_names[-2:] == ["champion.False", "champion.True"]
    champion = np.array(rows["champion.True"])
    assert theirs.value == pytest.approx(np.mean((champion - np.array(rows["truth"])) ** 2))
    assert _shown(workshop.context, candidate) == PICTURES | {"challenger_against_champion"}


def test_the_whole_way_from_evidence_to_champion_and_on_to_the_next(workshop) -> None:
    gates = workshop.context.spec.gates  # thirty rows show little: only a wide margin lets the second one pass
    wide = gates.rules[1].model_copy(update={"no_worse_than_champion_by": 0.9})
    gates = gates.model_copy(update={"rules": (gates.rules[0], wide)})
    spec = workshop.context.spec.model_copy(update={"gates": gates})
    context = Context(spec, workshop.context.environment, workshop.context.store)
    for version in (1, 2):
        candidate = workshop.candidate().model_copy(update={"spec_sha256": spec.sha256})
        write_record(context.store, "tiny/candidates", candidate)
        evaluation = evaluate(context, candidate)
        assert evaluation.champion_version == (None if version == 1 else 1)
        judged = gate(context, candidate, evaluation)
        promoted = promote(context, register(context, judged), "ada")
        assert (promoted.version, promoted.ledger_seq) == (version, version)
        assert evaluate(context, candidate) == evaluation  # a champion is not held against itself
        again = promote(context, register(context, gate(context, candidate, evaluation)), "ada")
        assert again == promoted


def test_a_champion_by_rollback_is_the_one_to_beat_for_the_version_that_it_replaced(workshop) -> None:
    workshop.promote_one()
    workshop.promote_one()
    store = workshop.context.store
    first, second = (read_record(store, entry.candidate_key, Candidate) for entry in read_ledger(store, "tiny"))
    assert evaluate(workshop.context, second).champion_version == 1
    assert evaluate(workshop.context, first).champion_version == 2
    roll_back(workshop.context, to=1, reason="late flights", by="ada")
    again = evaluate(workshop.context, second)
    assert (again.champion_version, again.champion_ledger_sha256) == (1, read_ledger(store, "tiny")[-1].sha256)


def test_a_champion_that_learnt_from_these_rows_makes_the_gate_hold(workshop) -> None:
    workshop.promote_one()
    wider = {**workshop.context.spec.model_dump(), "holdout": {"by": "key", "share": 0.8}}
    context = Context(ClassicSpec.model_validate(wider), workshop.context.environment, workshop.context.store)
    candidate = workshop.candidate()
    reference = snapshot(context, _validated(context))
    candidate = candidate.model_copy(update={"snapshot_id": reference.snapshot_id})
    write_record(context.store, "tiny/candidates", candidate)
    evaluation = evaluate(context, candidate)
    assert "rows that a share of 0.8 of keys" in str(evaluation.champion_saw_holdout)
    with pytest.raises(GateFailed, match="held, champion stays: roc_auc: the comparison is unfair, the champion was"):
        gate(context, candidate, evaluation)


def _validated(context: Context) -> Validated:
    (info,) = context.store.list("tiny/clean/")
    sha256 = sha256_of(context.store.read(info.key))
    clean = Partition(name="all", key=info.key, content_sha256=sha256, num_rows=60, size_bytes=info.size_bytes)
    return Validated(
        model="tiny", window=Window(), partitions=(clean,), quarantined=(), num_rows_in=60, num_rows_bad=0, checks=(),
        report_key="tiny/reports/quality/report.html",
    )  # fmt: skip


@pytest.mark.parametrize("what", ["model", "record"])
@pytest.mark.parametrize("how", ["altered", "gone"])
def test_a_champion_that_is_not_whole_is_named(workshop, what: str, how: str) -> None:
    workshop.promote_one()
    store = workshop.context.store
    entry = champion_entry(read_ledger(store, "tiny"))
    record = read_record(store, entry.candidate_key, Candidate)
    candidate = workshop.candidate()
    _damage(store, record.model_key if what == "model" else entry.candidate_key, how)
    stored = _keys(workshop.context)
    with pytest.raises(IntegrityError, match=r"champion version 1 \(ledger entry 1\) is not whole: .*not judged"):
        evaluate(workshop.context, candidate)
    assert _keys(workshop.context) == stored


def test_a_champion_whose_snapshot_is_gone_is_not_compared(workshop) -> None:
    workshop.promote_one()
    other = ClassicSpec.model_validate({**workshop.context.spec.model_dump(), "holdout": {"by": "key", "share": 0.4}})
    context = Context(other, workshop.context.environment, workshop.context.store)
    candidate = workshop.candidate()
    workshop.context.store.delete(f"tiny/snapshots/{candidate.snapshot_id}/manifest.json")
    reference = snapshot(context, _validated(context))
    moved = candidate.model_copy(update={"snapshot_id": reference.snapshot_id})
    with pytest.raises(IntegrityError, match="champion version 1"):
        evaluate(context, moved)


def test_an_altered_ledger_stops_the_evaluation(workshop) -> None:
    workshop.promote_one()
    store = workshop.context.store
    _damage(store, "tiny/ledger/00000001.json", "altered")
    with pytest.raises(IntegrityError, match="Ledger entry"):
        evaluate(workshop.context, workshop.candidate())


@pytest.mark.parametrize("what", ["model", "holdout", "manifest"])
def test_one_altered_byte_of_candidate_or_holdout_stops_the_evaluation(workshop, what: str) -> None:
    candidate = workshop.candidate()
    store = workshop.context.store
    manifest = read_manifest(store, "tiny", candidate.snapshot_id)
    keys = {
        "model": candidate.model_key,
        "holdout": manifest.holdout.partitions[0].key,
        "manifest": f"tiny/snapshots/{candidate.snapshot_id}/manifest.json",
    }
    _damage(store, keys[what], "altered")
    with pytest.raises(IntegrityError, match="was altered"):
        evaluate(workshop.context, candidate)
    assert list(store.list("tiny/evaluations/")) == []


def test_a_candidate_without_its_model_is_not_evaluated(workshop) -> None:
    candidate = workshop.candidate()
    workshop.context.store.delete(candidate.model_key)
    with pytest.raises(ObjectMissing):
        evaluate(workshop.context, candidate)


def _damage(store: Any, key: str, how: str) -> None:
    if how == "gone":
        store.delete(key)
        return
    data = bytearray(store.read(key))
    data[len(data) // 2] ^= 1
    store.write(key, bytes(data))
