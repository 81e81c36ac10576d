from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pipelines.cli import main

ANSWER = {
    "model": "flight_delay",
    "request_id": "ab" * 32,
    "outcome": "start",
    "run_id": "retrain__1",
    "run_after": None,
    "reasons": ["person: [storms]"],
    "links": {"run": "http://airflow/run", "decisions": "http://airflow/decisions"},
}


class Airflow(BaseHTTPRequestHandler):
    """The two addresses of an Airflow that the command speaks to."""

    asked: ClassVar[list[tuple[dict[str, Any], str | None]]] = []
    status: ClassVar[int] = 202

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/auth/token":
            return self._say(201, {"access_token": "t"})
        self.asked.append((body, self.headers["Idempotency-Key"]))
        ok = type(self).status == 202
        return self._say(type(self).status, {"requests": [ANSWER], "ignored": []} if ok else {"detail": "No."})

    def _say(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Airflow]]:
    Airflow.asked.clear()
    Airflow.status = 202
    with HTTPServer(("127.0.0.1", 0), Airflow) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("TANDEM_HOME", str(tmp_path))
        monkeypatch.setenv("TANDEM_AIRFLOW_USER", "maria")
        monkeypatch.setenv("TANDEM_AIRFLOW__WEB_URL", f"http://127.0.0.1:{server.server_port}")
        yield Airflow
        server.shutdown()


def test_a_request_is_sent_as_a_persons_event(airflow: type[Airflow], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["request", "flight_delay", "--reason", "storms", "--evidence", '{"ticket": 7}', "--key", "k"]
    assert main(arguments) == 0
    event = {"model": "flight_delay", "reason": "person", "note": "storms", "evidence": {"ticket": 7}}
    assert airflow.asked == [(event, "k")]
    said = capsys.readouterr().out
    assert all(
        text in said for text in ("A training run was made", "person: [storms]", "retrain__1", "http://airflow/run")
    )


def test_as_json_the_answer_is_what_airflow_said(airflow: type[Airflow], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["request", "flight_delay", "--reason", "storms", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ANSWER


@pytest.mark.parametrize(("status", "code"), [(403, 1), (409, 2), (422, 2), (503, 3)])
def test_a_no_ends_with_the_exit_code_of_its_kind(
    status: int, code: int, airflow: type[Airflow], capsys: pytest.CaptureFixture[str]
) -> None:
    airflow.status = status
    assert main(["request", "flight_delay", "--reason", "storms"]) == code
    assert "No." in capsys.readouterr().err


@pytest.mark.parametrize("evidence", ["[1]", "{", "NaN"])
def test_evidence_that_is_no_object_is_refused_before_anybody_is_asked(
    evidence: str, airflow: type[Airflow], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["request", "flight_delay", "--reason", "storms", "--evidence", evidence]) == 2
    assert airflow.asked == []


def test_without_a_running_airflow_the_command_says_how_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path))
    assert main(["request", "flight_delay", "--reason", "storms"]) == 3
    assert "make up" in capsys.readouterr().err
