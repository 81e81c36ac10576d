"""Read an event: which of the known bodies it is, what happened, and which models are to be trained again for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel, ValidationError

from pipelines.errors import UsageError
from pipelines.monitoring.events.bodies import BODIES, CloudEventBody, Occurrence, OwnEvent
from pipelines.records import canonical_json
from pipelines.records.monitoring import RetrainingRequest
from pipelines.spec import ModelSpec
from pipelines.spec.nearest import choices, nearest
from pipelines.spec.watching import AlertmanagerEvent, CloudEvent, EventRule, S3Event

AHEAD = timedelta(days=1)
LARGEST_EVIDENCE_BYTES = 16_384
LONGEST_KEY = 255
BINARY = "ce-"
NOTHING_DONE = "Nothing was done."


@dataclass(frozen=True)
class Received:
    """What an event asks for, and in sentences, which parts of it ask for nothing."""

    requests: tuple[RetrainingRequest, ...]
    ignored: tuple[str, ...] = ()


def read_event(
    body: Any,
    specs: Mapping[str, ModelSpec],
    *,
    headers: Mapping[str, str] | None = None,
    idempotency_key: str | None = None,
    broken: Collection[str] = (),
    by: str = "unknown",
    now: datetime | None = None,
) -> Received:
    """Return the requests that an event makes, by the rules under `retraining.events` of the specs.

    Args:
        body: The JSON value that was sent; not looked at where `headers` hold a CloudEvent in binary mode.
        specs: The model specs by name.
        headers: HTTP headers, their names in lower case.
        idempotency_key: The sender's own name of the event; it becomes a part of the evidence.
        broken: Names of models whose spec has problems.
        by: Who sent it.
        now: The present, in UTC.

    Raises:
        UsageError: If the event is none of the known ones, or is malformed, from the future, or mapped by no spec.
    """
    now = now or datetime.now(UTC)
    key = _checked_key(idempotency_key)
    binary = {name.removeprefix(BINARY): value for name, value in (headers or {}).items() if name.startswith(BINARY)}
    event = _parse(CloudEventBody, binary) if "specversion" in binary else _told(body)
    if isinstance(event, OwnEvent):
        return Received((_own_request(event, specs, broken, key, by, now),))
    requests: dict[str, RetrainingRequest] = {}
    ignored: list[str] = []
    unmapped: list[str] = []
    for occurrence in event.occurrences():
        if occurrence.ignored:
            ignored.append(occurrence.ignored)
            continue
        _check_time(occurrence.at, now)
        found = list(_mapped(occurrence, specs, key, by, now))
        requests |= {request.id: request for request in found}
        unmapped += [] if found else [occurrence.name]
    if unmapped and not requests:
        raise UsageError(_no_rule(unmapped[0], str(next(event.occurrences()).evidence["event"]), specs))
    ignored += [f"{name}: no model's spec has a rule for it." for name in unmapped]
    return Received(tuple(requests.values()), tuple(ignored))


def _told(body: Any) -> Any:
    if not isinstance(body, dict):
        raise UsageError(f"The body is {_kind(body)}; allowed: a JSON object. {NOTHING_DONE}")
    if body.get("Event") == "s3:TestEvent":  # what S3 sends once, when notifications are set up
        return _Silent()
    for key, shape in BODIES.items():
        if key in body:
            return _parse(shape, body)
    found = ", ".join(str(key)[:40] for key in list(body)[:10]) or "nothing"
    meant = next((match for key in body if (match := nearest(str(key)[:40], BODIES))), None)
    hint = f"; did you mean {meant!r}?" if meant else "."
    raise UsageError(
        f"The body is none of the known events: found the keys {found}{hint} Allowed: Tandem's own ('model'), an S3 "
        f"notification ('Records'), a CloudEvent ('specversion') or an Alertmanager webhook ('alerts'). {NOTHING_DONE}"
    )


class _Silent:
    def occurrences(self) -> Iterator[Occurrence]:
        yield Occurrence("", {}, None, ignored="S3's test event: it asks for nothing.")


def _parse(shape: type[BaseModel], value: Mapping[str, Any]) -> Any:
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))[:200]
        if first["type"] == "extra_forbidden":
            said = f"unknown key; {choices(place[:40], shape.model_fields)}"
        elif first["type"] == "missing":
            said = "missing"
        else:
            shown = repr(first["input"])
            said = f"found {shown if len(shown) <= 80 else shown[:80] + '...'}: {first['msg']}"
        more = f" ({error.error_count()} problems in all)" if error.error_count() > 1 else ""
        raise UsageError(f"{_title(shape)}: {place}: {said}{more}. {NOTHING_DONE}") from error


def _title(shape: type[BaseModel]) -> str:
    return (shape.__doc__ or "").split(":", maxsplit=1)[0].split(";", maxsplit=1)[0].strip().rstrip(".")


def _own_request(
    event: OwnEvent,
    specs: Mapping[str, ModelSpec],
    broken: Collection[str],
    key: str | None,
    by: str,
    now: datetime,
) -> RetrainingRequest:
    if event.model in broken:
        raise UsageError(f"The spec of {event.model} has problems: `tandem check {event.model}`. {NOTHING_DONE}")
    if event.model not in specs:
        allowed = choices(event.model[:40], sorted(specs))
        raise UsageError(f"model: found {event.model[:80]!r}; allowed: {allowed}. {NOTHING_DONE}")
    size = len(canonical_json(event.evidence))
    if size > LARGEST_EVIDENCE_BYTES:
        raise UsageError(f"evidence: {size} bytes; allowed: at most {LARGEST_EVIDENCE_BYTES}. {NOTHING_DONE}")
    evidence: dict[str, Any] = {"event": "own", "given": event.evidence}
    if key is None and not event.evidence:
        # who gives nothing that tells two wishes apart is heard once a day for each note
        evidence |= {"day": now.date().isoformat(), "note": event.note}
    return _request(event.model, event.reason, evidence, key, note=event.note, by=by, now=now)


def _mapped(
    occurrence: Occurrence, specs: Mapping[str, ModelSpec], key: str | None, by: str, now: datetime
) -> Iterator[RetrainingRequest]:
    for name, spec in sorted(specs.items()):
        rule = next((rule for rule in spec.retraining.events if _fits(rule, occurrence)), None)
        if rule is not None:
            note = f"{occurrence.evidence['event']}: {occurrence.name}"[:500]
            yield _request(name, rule.reason, occurrence.evidence, key, note=note, by=by, now=now)


def _fits(rule: EventRule, occurrence: Occurrence) -> bool:
    if rule.source != occurrence.evidence["event"]:
        return False
    if isinstance(rule, CloudEvent) and not fnmatchcase(occurrence.subject, rule.subject):
        return False
    return fnmatchcase(occurrence.name, _glob(rule))


def _glob(rule: EventRule) -> str:
    if isinstance(rule, S3Event):
        return rule.objects
    return rule.alertname if isinstance(rule, AlertmanagerEvent) else rule.type


def _request(
    model: str, reason: Any, evidence: Mapping[str, Any], key: str | None, *, note: str, by: str, now: datetime
) -> RetrainingRequest:
    named = dict(evidence) if key is None else {**evidence, "idempotency_key": key}
    return RetrainingRequest(model=model, reason=reason, evidence=named, note=note, by=by, at=now.isoformat())


def _checked_key(key: str | None) -> str | None:
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise UsageError(
            f"Idempotency-Key: found {len(key)} characters; allowed: 1 to {LONGEST_KEY} printable ASCII characters. "
            f"{NOTHING_DONE}"
        )
    return key


def _check_time(at: str | None, now: datetime) -> None:
    if at is None:
        return
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise UsageError(f"The event's time is {at[:40]!r}; allowed: ISO 8601. {NOTHING_DONE}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if moment > now + AHEAD:
        raise UsageError(
            f"The event's time is {at[:40]}, and here it is {now.isoformat(timespec='seconds')}; allowed: at most one "
            f"day ahead. {NOTHING_DONE}"
        )


def _no_rule(name: str, kind: str, specs: Mapping[str, ModelSpec]) -> str:
    rules = [
        f"{model}: {rule.source} {_glob(rule)!r}" for model in sorted(specs) for rule in specs[model].retraining.events
    ]
    exist = "; ".join(rules[:20]) or "none"
    return (
        f"No model's spec has a rule under retraining.events for the {kind} event {name[:200]!r}; rules: {exist}. "
        f"{NOTHING_DONE}"
    )


def _kind(body: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(body), "null")
