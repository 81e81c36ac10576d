"""Start and stop Airflow and MLflow on this machine."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from pipelines.errors import ServiceError, SpecError
from pipelines.local.processes import Process
from pipelines.local.settings import Addresses, choose_addresses, process_environment, read_addresses
from pipelines.spec import Environment, LlmSpec, load_model, model_names

LOG = logging.getLogger(__name__)
START_SECONDS = 180
POLL_SECONDS = 0.3
AIRFLOW_PARTS = {
    "api-server": ("airflow", "api-server"),
    # without --skip-serve-logs these two would serve task logs on every interface
    "scheduler": ("airflow", "scheduler", "--skip-serve-logs"),
    "dag-processor": ("airflow", "dag-processor"),
    "triggerer": ("airflow", "triggerer", "--skip-serve-logs"),
}
MIGRATE_COMMAND = ("airflow", "db", "migrate")
MLFLOW_COMMAND = ("mlflow", "server")  # the rest comes from its environment: a database URL may hold a password


def processes(environment: Environment) -> dict[str, Process]:
    """Return every local service by name, whether it runs or not."""
    names = ["mlflow", *(f"airflow-{part}" for part in AIRFLOW_PARTS)]
    return {name: Process(name, environment.home) for name in names}


def up(environment: Environment) -> Addresses:
    """Start what does not run yet, wait until all of it answers, and return where. Raises `ServiceError`."""
    services = processes(environment)
    addresses = read_addresses(environment)
    if addresses is not None and all(service.is_running() for service in services.values()):
        LOG.info("Airflow and MLflow run already.")
    else:
        down(environment)  # a half-started set is started anew: its parts must agree on ports
        addresses = choose_addresses(environment)
        _start(environment, services, addresses)
    _wait(services["mlflow"], f"{addresses.mlflow_url}/health", lambda answer: answer.text == "OK")
    _wait(services["airflow-api-server"], f"{addresses.airflow_url}/api/v2/monitor/health", _is_healthy)
    return addresses


def down(environment: Environment) -> list[str]:
    """Stop every service that runs; return their names."""
    running = processes(environment)
    return [name for name in reversed(running) if running[name].stop()]


def _start(environment: Environment, services: dict[str, Process], addresses: Addresses) -> None:
    variables = process_environment(addresses)
    LOG.info("Preparing Airflow's database ...")
    _run_once(MIGRATE_COMMAND, variables, environment.home / "log" / "airflow-db.log")
    for pool, slots in _pools().items():
        _run_once(
            ("airflow", "pools", "set", pool, str(slots), "one slot a GPU"),
            variables,
            environment.home / "log" / "airflow-db.log",
        )
    host, port = addresses.mlflow_url.removeprefix("http://").split(":")
    LOG.info("Starting Airflow and MLflow ...")
    for part, command in AIRFLOW_PARTS.items():
        services[f"airflow-{part}"].start(command, variables)
    served = {
        "MLFLOW_HOST": host,
        "MLFLOW_PORT": port,
        "MLFLOW_WORKERS": "1",
        "MLFLOW_BACKEND_STORE_URI": environment.mlflow.tracking_uri,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": environment.mlflow.artifact_root,
    }
    services["mlflow"].start(MLFLOW_COMMAND, variables | served)


def _pools() -> dict[str, int]:
    """Return the pools that the specs of language models take slots from, and how many each has at least to have."""
    slots: dict[str, int] = {}
    for name in model_names():
        try:
            spec = load_model(name)
        except SpecError:
            continue  # its DAG shows what is wrong with it
        if isinstance(spec, LlmSpec) and (pool := spec.hardware.pool_name) is not None:
            slots[pool] = max(slots.get(pool, 1), spec.hardware.gpus)
    return slots


def _run_once(command: Sequence[str], variables: dict[str, str], log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        code = subprocess.run(command, env=variables, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    if code != 0:
        raise ServiceError(f"'{' '.join(command)}' ended with {code}; its output is in {log}. Nothing was started.")


def _is_healthy(answer: httpx.Response) -> bool:
    parts = answer.json()
    return all(parts[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))


def _wait(service: Process, url: str, accept: Callable[[httpx.Response], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not service.is_running():
            raise ServiceError(f"{service.name} ended while starting; {service.log_path} ends:\n{service.last_lines()}")
        try:
            answer = httpx.get(url, timeout=5)
            if answer.status_code == httpx.codes.OK and accept(answer):
                return
        except httpx.TransportError:
            pass  # not listening yet
        time.sleep(POLL_SECONDS)
    raise ServiceError(
        f"{service.name} did not answer at {url} within {START_SECONDS} s; {service.log_path} ends:\n"
        f"{service.last_lines()}"
    )
