"""Read what stands in docker/ the way Docker Compose reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
REFERENCE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?P<sign>:[-?])?(?P<word>[^}]*)\})")


def read_env(path: Path) -> dict[str, str]:
    """Return the variables of an env file."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """Return a parsed YAML value with its ${...} filled in; a required variable that is missing raises KeyError."""
    if isinstance(value, dict):
        return {key: interpolated(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, variables) for item in value]
    return REFERENCE.sub(lambda found: _fill(found, variables), value) if isinstance(value, str) else value


def _fill(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, sign = found["name"], found["sign"]
    if name is None:
        return "$"
    if sign == ":?":
        return variables[name]
    return variables.get(name) or (found["word"] if sign == ":-" else "")


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of an env file that docker/write_env.py has just written."""
    folder = tmp_path_factory.mktemp("docker")
    for name in ("write_env.py", "example.env"):
        shutil.copy(DOCKER / name, folder)
    subprocess.run([sys.executable, folder / "write_env.py"], check=True, capture_output=True)
    return read_env(folder / ".env")


@pytest.fixture(scope="session")
def compose(secrets: dict[str, str]) -> dict[str, Any]:
    """docker/compose.yaml with anchors merged and variables filled in."""
    return dict(interpolated(yaml.safe_load((DOCKER / "compose.yaml").read_text()), secrets))


@pytest.fixture(scope="session")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    """The services of the compose file, by name."""
    return dict(compose["services"])


@pytest.fixture(scope="session")
def environments(services: dict[str, Any]) -> dict[str, dict[str, str]]:
    """What each container finds in its environment, by service: env files first, then what the service adds."""
    found = {}
    for name, service in services.items():
        files = [read_env((DOCKER / file).resolve()) for file in service.get("env_file", [])]
        merged = {key: value for variables in files for key, value in variables.items()}
        found[name] = merged | {key: str(value) for key, value in service.get("environment", {}).items()}
    return found


@pytest.fixture(scope="session")
def locked() -> dict[str, str]:
    """The versions in constraints.txt, by package."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==", 1) for line in lines if "==" in line)
