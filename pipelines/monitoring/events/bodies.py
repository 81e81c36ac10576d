"""The four bodies that are understood: our own, S3's, CloudEvents' and Alertmanager's.

Of the foreign ones only what is used is looked at; each says what happened in it as occurrences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import unquote_plus

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

LONGEST_TEXT = 2048
MOST_RECORDS = 100

# no control characters: a database may refuse them, and a terminal obeys them
Text = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT, pattern=r"^[^\x00-\x1f\x7f]*$")]
Note = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]


@dataclass(frozen=True)
class Occurrence:
    """One thing that happened: `name` is what a spec's glob is held against, `evidence` what identifies it.

    `ignored` says why nothing is to be done about it, or is None.
    """

    name: str
    evidence: dict[str, Any]
    at: str | None
    subject: str = ""
    ignored: str | None = None


class OwnEvent(BaseModel):
    """Tandem's own event: a model, and why it should be trained again."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: Text = Field(description="Name of the model.")
    reason: Literal["event", "data", "person"] = Field("event", description="What kind of reason it is.")
    note: Note = Field("", description="In words, for who reads the decision later.")
    evidence: dict[str, Any] = Field(
        default_factory=dict,
        description="What the wish rests on, as small plain JSON: equal evidence is one wish, however often sent.",
    )


class _Foreign(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    def occurrences(self) -> Iterator[Occurrence]:
        """Yield what happened, in the order of the body."""
        raise NotImplementedError


class _Bucket(BaseModel):
    name: Text


class _Object(BaseModel):
    key: Text = Field(description="URL-encoded, as S3 sends it.")
    eTag: Text | None = None  # noqa: N815 -- S3's own name
    sequencer: Text | None = None


class _S3(BaseModel):
    bucket: _Bucket
    object: _Object


class _Record(BaseModel):
    eventName: Text  # noqa: N815 -- S3's own names
    eventTime: Text | None = None  # noqa: N815
    s3: _S3


class S3Notification(_Foreign):
    """S3 event notification: each object that was made is one occurrence, named bucket/key."""

    Records: list[_Record] = Field(min_length=1, max_length=MOST_RECORDS)

    def occurrences(self) -> Iterator[Occurrence]:
        """Yield each object."""
        for record in self.Records:
            key = unquote_plus(record.s3.object.key)
            given = {
                "bucket": record.s3.bucket.name,
                "key": key,
                "eTag": record.s3.object.eTag,
                "sequencer": record.s3.object.sequencer,
            }
            made = record.eventName.removeprefix("s3:").startswith("ObjectCreated:")
            yield Occurrence(
                name=f"{given['bucket']}/{key}",
                evidence={"event": "s3", **_present(given)},
                at=record.eventTime,
                ignored=None if made else f"{record.eventName} of {key}: only objects that were made count.",
            )


class CloudEventBody(_Foreign):
    """CloudEvents 1.0, structured; its data is not looked at."""

    specversion: Literal["1.0"]
    id: Text
    source: Text
    type: Text
    subject: Text | None = None
    time: Text | None = None

    def occurrences(self) -> Iterator[Occurrence]:
        """Yield the one event."""
        given = {"source": self.source, "id": self.id, "type": self.type, "subject": self.subject}
        evidence = {"event": "cloudevents", **_present(given)}
        yield Occurrence(name=self.type, evidence=evidence, at=self.time, subject=self.subject or "")


class _Labels(BaseModel):
    alertname: Text


class _Alert(BaseModel):
    status: Literal["firing", "resolved"]
    labels: _Labels
    startsAt: Text  # noqa: N815 -- Alertmanager's own name
    fingerprint: Text


class Alerts(_Foreign):
    """Alertmanager webhook: each firing alert is one occurrence, named as the alert."""

    alerts: list[_Alert] = Field(min_length=1, max_length=MOST_RECORDS)

    def occurrences(self) -> Iterator[Occurrence]:
        """Yield each alert."""
        for alert in self.alerts:
            name = alert.labels.alertname
            given = {"fingerprint": alert.fingerprint, "startsAt": alert.startsAt, "alertname": name}
            resolved = f"Alert {name} is resolved: only firing alerts count."
            yield Occurrence(
                name=name,
                evidence={"event": "alertmanager", **given},
                at=alert.startsAt,
                ignored=resolved if alert.status == "resolved" else None,
            )


BODIES: dict[str, type[OwnEvent] | type[_Foreign]] = {
    "specversion": CloudEventBody,
    "Records": S3Notification,
    "alerts": Alerts,
    "model": OwnEvent,
}
"""The bodies by the key that each alone has, in the order in which they are looked for."""


def _present(values: dict[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}
