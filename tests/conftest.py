"""What every test may ask for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.spec.environment import Environment, MlflowSettings, StoreSettings


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
