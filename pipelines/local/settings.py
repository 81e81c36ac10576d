"""Work out the environment variables of the local services: what Tandem ships, paths, secrets, and free ports."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import ServiceError
from pipelines.spec import Environment, load_environment, project_root

PORTS_TRIED = 20
USER = "admin"
USERS_VARIABLE = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"


@dataclass(frozen=True)
class Addresses:
    """Where the services listen, as `make up` found room for them."""

    airflow_url: str
    mlflow_url: str


def addresses_path(environment: Environment) -> Path:
    """Return the file that remembers the addresses in use."""
    return environment.home / "run" / "addresses.json"


def read_addresses(environment: Environment) -> Addresses | None:
    """Return the addresses that `make up` chose, or None when it never ran."""
    path = addresses_path(environment)
    return Addresses(**json.loads(path.read_text())) if path.exists() else None


def choose_addresses(environment: Environment) -> Addresses:
    """Find a free port for each service from the configured one upwards, and remember it. Raises `ServiceError`."""
    airflow, mlflow = environment.airflow, environment.mlflow
    chosen = Addresses(
        airflow_url=f"http://{airflow.host}:{_free_port('airflow', airflow.host, airflow.port)}",
        mlflow_url=f"http://{mlflow.host}:{_free_port('mlflow', mlflow.host, mlflow.port)}",
    )
    path = addresses_path(environment)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(chosen.__dict__))
    return chosen


def _free_port(service: str, host: str, first: int) -> int:
    for port in range(first, first + PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex((host, port)) != 0:
                return port
    raise ServiceError(
        f"No free port for {service} on {host} from {first} to {first + PORTS_TRIED - 1}. "
        f"Nothing was started; set TANDEM_{service.upper()}__PORT to a free one."
    )


def secret(environment: Environment, name: str, num_bytes: int = 32) -> str:
    """Return a secret of this machine, made once and kept in a file that only its owner may read."""
    path = environment.home / "secrets" / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        value = base64.urlsafe_b64encode(secrets.token_bytes(num_bytes)).decode()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(value)
    return path.read_text()


def password(environment: Environment) -> str:
    """Return the password of the web user `admin`."""
    return secret(environment, "admin_password", num_bytes=12)


def login(environment: Environment) -> tuple[str, str, str]:
    """Return address, user and password of the Airflow that commands speak to.

    That is the one that `make up` started, or where TANDEM_AIRFLOW_USER and TANDEM_AIRFLOW_PASSWORD say who asks, the
    one at TANDEM_AIRFLOW__WEB_URL. Raises `ServiceError` where neither is known.
    """
    user, web_url = os.environ.get("TANDEM_AIRFLOW_USER"), environment.airflow.web_url
    if user and web_url:
        return web_url, user, os.environ.get("TANDEM_AIRFLOW_PASSWORD", "")
    addresses = read_addresses(environment)
    if user or addresses is None:
        raise ServiceError(
            "It is not known which Airflow is meant. `make up` starts one on this machine; for another, set "
            "TANDEM_AIRFLOW__WEB_URL, TANDEM_AIRFLOW_USER and TANDEM_AIRFLOW_PASSWORD. Nothing was asked."
        )
    return addresses.airflow_url, USER, password(environment)


def process_environment(addresses: Addresses | None = None) -> dict[str, str]:
    """Return the environment variables under which Airflow, its tasks and MLflow run on this machine."""
    environment = load_environment()
    root, home = project_root(), environment.home
    airflow_home = home / "airflow"
    passwords = airflow_home / "passwords.json"
    airflow_home.mkdir(parents=True, exist_ok=True)
    (home / "mlflow").mkdir(parents=True, exist_ok=True)
    if not passwords.exists():
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({USER: password(environment)}))
    variables = dict(os.environ) | shipped_settings()
    variables |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "TANDEM_HOME": str(home),
        "TANDEM_ROOT": str(root),
        "AIRFLOW_HOME": str(airflow_home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(root / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(root / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "tandem_executor.WarmExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        # more people: set it to all of them, such as "admin:admin,maria:user"; Airflow makes up their passwords
        USERS_VARIABLE: os.environ.get(USERS_VARIABLE, f"{USER}:admin"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__CORE__FERNET_KEY": secret(environment, "fernet_key"),
        "AIRFLOW__API_AUTH__JWT_SECRET": secret(environment, "jwt_secret"),
        "AIRFLOW__API__SECRET_KEY": secret(environment, "api_secret_key"),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow_home}/airflow.db",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(airflow_home / "logs"),
    }
    if addresses is not None:
        host, port = addresses.airflow_url.removeprefix("http://").split(":")
        variables |= {
            "AIRFLOW__API__HOST": host,
            "AIRFLOW__API__PORT": port,
            "AIRFLOW__API__BASE_URL": addresses.airflow_url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{addresses.airflow_url}/execution/",
            "TANDEM_AIRFLOW__PORT": port,
            "TANDEM_MLFLOW__PORT": addresses.mlflow_url.rsplit(":", 1)[1],
        }
    return variables


def shipped_settings() -> dict[str, str]:
    """Return the Airflow settings of config/environments/airflow.env."""
    text = (project_root() / "config" / "environments" / "airflow.env").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)
