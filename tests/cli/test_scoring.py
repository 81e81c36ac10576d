"""`tandem score` on a tiny model and a file of rows whose labels nobody knows yet."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline

from pipelines.classic.estimators.persistence import save_model
from pipelines.classic.estimators.preprocessing import TableReader
from pipelines.cli import main
from pipelines.records import Candidate
from pipelines.registry.ledger import append_entry
from pipelines.spec import Environment
from pipelines.store import Store, open_store
from pipelines.store.verified import file_sha256, write_record

ROOT = Path(__file__).resolve().parents[2]
SPEC = """
kind: classic
name: tiny
description: Tells whether y follows from x.
schedule: {{data_end: 2013-02-01}}
source: {{type: files, paths: ["{folder}/*.csv"], format: csv, time_column: time, key_columns: [id]}}
holdout: {{by: key, share: 0.5}}
training: {{task: binary, target: y, features: [x], budget: {{trials: 1}}}}
gates: {{rules: [{{metric: roc_auc, minimum: 0.6}}]}}
"""
LINES = "time,id,x\n2013-01-31,1,0.1\n2013-02-03,2,0.2\n2013-02-04,3,0.9\n2013-03-01,4,0.8\n"


@pytest.fixture
def store(environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store without a champion; the spec and its rows are in place."""
    models = tmp_path / "root" / "config" / "models"
    models.mkdir(parents=True)
    (models.parent / "environments").symlink_to(ROOT / "config" / "environments")
    (models / "tiny.yaml").write_text(SPEC.format(folder=tmp_path))
    (tmp_path / "rows.csv").write_text(LINES)
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("TANDEM_HOME", str(environment.home))
    return open_store(environment.store)


@pytest.fixture
def champion(store: Store, tmp_path: Path) -> None:
    """Let a model serve that says how large x is."""
    x = np.linspace(0, 1, 60)
    model = make_pipeline(TableReader(["x"]), HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=2))
    model.fit(pa.table({"x": x}), x > 0.5)
    path = tmp_path / "model.skops"
    save_model(model, path)
    sha256 = file_sha256(path)
    store.upload(f"tiny/models/{sha256}/model.skops", path)
    candidate = Candidate(
        model="tiny", snapshot_id="s", model_key=f"tiny/models/{sha256}/model.skops", model_sha256=sha256,
        training_key="t", mlflow_run_id="r", algorithm="boosting", validation_metric="log_loss", validation_score=0.1,
        num_trials=1, seconds=1.0, spec_sha256="s", code_commit="c", environment_sha256="e",
    )  # fmt: skip
    key = write_record(store, "tiny/candidates", candidate)
    append_entry(
        store, "tiny", None, action="promote", version=7, candidate_key=key, candidate_sha256=candidate.sha256,
        model_sha256=sha256, verdict_key="v", verdict_sha256="v", reason="r", by="ada",
    )  # fmt: skip


def _score(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert main(["score", "tiny", "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_without_a_champion_it_ends_with_1_and_says_what_to_do(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "tiny"]) == 1
    assert "no version serves yet" in capsys.readouterr().err
    assert list(store.list("tiny/")) == []


@pytest.mark.usefixtures("champion")
def test_rows_after_the_training_data_are_answered_and_again_they_are_not(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first = _score(capsys, "--as-of", "2013-03-05")
    assert (first["champion_version"], first["num_rows"], first["new"]) == (7, 3, ["2013-02", "2013-03"])
    answers = pq.read_table(io.BytesIO(store.read(first["partitions"][0]["key"])))
    assert answers["id"].to_pylist() == [2, 3]
    low, high = answers["prediction.True"].to_pylist()
    assert low < 0.5 < high
    assert main(["score", "tiny"]) == 0
    shown = capsys.readouterr().out
    assert "2013-02" in shown
    assert "scored before" in shown
    assert "Version 7 of tiny answered 3 rows; 0 partition(s) are new." in shown


@pytest.mark.usefixtures("champion")
def test_a_window_can_be_asked_for_and_one_without_rows_is_no_error(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    january = _score(capsys, "--start", "2013-01-01", "--end", "2013-02-01")
    assert [one["name"] for one in january["partitions"]] == ["2013-01"]
    nothing = _score(capsys, "--start", "2013-06-01", "--end", "2013-06-02")
    assert (nothing["num_rows"], nothing["partitions"], nothing["new"]) == (0, [], [])
    assert main(["score", "tiny", "--start", "yesterday"]) == 2
