"""What the OpenAPI description says of events: bodies with examples, answers, and who may send."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from pipelines.monitoring.events import BODIES

BEARER, SIGNED = "bearer", "signed"

SECURITY_SCHEMES: dict[str, Any] = {
    BEARER: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of Airflow's own, from POST /auth/token, of a user who may ask for runs of the model's "
        "training DAG.",
    },
    SIGNED: {
        "type": "apiKey",
        "in": "header",
        "name": "X-Tandem-Signature",
        "description": "For senders that have only a secret: X-Tandem-Timestamp holds the seconds since 1970, and "
        "X-Tandem-Signature `sha256=` and the hex HMAC-SHA256 of `<timestamp>.` and the raw body, by the secret that "
        "Airflow's API server has in TANDEM_EVENTS_SECRET. Five minutes old at most.",
    },
}

EXAMPLES: dict[str, Any] = {
    "own": {
        "summary": "Tandem's own",
        "value": {
            "model": "flight_delay",
            "reason": "person",
            "note": "The storms of June are in now.",
            "evidence": {"ticket": "OPS-1207"},
        },
    },
    "s3": {
        "summary": "S3 event notification",
        "value": {
            "Records": [
                {
                    "eventSource": "aws:s3",
                    "eventName": "ObjectCreated:Put",
                    "eventTime": "2013-04-30T23:12:07.000Z",
                    "s3": {
                        "bucket": {"name": "flights"},
                        "object": {"key": "2013-04.parquet", "eTag": "9b2cf535f27731c9", "sequencer": "0055AED6DCD9"},
                    },
                }
            ]
        },
    },
    "cloudevents": {
        "summary": "CloudEvents 1.0",
        "value": {
            "specversion": "1.0",
            "id": "month-2013-04",
            "source": "/warehouse/flights",
            "type": "org.example.partition.made",
            "subject": "2013-04",
            "time": "2013-05-01T00:00:00Z",
        },
    },
    "alertmanager": {
        "summary": "Alertmanager webhook",
        "value": {
            "version": "4",
            "status": "firing",
            "alerts": [
                {
                    "status": "firing",
                    "labels": {"alertname": "FlightDelayModelWorse", "severity": "warning"},
                    "startsAt": "2013-05-01T06:00:00Z",
                    "fingerprint": "c1a2f0ffee5de2ab",
                }
            ],
        },
    },
}


class Links(BaseModel):
    """Where to look."""

    run: str | None = Field(description="The run's page in Airflow.")
    decisions: str = Field(description="What became of the request, as JSON.")


class RequestAnswer(BaseModel):
    """What came of one request."""

    model: str = Field(description="Whose training was asked for.")
    request_id: str = Field(description="The hash of model, reason and evidence: equal for equal events.")
    outcome: Literal["none", "start", "fold", "known"] = Field(
        description="`start`: a run was made. `fold`: it went into a run that was made before and has not begun. "
        "`known`: it was decided before. `none`: a rule forbids it."
    )
    run_id: str | None = Field(description="The run of `train__<model>` that it goes into.")
    run_after: str | None = Field(description="When the run begins at the earliest; null: at once.")
    reasons: list[str] = Field(description="Why so, in sentences.")
    links: Links = Field(description="Where to look: `run`, its page in Airflow; `decisions`, what became of it.")


class Answer(BaseModel):
    """What came of an event: of each request that it makes, and in sentences, what of it asks for nothing."""

    requests: list[RequestAnswer] = Field(description="One for each model and thing that happened.")
    ignored: list[str] = Field(description="What of the event asks for nothing, and why.")


class Became(BaseModel):
    """What became of a request."""

    request: dict[str, Any] = Field(description="The request as it was kept.")
    decision: dict[str, Any] | None = Field(description="The entry in the chain of decisions; null: not decided yet.")
    run_state: str | None = Field(description="The state of its run in Airflow; null: none there.")
    links: Links = Field(description="Where to look: `run`, its page in Airflow; `decisions`, this page.")


class Problem(BaseModel):
    """Why not, in a sentence."""

    detail: str


def _problem(description: str, **headers: Any) -> dict[str, Any]:
    return {"model": Problem, "description": description, **headers}


ERRORS: dict[int | str, dict[str, Any]] = {
    401: _problem("Nobody is named, or token or signature are not valid."),
    403: _problem("The user may not do this."),
    503: _problem(
        "Store or database do not answer for now; send it again, it will not be done twice.",
        headers={"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}},
    ),
}

SENDING: dict[int | str, dict[str, Any]] = {
    202: {"model": Answer, "description": "New: a run was made, or the request went into one that has not begun."},
    200: {"model": Answer, "description": "Known already, or nothing in it asks for anything."},
    400: _problem("The body broke off."),
    409: _problem("Airflow has no DAG for the model, or the Idempotency-Key was used for another event."),
    413: _problem("The body is too large."),
    422: _problem("The event is malformed, unknown, from the future, or mapped by no model's spec."),
    **ERRORS,
}

READING: dict[int | str, dict[str, Any]] = {
    200: {"model": Became, "description": "The request, and what was decided about it."},
    404: _problem("There is no such request."),
    422: _problem("Not the id of a request."),
    **ERRORS,
}


def event_operation() -> dict[str, Any]:
    """Return what the description of `POST /events` says beyond what FastAPI sees: body, headers, who may send."""
    header = {"in": "header", "required": False}
    return {
        "security": [{BEARER: []}, {SIGNED: []}],
        "parameters": [
            {
                **header,
                "name": "Idempotency-Key",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
                "description": "The sender's own name of the event, a part of its evidence; not with a signature.",
            },
            {
                **header,
                "name": "X-Tandem-Timestamp",
                "schema": {"type": "string", "pattern": "^[0-9]{1,12}$"},
                "description": "With a signature: whole seconds since 1970, UTC.",
            },
        ],
        "requestBody": {
            "required": True,
            "description": "One of four bodies, told apart by what they hold; at most 1 MB. Tandem's own names its "
            "model; for the others the specs say which models they are for, under `retraining.events`. A CloudEvent "
            "may also come in binary mode, in headers `ce-*`; then the body is not looked at.",
            "content": {"application/json": {"schema": {"oneOf": _schemas()}, "examples": EXAMPLES}},
        },
    }


def _schemas() -> list[dict[str, Any]]:
    return [_inlined(shape.model_json_schema()) for shape in reversed(BODIES.values())]


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with what it refers to in its place: references would point into another document."""
    defined = schema.pop("$defs", {})

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return filled(defined[value["$ref"].rsplit("/", 1)[1]])
            return {key: filled(inner) for key, inner in value.items()}
        return [filled(inner) for inner in value] if isinstance(value, list) else value

    return dict(filled(schema))
