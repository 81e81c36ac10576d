"""Registry and promotion through MLflow's own server, as a cluster has it; elsewhere the tests use its database."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipelines.errors import RegistryError
from pipelines.registry.alias import read_shadow
from pipelines.registry.ledger import read_ledger
from pipelines.steps.classic.register import register
from pipelines.steps.context import Context
from pipelines.steps.explain import explain
from pipelines.steps.promote import promote
from pipelines.steps.roll_back import roll_back

START_SECONDS = 120


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@contextmanager
def _server(database_uri: str, artifact_root: str, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", database_uri, "--default-artifact-root", artifact_root, "--no-serve-artifacts"]
    server = subprocess.Popen([*command, *places], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(f"http://127.0.0.1:{port}"):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield
    finally:
        server.terminate()
        server.wait()


def test_all_of_it_works_through_a_server_and_one_that_dies_before_promote_loses_nothing(
    workshop: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    embedded, port = workshop.context.environment, _free_port()
    settings = embedded.mlflow.model_copy(update={"tracking_uri": f"http://127.0.0.1:{port}"})
    remote = embedded.model_copy(update={"mlflow": settings})
    context = Context(workshop.context.spec, remote, workshop.context.store)
    workshop = type(workshop)(context, workshop.snapshot)
    with _server(embedded.mlflow.tracking_uri, embedded.mlflow.artifact_root, port):
        judged = workshop.judged(workshop.candidate())
        registered = register(context, judged)
        assert register(context, judged) == registered
        assert promote(context, registered, "ada").version == 1
        workshop.promote_one()
        assert roll_back(context, "previous", "slow", "grace").version == 1
        assert read_shadow(remote, "tiny").version == 1
        assert explain(context)["problems"] == []
        waiting = workshop.registered()
    with pytest.raises(RegistryError, match=r"MLflow does not answer at http://127.0.0.1:\d+ .*nothing was promoted"):
        promote(context, waiting, "ada")
    assert len(read_ledger(context.store, "tiny")) == 3
    back = Context(context.spec, embedded, context.store)  # the same registry, by its database
    assert promote(back, waiting, "ada").version == waiting.version
    assert capsys.readouterr().out == ""
