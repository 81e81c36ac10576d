"""Airflow's database, auth manager and DAGs without its processes: what the application under /tandem stands on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.spec import load_environment
from pipelines.store import Store, open_store

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a secret for tests, of forty characters."
EVENTS = """
retraining:
  cooldown_days: {cooldown_days}
  events:
    - {{source: s3, objects: "{name}/*.parquet", reason: data}}
    - {{source: alertmanager, alertname: "Worse*"}}
    - {{source: cloudevents, type: "org.example.{name}.*"}}
"""


@dataclass(frozen=True)
class Airflow:
    """Models `daily`, that may be trained again at once, and `weekly`, with a cooldown; neither runs anything."""

    variables: dict[str, str]
    store: Store
    token: Callable[[str], str]
    runs: Callable[[str], dict[str, Any]]
    set_paused: Callable[[str, bool], None]
    set_failed: Callable[[str, str], None]


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """Airflow as its API server sees it, with the DAGs of two models."""
    root, home = tmp_path_factory.mktemp("events_root"), tmp_path_factory.mktemp("events_home")
    (root / "config" / "models").mkdir(parents=True)
    (root / "config" / "environments").symlink_to(ROOT / "config" / "environments")
    flights = (ROOT / "config" / "models" / "flight_delay.yaml").read_text()
    flights = flights.split("\nretraining:")[0]
    for name, days in (("daily", 0), ("weekly", 7)):
        text = flights.replace("name: flight_delay", f"name: {name}") + EVENTS.format(name=name, cooldown_days=days)
        (root / "config" / "models" / f"{name}.yaml").write_text(text)
    (root / "config" / "models" / "broken.yaml").write_text("kind: classic\n")
    variables = {
        "TANDEM_ROOT": str(root),
        "TANDEM_HOME": str(home),
        "AIRFLOW__API_AUTH__JWT_SECRET": "s" * 64,
        "TANDEM_EVENTS_SECRET": SECRET,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        return _open(variables)


def _open(variables: dict[str, str]) -> Airflow:
    from airflow import settings
    from airflow.api_fastapi.app import init_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models import DagModel, DagRun, import_all_models
    from airflow.models.base import Base
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.db import synchronize_log_template
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from sqlalchemy import select

    import_all_models()
    Base.metadata.create_all(settings.engine)
    manager = init_auth_manager()
    bag = DagBag(str(ROOT / "dags" / "train_models.py"), bundle_name="dags-folder")
    assert bag.import_errors == {}
    del bag.dags["train__broken"]
    with create_session() as session:
        synchronize_log_template(session=session)
        session.add(DagBundleModel(name="dags-folder"))
    sync_bag_to_db(bag, "dags-folder", None)

    def runs(model: str) -> dict[str, Any]:
        with create_session() as session:
            found = session.scalars(select(DagRun).where(DagRun.dag_id == f"train__{model}")).all()
            return {run.run_id: run.run_after for run in found}

    def set_paused(model: str, is_paused: bool) -> None:
        with create_session() as session:
            session.get_one(DagModel, f"train__{model}").is_paused = is_paused

    def set_failed(model: str, run_id: str) -> None:
        with create_session() as session:
            where = (DagRun.dag_id == f"train__{model}", DagRun.run_id == run_id)
            session.scalars(select(DagRun).where(*where)).one().state = DagRunState.FAILED

    for model in ("daily", "weekly"):
        set_paused(model, False)
    return Airflow(
        variables=variables,
        store=open_store(load_environment().store),
        token=lambda role: manager.generate_jwt(SimpleAuthManagerUser(username=f"a {role}", role=role)),
        runs=runs,
        set_paused=set_paused,
        set_failed=set_failed,
    )


@pytest.fixture
def airflow_variables(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment variables of its processes."""
    for name, value in airflow.variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def app(airflow: Airflow) -> Any:
    """The application that is mounted under /tandem; to be asked with `airflow_variables` set."""
    from tandem_application import application

    return application()
