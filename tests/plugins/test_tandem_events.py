from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pipelines.monitoring.events import read_event
from pipelines.records import RunRequest
from pipelines.spec import load_model
from pipelines.steps.begin import begin
from pipelines.steps.context import Context
from pipelines.steps.request import decide_requests, sweep
from tests.plugins.conftest import SECRET, Airflow

pytestmark = pytest.mark.usefixtures("airflow_variables")
NUMBERS = count()


@pytest.fixture
def client(app: Any, airflow: Airflow) -> TestClient:
    return TestClient(app, headers={"Authorization": f"Bearer {airflow.token('user')}"})


@pytest.fixture
def stranger(app: Any) -> TestClient:
    return TestClient(app)


def own(model: str = "daily", **more: Any) -> dict[str, Any]:
    """An event that was never sent before."""
    return {"model": model, "evidence": {"number": next(NUMBERS)}, **more}


def signed(body: bytes, secret: str = SECRET, seconds_ago: int = 0) -> dict[str, str]:
    from tandem_senders import sign

    timestamp = int(time.time()) - seconds_ago
    return {"X-Tandem-Timestamp": str(timestamp), "X-Tandem-Signature": sign(body, secret, timestamp)}


def test_a_new_event_starts_a_run_and_the_same_one_again_is_known(client: TestClient, airflow: Airflow) -> None:
    event = own(note="storms")
    first, again = client.post("/events", json=event), client.post("/events", json=event)
    assert (first.status_code, again.status_code) == (202, 200), first.text
    (new,), (known,) = first.json()["requests"], again.json()["requests"]
    assert new["outcome"] in {"start", "fold"}
    assert known["outcome"] == "known"
    assert new["request_id"] == known["request_id"]
    assert new["run_id"] == known["run_id"] in airflow.runs("daily")
    assert new["links"]["run"].endswith(f"/dags/train__daily/runs/{new['run_id']}")


def test_events_that_come_before_a_run_begins_go_into_it(client: TestClient, airflow: Airflow) -> None:
    runs = {client.post("/events", json=own("weekly")).json()["requests"][0]["run_id"] for _ in range(5)}
    assert len(runs) == 1
    assert runs <= set(airflow.runs("weekly"))


def test_many_at_once_are_one_run(app: Any, airflow: Airflow) -> None:
    event = own("weekly")
    headers = {"Authorization": f"Bearer {airflow.token('user')}"}
    before = set(airflow.runs("weekly"))

    def send(_: int) -> dict[str, Any]:
        with TestClient(app, headers=headers) as client:
            return client.post("/events", json=event).json()["requests"][0]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(24)))
    assert len({answer["request_id"] for answer in answers}) == 1
    assert [answer["outcome"] != "known" for answer in answers].count(True) == 1
    assert len(set(airflow.runs("weekly")) - before) <= 1


def test_a_signed_event_needs_no_user_and_a_replay_of_it_is_known(stranger: TestClient) -> None:
    body = json.dumps(own()).encode()
    headers = signed(body)
    answers = [stranger.post("/events", content=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 200], answers[0].text


WRONG = {
    "wrong secret": lambda body: signed(body, "x" * 40),
    "another body": lambda body: signed(body + b" "),
    "too old": lambda body: signed(body, seconds_ago=301),
    "from the future": lambda body: signed(body, seconds_ago=-301),
    "no timestamp": lambda body: {"X-Tandem-Signature": signed(body)["X-Tandem-Signature"]},
    "no signature": lambda body: {"X-Tandem-Timestamp": signed(body)["X-Tandem-Timestamp"]},
    "a strange timestamp": lambda body: {**signed(body), "X-Tandem-Timestamp": "²"},
    "a broken token": lambda _: {"Authorization": "Bearer x.y.z"},
    "another scheme": lambda _: {"Authorization": "Basic YTpi"},
    "nothing": lambda _: {},
}


@pytest.mark.parametrize("case", WRONG)
def test_who_is_not_known_is_told_how_to_be(case: str, stranger: TestClient) -> None:
    body = json.dumps(own()).encode()
    headers = {name: value.encode() for name, value in WRONG[case](body).items()}
    answer = stranger.post("/events", content=body, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["detail"].endswith("Nothing was done.")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_session_cookie_is_not_enough(stranger: TestClient, airflow: Airflow) -> None:
    stranger.cookies.set("_token", airflow.token("user"))
    assert stranger.post("/events", json=own()).status_code == 401


def test_signing_is_off_with_a_short_secret(stranger: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_EVENTS_SECRET", "short")
    answer = stranger.post("/events", content=b"{}", headers=signed(b"{}", "short"))
    assert answer.status_code == 401
    assert "at least 32" in answer.json()["detail"]


@pytest.mark.parametrize("header", ["Idempotency-Key", "ce-specversion"])
def test_a_header_that_nobody_has_signed_does_not_count(header: str, stranger: TestClient) -> None:
    body = json.dumps(own()).encode()
    answer = stranger.post("/events", content=body, headers={**signed(body), header: "1.0"})
    assert answer.status_code == 422
    assert "covers the body alone" in answer.json()["detail"]


def test_who_may_only_look_may_not_ask(app: Any, airflow: Airflow) -> None:
    viewer = TestClient(app, headers={"Authorization": f"Bearer {airflow.token('viewer')}"})
    answer = viewer.post("/events", json=own())
    assert answer.status_code == 403
    assert answer.json()["detail"] == "a viewer may not ask for runs of train__daily. Nothing was done."


def test_an_event_of_each_kind_reaches_its_model(client: TestClient) -> None:
    number = next(NUMBERS)
    record = {
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "daily"}, "object": {"key": f"{number}.parquet"}},
    }
    cloud = {"id": f"{number}", "source": "/x", "type": "org.example.weekly.made"}
    alert = {"status": "firing", "labels": {"alertname": "WorseNow"}, "startsAt": "2013-01-01T00:00:00Z"}
    asked = {
        "s3": client.post("/events", json={"Records": [record]}),
        "structured": client.post("/events", json={"specversion": "1.0", **cloud}),
        "binary": client.post(
            "/events", content=b"\x00", headers={f"ce-{k}": v for k, v in {**cloud, "specversion": "1.0"}.items()}
        ),
        "alert": client.post("/events", json={"alerts": [{**alert, "fingerprint": f"{number}"}]}),
    }
    models = {kind: [one["model"] for one in answer.json()["requests"]] for kind, answer in asked.items()}
    assert models == {"s3": ["daily"], "structured": ["weekly"], "binary": ["weekly"], "alert": ["daily", "weekly"]}
    assert {kind: answer.status_code for kind, answer in asked.items()} == {
        "s3": 202,
        "structured": 202,
        "binary": 200,  # the same event as the structured one
        "alert": 202,
    }


def test_an_alert_that_is_over_is_answered_and_ignored(client: TestClient) -> None:
    alert = {
        "status": "resolved",
        "labels": {"alertname": "Worse"},
        "startsAt": "2013-01-01T00:00:00Z",
        "fingerprint": "1",
    }
    answer = client.post("/events", json={"alerts": [alert]})
    assert answer.status_code == 200
    assert answer.json() == {"requests": [], "ignored": ["Alert Worse is resolved: only firing alerts count."]}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"not json", 422, "not JSON"),
        (b"[]", 422, "a list"),
        (b'{"model": "dayly"}', 422, "did you mean 'daily'"),
        (b'{"model": "broken"}', 422, "tandem check broken"),
        (b"x" * 10_000_000, 413, "1000000 bytes"),
        (b'{"specversion": "1.0", "id": "1", "source": "/", "type": "a"}', 422, "org.example.daily.*"),
        (b'{"specversion": "1.0", "id": "1", "source": "/", "type": "a", "time": "2999-01-01"}', 422, "one day ahead"),
    ],
    ids=["not json", "a list", "unknown model", "broken spec", "10 MB", "no rule", "future"],
)
def test_what_cannot_be_taken_is_refused_with_a_sentence(
    body: bytes, status: int, said: str, client: TestClient
) -> None:
    answer = client.post("/events", content=body)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_an_idempotency_key_stands_for_one_event(client: TestClient) -> None:
    key = {"Idempotency-Key": f"key-{next(NUMBERS)}"}
    event = own()
    answers = [client.post("/events", json=each, headers=key) for each in (event, event, own())]
    assert [answer.status_code for answer in answers] == [202, 200, 409]
    assert "another event of daily" in answers[2].json()["detail"]


def test_a_request_for_a_paused_model_is_kept_and_the_answer_says_so(client: TestClient, airflow: Airflow) -> None:
    airflow.set_paused("daily", True)
    try:
        answer = client.post("/events", json=own())
    finally:
        airflow.set_paused("daily", False)
    (request,) = answer.json()["requests"]
    assert answer.status_code == 202
    assert "paused" in request["reasons"][-1]
    assert request["run_id"] in airflow.runs("daily")


def decided_and_never_told(event: dict[str, Any]) -> str:
    """Decide an event as a server does that is killed before it tells Airflow; return the id of the run."""
    context = Context.open(event["model"])
    pending = sweep(context)
    if pending.run_id is not None:
        begin(context, RunRequest(run_id=pending.run_id, by="airflow"))
    requests = read_event(event, {event["model"]: context.spec}).requests
    (decided,) = decide_requests(context, list(requests))
    assert decided.run_id is not None
    return decided.run_id


def test_a_decision_that_airflow_was_never_told_of_is_told_at_the_next_look(
    client: TestClient, airflow: Airflow
) -> None:
    event = own()
    run_id = decided_and_never_told(event)
    assert run_id not in airflow.runs("daily")
    answer = client.post("/events", json=event)
    assert (answer.status_code, answer.json()["requests"][0]["run_id"]) == (200, run_id)
    assert run_id in airflow.runs("daily")


def test_a_run_that_has_begun_is_not_made_again_when_airflow_has_forgotten_it(
    client: TestClient, airflow: Airflow
) -> None:
    event = own()
    run_id = decided_and_never_told(event)
    begin(Context.open("daily"), RunRequest(run_id=run_id, by="airflow"))
    answer = client.post("/events", json=event)
    assert (answer.status_code, answer.json()["requests"][0]["run_id"]) == (200, run_id)
    assert run_id not in airflow.runs("daily")


def test_a_run_that_failed_before_it_had_begun_is_queued_again_by_the_next_event(airflow: Airflow) -> None:
    from tandem_application import application

    headers = {"Authorization": f"Bearer {airflow.token('user')}"}
    (request,) = TestClient(application(), headers=headers).post("/events", json=own("weekly")).json()["requests"]
    airflow.set_failed("weekly", request["run_id"])
    later = TestClient(application(), headers=headers)  # the application remembers for a while which run is held
    (folded,) = later.post("/events", json=own("weekly")).json()["requests"]
    assert (folded["outcome"], folded["run_id"]) == ("fold", request["run_id"])
    assert later.get(f"/events/requests/weekly/{folded['request_id']}").json()["run_state"] == "queued"


def test_what_became_of_a_request_can_be_read(client: TestClient, stranger: TestClient) -> None:
    (request,) = client.post("/events", json=own(note="why")).json()["requests"]
    path = f"/events/requests/daily/{request['request_id']}"
    answer = client.get(path).json()
    assert answer["request"]["note"] == "why"
    assert answer["request"]["by"] == "a user"
    assert answer["decision"]["run_id"] == request["run_id"]
    assert answer["run_state"] == "queued"
    assert stranger.get(path).status_code == 401
    assert client.get(f"/events/requests/daily/{'0' * 64}").status_code == 404
    assert client.get("/events/requests/daily/x").status_code == 422
    assert client.get(f"/events/requests/..%2Fweekly/{request['request_id']}").status_code in {404, 422}


def test_a_store_that_is_down_is_a_503_and_what_was_asked_is_done_once_it_is_back(
    app: Any, client: TestClient, airflow: Airflow
) -> None:
    folder = airflow.store.root.removeprefix("file://")
    event = own()
    away = Path(folder).with_name("away")
    client.post("/events", json=own())
    Path(folder).rename(away)
    Path(folder).write_text("a file where the store was")
    try:
        down = client.post("/events", json=event)
    finally:
        Path(folder).unlink()
        away.rename(folder)
    assert down.status_code == 503
    assert int(down.headers["Retry-After"]) > 0
    assert client.post("/events", json=event).status_code == 202


def test_the_manual_and_the_description_need_nothing_from_elsewhere(stranger: TestClient) -> None:
    page, described = stranger.get("/docs"), stranger.get("/openapi.json").json()
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    examples = described["paths"]["/events"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert set(examples) == {"own", "s3", "cloudevents", "alertmanager"}
    for example in examples.values():
        assert example["summary"] in unescape(page.text)


def test_every_example_of_the_description_asks_for_a_training_of_the_shipped_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tandem_events_docs import EXAMPLES

    monkeypatch.delenv("TANDEM_ROOT")
    specs = {"flight_delay": load_model("flight_delay")}
    for example in EXAMPLES.values():
        received = read_event(example["value"], specs)
        assert [request.model for request in received.requests] == ["flight_delay"]
        assert received.ignored == ()
