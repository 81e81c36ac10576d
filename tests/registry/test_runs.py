from __future__ import annotations

import os
import subprocess
import sys
import time
from math import inf, nan
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipelines.errors import RegistryError
from pipelines.registry import runs
from pipelines.spec.environment import Environment, StoreSettings
from pipelines.spec.model import ClassicSpec
from pipelines.store import open_store


@pytest.fixture
def spec() -> ClassicSpec:
    return ClassicSpec.model_validate(
        {
            "kind": "classic",
            "name": "tiny",
            "description": "A model for tests.",
            "source": {"type": "files", "paths": ["rows.csv"], "format": "csv"},
            "holdout": {"by": "key", "share": 0.5},
            "training": {"task": "binary", "target": "y", "features": ["x"], "budget": {"trials": 1}},
            "gates": {"rules": [{"metric": "roc_auc", "minimum": 0.5}]},
        }
    )


def _children(environment: Environment, run_id: str) -> list[object]:
    client = runs.connect(environment)
    experiment_id = client.get_run(run_id).info.experiment_id
    return list(client.search_runs([experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'"))


def test_importing_the_registry_switches_telemetry_off() -> None:
    script = "import pipelines.registry.runs, mlflow.telemetry.client as c; print(c.get_telemetry_client())"
    bare = {
        name: value for name, value in os.environ.items() if name not in {"DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"}
    }
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=bare)
    assert done.stdout.strip() == "None"


def test_the_same_plan_gets_the_same_run(environment: Environment, spec: ClassicSpec) -> None:
    first = runs.find_or_create_run(environment, spec, "plan-a", {"tandem.snapshot_id": "s"})
    assert runs.find_or_create_run(environment, spec, "plan-a") == first
    assert runs.find_or_create_run(environment, spec, "plan-b") != first


def test_artifacts_lie_under_the_artifact_root_by_model(
    environment: Environment, spec: ClassicSpec, tmp_path: Path
) -> None:
    run_id = runs.find_or_create_run(environment, spec, "plan-a")
    report = tmp_path / "report.txt"
    report.write_text("all is well")
    runs.log_artifact(environment, run_id, report, "reports")
    assert [path.read_text() for path in tmp_path.glob(f"mlflow/artifacts/tiny/{run_id}/*/reports/*")] == [
        "all is well"
    ]


def test_an_experiment_deleted_by_hand_comes_back(environment: Environment, spec: ClassicSpec) -> None:
    run_id = runs.find_or_create_run(environment, spec, "plan-a")
    client = runs.connect(environment)
    client.delete_experiment(client.get_run(run_id).info.experiment_id)
    assert runs.find_or_create_run(environment, spec, "plan-b") != run_id


def test_a_trial_is_a_finished_run_beneath_the_plans(environment: Environment, spec: ClassicSpec) -> None:
    run_id = runs.find_or_create_run(environment, spec, "plan-a")
    runs.log_trial(
        environment, run_id, 0, {"algorithm": "ridge", "alpha": 0.1}, {"score": 0.7, "worst": nan, "best": inf}
    )
    (child,) = _children(environment, run_id)
    assert child.info.status == "FINISHED"
    assert child.data.params == {"algorithm": "ridge", "alpha": "0.1"}
    assert child.data.metrics == {"score": 0.7}


def test_the_same_trial_again_adds_no_second_run(environment: Environment, spec: ClassicSpec) -> None:
    run_id = runs.find_or_create_run(environment, spec, "plan-a")
    for _ in range(2):
        runs.log_trial(environment, run_id, "worker 1, trial 7", {}, {"score": 0.7}, finished=False)
    (child,) = _children(environment, run_id)
    assert child.info.status == "KILLED"


def test_numbers_that_json_has_not_are_left_out(environment: Environment, spec: ClassicSpec) -> None:
    run_id = runs.find_or_create_run(environment, spec, "plan-a")
    runs.log_metrics(environment, run_id, {"a": 1.0, "b": nan, "c": -inf})
    assert runs.connect(environment).get_run(run_id).data.metrics == {"a": 1.0}


INITIALISE = """
import sys
from pathlib import Path
from pipelines.registry.connection import connect
from pipelines.spec.environment import Environment, StoreSettings
environment = Environment.model_validate_json(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
connect(environment)
"""


def test_two_processes_may_build_a_fresh_database_at_once(environment: Environment, tmp_path: Path) -> None:
    database = tmp_path / "new" / "folder" / "mlflow.db"
    settings = environment.mlflow.model_copy(update={"tracking_uri": f"sqlite:///{database}"})
    fresh = environment.model_copy(update={"mlflow": settings})
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", INITIALISE, fresh.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert isinstance(runs.connect(fresh), MlflowClient)


def test_a_server_that_is_gone_is_told_in_seconds(environment: Environment, spec: ClassicSpec) -> None:
    settings = environment.mlflow.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    gone = environment.model_copy(update={"mlflow": settings})
    started = time.monotonic()
    with pytest.raises(
        RegistryError,
        match=r"MLflow does not answer at http://127.0.0.1:9 \(.*refused\); nothing was promoted; start it with",
    ):
        runs.find_or_create_run(gone, spec, "plan-a")
    assert time.monotonic() - started < 20


def test_a_database_that_cannot_be_opened_is_told(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = environment.mlflow.model_copy(update={"tracking_uri": f"sqlite:///{tmp_path}/file/mlflow.db"})
    with pytest.raises(RegistryError, match="cannot be used"):
        runs.connect(environment.model_copy(update={"mlflow": settings}))


def test_a_run_that_mlflow_has_not_is_refused_in_its_words(environment: Environment) -> None:
    with pytest.raises(RegistryError, match=r"MLflow at sqlite:.* refused: .*nowhere"):
        runs.log_metrics(environment, "nowhere", {"a": 1.0})


def test_a_runs_address_is_the_web_uis(environment: Environment, spec: ClassicSpec) -> None:
    run_id = runs.find_or_create_run(environment, spec, "plan-a")
    assert runs.run_url(environment, run_id) == f"http://127.0.0.1:5000/#/experiments/1/runs/{run_id}"


def test_a_runs_address_is_where_a_browser_finds_mlflow(environment: Environment, spec: ClassicSpec) -> None:
    run_id = runs.find_or_create_run(environment, spec, "plan-a")
    seen_from_outside = environment.mlflow.model_copy(update={"web_url": "https://mlflow.example.com/"})
    elsewhere = environment.model_copy(update={"mlflow": seen_from_outside})
    assert runs.run_url(elsewhere, run_id) == f"https://mlflow.example.com/#/experiments/1/runs/{run_id}"


def _with_artifacts_on_s3(environment: Environment, endpoint_url: str, monkeypatch: pytest.MonkeyPatch) -> Environment:
    for name in ("MLFLOW_S3_ENDPOINT_URL", "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE"):
        monkeypatch.setenv(name, "")  # so that what the code sets is taken back after the test
        monkeypatch.delenv(name)
    mlflow = environment.mlflow.model_copy(update={"artifact_root": f"s3://tandem/mlflow/{environment.home.name}"})
    store = environment.store.model_copy(update={"s3_endpoint_url": endpoint_url})
    return environment.model_copy(update={"mlflow": mlflow, "store": store})


def test_artifacts_go_to_the_stores_own_s3(
    environment: Environment,
    spec: ClassicSpec,
    s3_settings: StoreSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert s3_settings.s3_endpoint_url is not None
    remote = _with_artifacts_on_s3(environment, s3_settings.s3_endpoint_url, monkeypatch)
    run_id = runs.find_or_create_run(remote, spec, "plan-a")
    report = tmp_path / "report.txt"
    report.write_text("all is well")
    runs.log_artifact(remote, run_id, report)
    (found,) = open_store(s3_settings).list(f"mlflow/{tmp_path.name}/tiny/{run_id}")
    assert open_store(s3_settings).read(found.key) == b"all is well"


def test_artifacts_that_cannot_be_written_are_told(
    environment: Environment, spec: ClassicSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    remote = _with_artifacts_on_s3(environment, "http://127.0.0.1:9", monkeypatch)
    run_id = runs.find_or_create_run(remote, spec, "plan-a")
    (tmp_path / "report.txt").write_text("all is well")
    with pytest.raises(
        RegistryError, match=r"MLflow's artifacts at s3://tandem/mlflow/.* cannot be used: .*127.0.0.1:9"
    ):
        runs.log_artifact(remote, run_id, tmp_path / "report.txt")


def test_a_password_in_the_address_is_not_told(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    settings = environment.mlflow.model_copy(update={"tracking_uri": "http://ada:very-secret@127.0.0.1:9"})
    with pytest.raises(RegistryError) as caught:
        runs.connect(environment.model_copy(update={"mlflow": settings}))
    assert "does not answer at http://ada:***@127.0.0.1:9" in str(caught.value)
    assert "very-secret" not in str(caught.value)
