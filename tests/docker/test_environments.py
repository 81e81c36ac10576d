"""What the containers find in their environment is what Tandem and Airflow understand."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.errors import SpecError
from pipelines.spec import Environment, load_environment

ROOT = Path(__file__).resolve().parents[2]
HELM = yaml.safe_load((ROOT / "docker" / "helm-values.yaml").read_text())
LOAD_EXECUTORS = """
from airflow.executors.executor_loader import ExecutorLoader
print([type(executor).__name__ for executor in ExecutorLoader.init_executors()])
"""
TANDEM_SERVICES = ["airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"]


def helm_environment() -> dict[str, str]:
    return {item["name"]: item["value"] for item in HELM["env"]}


def airflow_options() -> set[str]:
    """Every option of this Airflow and of its Celery provider, read without importing either."""
    airflow = Path(str(find_spec("airflow").origin)).parent  # type: ignore[union-attr]
    sections = yaml.safe_load((airflow / "config_templates" / "config.yml").read_text())
    celery = runpy.run_path(str(airflow / "providers" / "celery" / "get_provider_info.py"))["get_provider_info"]()
    both: list[dict[str, Any]] = [sections, celery["config"]]
    return {
        f"AIRFLOW__{section}__{option}".upper()
        for config in both
        for section, described in config.items()
        for option in described["options"]
    }


def loaded(variables: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("TANDEM_ROOT", str(ROOT))
    monkeypatch.setenv("TANDEM_HOME", str(home))
    for name, value in variables.items():
        if name.startswith("TANDEM_"):
            monkeypatch.setenv(name, value)
    return load_environment()


@pytest.mark.parametrize("service", [*TANDEM_SERVICES, "airflow-worker", "airflow-init"])
def test_tandem_accepts_and_obeys_the_variables_of_compose(
    service: str, environments: dict[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = loaded(environments[service], tmp_path, monkeypatch)
    assert environment.name == "production"
    assert environment.store.uri == "s3://tandem/store"
    assert environment.store.s3_endpoint_url == "http://seaweedfs:8333"
    assert environment.mlflow.tracking_uri == "http://mlflow:5000"
    assert environment.mlflow.artifact_root == "s3://tandem/mlflow"
    assert environment.mlflow.web_url == "http://127.0.0.1:5000"
    assert environment.airflow.web_url == "http://127.0.0.1:8080"


def test_tandem_accepts_and_obeys_the_variables_of_helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = loaded(helm_environment(), tmp_path, monkeypatch)
    assert environment.name == "production"
    assert environment.store.uri == "s3://tandem/store"


def test_tandem_refuses_a_variable_that_it_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match="S3_ENDPOINT"):
        loaded({"TANDEM_ENVIRONMENT": "production", "TANDEM_STORE__S3_ENDPOINT": "x"}, tmp_path, monkeypatch)


def test_every_airflow_variable_is_an_option_of_this_airflow(environments: dict[str, dict[str, str]]) -> None:
    images = (ROOT / "docker" / "airflow.Dockerfile").read_text().split()
    used = {word.split("=")[0] for word in images if word.startswith("AIRFLOW__")}
    used |= {name for variables in environments.values() for name in variables if name.startswith("AIRFLOW__")}
    used |= {name for name in helm_environment() if name.startswith("AIRFLOW__")}
    assert len(used) > 20
    assert used <= airflow_options()


def test_the_profile_for_workers_has_an_executor_that_can_be_loaded(
    environments: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    variables = environments["airflow-worker"] | {"AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD_EXECUTORS],
        env={"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path), "TMPDIR": str(tmp_path)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "CeleryExecutor" in done.stdout, done.stderr[-2000:]


def test_mlflow_is_the_one_that_airflow_links_to(environments: dict[str, dict[str, str]]) -> None:
    server, client = environments["mlflow"], environments["airflow-scheduler"]
    assert client["TANDEM_MLFLOW__TRACKING_URI"].removeprefix("http://") in server["MLFLOW_SERVER_ALLOWED_HOSTS"]
    assert client["TANDEM_MLFLOW__ARTIFACT_ROOT"] == server["MLFLOW_DEFAULT_ARTIFACT_ROOT"]
    assert {name: server[name] for name in server if name.startswith("AWS_")} == {
        name: client[name] for name in client if name.startswith("AWS_")
    }


def test_only_who_needs_a_secret_has_it(environments: dict[str, dict[str, str]], secrets: dict[str, str]) -> None:
    def holders(name: str) -> set[str]:
        return {
            service
            for service, variables in environments.items()
            if any(secrets[name] in value for value in variables.values())
        }

    airflow = {name for name in environments if name.startswith("airflow-")}
    assert holders("POSTGRES_PASSWORD") == {"postgres"}
    assert holders("POSTGRES_MLFLOW_PASSWORD") == {"postgres", "mlflow"}
    assert holders("POSTGRES_AIRFLOW_PASSWORD") == {"postgres", *airflow}
    assert holders("AIRFLOW_ADMIN_PASSWORD") == {"airflow-api-server"}
    assert holders("REDIS_PASSWORD") == {"redis", *airflow}
    assert holders("S3_SECRET_ACCESS_KEY") == {"seaweedfs", "bucket-init", "mlflow", *airflow}


def test_no_library_beneath_reports_home(environments: dict[str, dict[str, str]]) -> None:
    for service in [*TANDEM_SERVICES, "airflow-worker", "mlflow"]:
        assert environments[service]["DO_NOT_TRACK"] == "1"
        assert environments[service]["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_helm_takes_settings_and_secrets_from_outside_this_file() -> None:
    sources = yaml.safe_load(HELM["extraEnvFrom"])
    assert sources == [{"configMapRef": {"name": "tandem"}}, {"secretRef": {"name": "tandem"}}]
    assert "--from-env-file=config/environments/airflow.env" in (ROOT / "docker" / "helm-values.yaml").read_text()


def test_helm_runs_our_image_of_this_airflow_with_no_secret_written_down(locked: dict[str, str]) -> None:
    assert HELM["airflowVersion"] == locked["apache-airflow"]
    assert (HELM["uid"], HELM["gid"]) == (50000, 0)
    names = {HELM["data"]["metadataSecretName"], *(HELM[key] for key in HELM if key.endswith("SecretName"))}
    assert names == {"tandem-chart"}
    assert not [item for item in HELM["env"] if "SECRET" in item["name"] or item["name"].endswith("_KEY")]
