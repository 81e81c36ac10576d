"""The small programs in docker/, run as a container runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

DOCKER = Path(__file__).resolve().parents[2] / "docker"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def run(*command: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": PATH, **variables}
    return subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("write_env.py", "example.env"):
        shutil.copy(DOCKER / name, tmp_path)
    return tmp_path


def test_secrets_fill_every_empty_value_and_are_all_different(secrets: dict[str, str]) -> None:
    made = [value for name, value in secrets.items() if any(word in name for word in ("PASSWORD", "SECRET", "KEY"))]
    assert all(secrets.values())
    assert len(set(made)) == len(made) == 11
    assert min(map(len, made)) >= 44


def test_the_fernet_key_is_one(secrets: dict[str, str]) -> None:
    fernet = Fernet(secrets["AIRFLOW_FERNET_KEY"])
    assert fernet.decrypt(fernet.encrypt(b"x")) == b"x"


def test_only_their_owner_may_read_the_secrets(folder: Path) -> None:
    assert run(sys.executable, folder / "write_env.py").returncode == 0
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600


def test_secrets_are_never_written_twice(folder: Path) -> None:
    run(sys.executable, folder / "write_env.py")
    before = (folder / ".env").read_bytes()
    again = run(sys.executable, folder / "write_env.py")
    assert again.returncode == 1
    assert "stays as it is" in again.stderr
    assert (folder / ".env").read_bytes() == before


def test_git_does_not_see_the_secrets() -> None:
    assert "docker/.env" in (DOCKER.parent / ".gitignore").read_text().splitlines()


def test_the_entrypoint_gives_airflow_the_password_in_a_file_of_its_own(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords.json"
    left = run(
        *(DOCKER / "entrypoint.sh", "printenv"),
        AIRFLOW_ADMIN_PASSWORD='a "quoted" \\ one',
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=str(passwords),
    ).stdout
    assert json.loads(passwords.read_text()) == {"admin": 'a "quoted" \\ one'}
    assert passwords.stat().st_mode & 0o777 == 0o600
    assert "AIRFLOW_ADMIN_PASSWORD" not in left


def test_the_entrypoint_becomes_its_command_and_ends_as_it_does() -> None:
    done = run(DOCKER / "entrypoint.sh", "sh", "-c", 'echo "$1"; exit 7', "sh", "two words")
    assert (done.returncode, done.stdout) == (7, "two words\n")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/well" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_service_that_answers_is_healthy_and_no_proxy_is_asked(address: str) -> None:
    assert run(sys.executable, DOCKER / "healthy.py", HEALTH_URL=f"{address}/well", http_proxy=address).returncode == 0


def test_a_service_that_answers_badly_is_not_healthy(address: str) -> None:
    done = run(sys.executable, DOCKER / "healthy.py", HEALTH_URL=f"{address}/ill")
    assert done.returncode == 1
    assert "503" in done.stderr


def test_a_service_that_does_not_answer_is_not_healthy(address: str) -> None:
    done = run(sys.executable, DOCKER / "healthy.py", HEALTH_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr


def test_a_container_that_does_not_say_where_it_listens_is_not_healthy() -> None:
    assert run(sys.executable, DOCKER / "healthy.py").returncode == 1
