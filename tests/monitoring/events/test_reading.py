from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.errors import UsageError
from pipelines.monitoring.events import read_event, read_json
from pipelines.spec import ModelSpec
from pipelines.spec.load import load_model

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2013, 5, 1, 12, tzinfo=UTC)
RULES = [
    {"source": "s3", "objects": "flights/2013-*.parquet", "reason": "data"},
    {"source": "cloudevents", "type": "org.example.*", "subject": "2013-*"},
    {"source": "alertmanager", "alertname": "FlightDelay*"},
]


@pytest.fixture(scope="module")
def specs() -> dict[str, ModelSpec]:
    flights = load_model("flight_delay").model_dump(mode="json")
    with_rules = {**flights, "retraining": {**flights["retraining"], "events": RULES}}
    spec = type(load_model("flight_delay"))
    other = {**flights, "name": "other", "retraining": {**flights["retraining"], "events": [RULES[2]]}}
    return {"flight_delay": spec.model_validate(with_rules), "other": spec.model_validate(other)}


def s3(key: str, name: str = "ObjectCreated:Put", **more: Any) -> dict[str, Any]:
    return {"eventName": name, "s3": {"bucket": {"name": "flights"}, "object": {"key": key, **more}}}


def alert(name: str, status: str = "firing", starts: str = "2013-05-01T06:00:00Z") -> dict[str, Any]:
    return {"status": status, "labels": {"alertname": name}, "startsAt": starts, "fingerprint": f"{name}-1"}


CLOUD = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/warehouse",
    "type": "org.example.made",
    "subject": "2013-04",
    "time": "2013-05-01T00:00:00Z",
    "data": {"rows": 3},
}


def test_our_own_event_asks_for_its_model_by_its_evidence(specs: dict[str, ModelSpec]) -> None:
    body = {"model": "flight_delay", "reason": "person", "note": "storms", "evidence": {"ticket": 7}}
    (request,) = read_event(body, specs, by="maria", now=NOW).requests
    assert (request.model, request.reason, request.note, request.by) == ("flight_delay", "person", "storms", "maria")
    assert request.evidence == {"event": "own", "given": {"ticket": 7}}
    assert request.at == NOW.isoformat()


def test_each_object_of_an_s3_notification_is_one_request(specs: dict[str, ModelSpec]) -> None:
    records = [s3("2013-04+a%2Bb.parquet", eTag="x", sequencer="01"), s3("2013-05.parquet")]
    requests = read_event({"Records": records}, specs, now=NOW).requests
    assert [request.evidence for request in requests] == [
        {"event": "s3", "bucket": "flights", "key": "2013-04 a+b.parquet", "eTag": "x", "sequencer": "01"},
        {"event": "s3", "bucket": "flights", "key": "2013-05.parquet"},
    ]
    assert {(request.model, request.reason) for request in requests} == {("flight_delay", "data")}


def test_what_is_removed_from_a_bucket_asks_for_nothing(specs: dict[str, ModelSpec]) -> None:
    received = read_event({"Records": [s3("2013-04.parquet", "ObjectRemoved:Delete")]}, specs, now=NOW)
    assert received.requests == ()
    assert "ObjectRemoved:Delete" in received.ignored[0]


def test_what_s3_sends_when_notifications_are_set_up_asks_for_nothing(specs: dict[str, ModelSpec]) -> None:
    received = read_event({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}, specs, now=NOW)
    assert received.requests == ()
    assert received.ignored


def test_a_cloud_event_is_the_same_in_structured_and_in_binary_mode(specs: dict[str, ModelSpec]) -> None:
    headers = {f"ce-{name}": value for name, value in CLOUD.items() if isinstance(value, str)}
    (structured,) = read_event(CLOUD, specs, now=NOW).requests
    (binary,) = read_event(None, specs, headers=headers, now=NOW).requests
    assert structured.id == binary.id
    assert structured.evidence == {
        "event": "cloudevents",
        "source": "/warehouse",
        "id": "e1",
        "type": "org.example.made",
        "subject": "2013-04",
    }


def test_an_alert_asks_for_every_model_that_has_a_rule_for_it(specs: dict[str, ModelSpec]) -> None:
    body = {"alerts": [alert("FlightDelayWorse"), alert("FlightDelayLate", "resolved"), alert("DiskFull")]}
    received = read_event(body, specs, now=NOW)
    assert [request.model for request in received.requests] == ["flight_delay", "other"]
    assert received.requests[0].evidence == {
        "event": "alertmanager",
        "fingerprint": "FlightDelayWorse-1",
        "startsAt": "2013-05-01T06:00:00Z",
        "alertname": "FlightDelayWorse",
    }
    assert ["FlightDelayLate" in received.ignored[0], "DiskFull" in received.ignored[1]] == [True, True]


def test_an_alert_that_fires_again_later_is_another_request(specs: dict[str, ModelSpec]) -> None:
    first, again, later = (
        read_event({"alerts": [alert("FlightDelayWorse", starts=starts)]}, specs, now=NOW).requests[0].id
        for starts in ("2013-04-01T06:00:00Z", "2013-04-01T06:00:00Z", "2013-04-02T06:00:00Z")
    )
    assert first == again != later


def test_an_event_without_evidence_is_one_wish_a_day_and_note(specs: dict[str, ModelSpec]) -> None:
    def asked(note: str, days: int = 0) -> str:
        body = {"model": "flight_delay", "note": note}
        return read_event(body, specs, now=NOW + timedelta(days=days)).requests[0].id

    assert asked("a") == asked("a")
    assert len({asked("a"), asked("b"), asked("a", days=1)}) == 3


def test_an_idempotency_key_is_a_part_of_the_evidence(specs: dict[str, ModelSpec]) -> None:
    (first,) = read_event({"model": "other"}, specs, idempotency_key="k1", now=NOW).requests
    (later,) = read_event({"model": "other"}, specs, idempotency_key="k1", now=NOW + timedelta(days=9)).requests
    (another,) = read_event({"model": "other"}, specs, idempotency_key="k2", now=NOW).requests
    assert first.evidence["idempotency_key"] == "k1"
    assert first.id == later.id != another.id


REFUSED = {
    "a list": ([1], "a list"),
    "nothing known": ({"modle": "flight_delay"}, "did you mean 'model'"),
    "an unknown model": ({"model": "flight_dely"}, "did you mean 'flight_delay'"),
    "a broken spec": ({"model": "broken"}, "tandem check broken"),
    "a misspelt key": ({"model": "other", "nots": "x"}, "did you mean 'note'"),
    "another reason": ({"model": "other", "reason": "drift"}, "reason"),
    "too much evidence": ({"model": "other", "evidence": {"a": "x" * 20_000}}, "16384"),
    "a terminal's commands": ({"model": "other", "note": "\x1b[2J"}, "note"),
    "no alert": ({"alerts": []}, "alerts"),
    "an alert without a name": ({"alerts": [{**alert("a"), "labels": {}}]}, "alerts.0.labels.alertname: missing"),
    "too many records": ({"Records": [s3("a")] * 101}, "Records"),
    "another version": ({**CLOUD, "specversion": "0.3"}, "specversion"),
    "no rule": ({**CLOUD, "type": "com.example.made"}, "flight_delay: cloudevents 'org.example.*'"),
    "another subject": ({**CLOUD, "subject": "2014-01"}, "No model's spec has a rule"),
    "the future": ({**CLOUD, "time": "2013-05-02T12:00:01Z"}, "one day ahead"),
    "no time": ({**CLOUD, "time": "yesterday"}, "ISO 8601"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused_with_what_was_found_and_what_is_allowed(
    case: str, specs: dict[str, ModelSpec]
) -> None:
    body, said = REFUSED[case]
    with pytest.raises(UsageError, match="Nothing was done") as refused:
        read_event(body, specs, broken=["broken"], now=NOW)
    assert said in str(refused.value)


def test_a_clock_that_is_a_few_hours_ahead_is_forgiven(specs: dict[str, ModelSpec]) -> None:
    assert read_event({**CLOUD, "time": "2013-05-02T11:59:00Z"}, specs, now=NOW).requests


@pytest.mark.parametrize("key", ["", "x" * 256, "line\nbreak", "é"])
def test_a_key_that_no_header_can_carry_is_refused(key: str, specs: dict[str, ModelSpec]) -> None:
    with pytest.raises(UsageError, match="Idempotency-Key"):
        read_event({"model": "other"}, specs, idempotency_key=key, now=NOW)


def shuffled(value: Any, dice: random.Random) -> Any:
    if isinstance(value, dict):
        items = list(value.items())
        dice.shuffle(items)
        return {key: shuffled(inner, dice) for key, inner in items}
    return [shuffled(inner, dice) for inner in value] if isinstance(value, list) else value


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdé", max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    evidence=st.dictionaries(st.text("abcdé", min_size=1, max_size=5), PLAIN, min_size=1, max_size=4),
    seed=st.integers(),
)
def test_equal_events_have_one_id_whatever_the_order_of_their_keys(
    specs: dict[str, ModelSpec], evidence: dict[str, Any], seed: int
) -> None:
    body = {"model": "other", "reason": "event", "evidence": evidence}
    texts = [json.dumps(each).encode() for each in (body, shuffled(body, random.Random(seed)))]
    first, second = (read_event(read_json(text), specs, now=NOW).requests[0] for text in texts)
    assert first.id == second.id


LIKE_EVENTS = st.dictionaries(
    st.sampled_from(["model", "reason", "note", "evidence", "Records", "alerts", "specversion", "id", "type", "Event"]),
    PLAIN | st.just([s3("a")]) | st.just([alert("FlightDelay")]) | st.sampled_from(["other", "1.0", "s3:TestEvent"]),
    max_size=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=LIKE_EVENTS | PLAIN)
def test_whatever_is_sent_is_read_or_refused_with_a_sentence(specs: dict[str, ModelSpec], body: Any) -> None:
    try:
        received = read_event(body, specs, now=NOW)
    except UsageError as error:
        said = str(error)
    else:
        said = "Nothing was done" if received.requests or received.ignored else "neither"
    assert "Nothing was done" in said
