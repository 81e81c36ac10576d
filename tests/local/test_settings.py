from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from pipelines.errors import ServiceError
from pipelines.local import settings
from pipelines.spec import Environment, load_environment


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path))
    return load_environment()


def test_a_secret_is_made_once_and_read_by_its_owner_only(environment: Environment) -> None:
    first = settings.secret(environment, "key")
    assert settings.secret(environment, "key") == first
    assert settings.secret(environment, "other") != first
    assert stat.S_IMODE((environment.home / "secrets" / "key").stat().st_mode) == 0o600


def test_a_port_in_use_is_passed_over(environment: Environment) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        busy = environment.model_copy(update={"airflow": environment.airflow.model_copy(update={"port": port})})
        assert int(settings.choose_addresses(busy).airflow_url.rsplit(":", 1)[1]) > port


def test_chosen_addresses_are_remembered(environment: Environment) -> None:
    assert settings.read_addresses(environment) is None
    chosen = settings.choose_addresses(environment)
    assert settings.read_addresses(environment) == chosen


def test_no_free_port_is_said_with_the_way_out(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "PORTS_TRIED", 1)
    with socket.socket() as taken, socket.socket() as free_one:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        free_one.bind(("127.0.0.1", 0))  # bound, and nobody listens: free to who asks by connecting
        free = free_one.getsockname()[1]
        changes = {
            "airflow": environment.airflow.model_copy(update={"port": free}),
            "mlflow": environment.mlflow.model_copy(update={"port": port}),
        }
        busy = environment.model_copy(update=changes)
        with pytest.raises(ServiceError, match="TANDEM_MLFLOW__PORT"):
            settings.choose_addresses(busy)


def test_services_listen_on_loopback_and_secrets_are_shared(environment: Environment) -> None:
    variables = settings.process_environment(settings.choose_addresses(environment))
    assert variables["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert variables["AIRFLOW__CORE__FERNET_KEY"] == settings.secret(environment, "fernet_key")
    assert variables["DO_NOT_TRACK"] == "1"
    assert settings.password(environment) not in variables.values()


def test_commands_speak_to_the_airflow_that_make_up_started(environment: Environment) -> None:
    addresses = settings.choose_addresses(environment)
    assert settings.login(environment) == (addresses.airflow_url, "admin", settings.password(environment))


def test_commands_speak_to_another_airflow_in_a_users_name(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.choose_addresses(environment)
    monkeypatch.setenv("TANDEM_AIRFLOW_USER", "maria")
    monkeypatch.setenv("TANDEM_AIRFLOW_PASSWORD", "hers")
    monkeypatch.setenv("TANDEM_AIRFLOW__WEB_URL", "https://airflow.example.org")
    assert settings.login(load_environment()) == ("https://airflow.example.org", "maria", "hers")


@pytest.mark.parametrize("user", [None, "maria"])
def test_commands_say_which_airflow_they_lack(
    user: str | None, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    if user:  # who asks is known, and where is not: the Airflow of this machine is not meant
        settings.choose_addresses(environment)
        monkeypatch.setenv("TANDEM_AIRFLOW_USER", user)
    with pytest.raises(ServiceError, match="TANDEM_AIRFLOW__WEB_URL"):
        settings.login(environment)
