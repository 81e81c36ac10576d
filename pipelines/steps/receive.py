"""Take the messages of a queue: each is an event as it could come over HTTP, and goes the same way."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pipelines.errors import SpecError, UsageError
from pipelines.monitoring.events import LARGEST_BYTES, read_event, read_json
from pipelines.records import Decided, Record, RetrainingRequest
from pipelines.registry.decisions import is_pending
from pipelines.spec import ModelSpec, load_model, model_names
from pipelines.steps.context import Context
from pipelines.steps.request import decide_requests

LOG = logging.getLogger(__name__)
SHOWN = 200


class HeldRun(Record):
    """A run that Airflow must hold, to begin at `run_after`; that it holds it already is no error."""

    model: str
    run_id: str
    run_after: str | None
    reasons: tuple[str, ...]


class Messages(Record):
    """What came of the messages: the runs that Airflow must hold, and of each that could not be used, why."""

    num_messages: int
    runs: tuple[HeldRun, ...]
    refused: tuple[str, ...]
    refused_numbers: tuple[int, ...] = ()  # which they were; the first message is 1


def receive(messages: Sequence[bytes], by: str = "the queue") -> Messages:
    """Decide on what the messages ask for; those that cannot be used do not stop the others.

    Args:
        messages: The messages, oldest first; each is one of the bodies of `pipelines.monitoring.events`.
        by: Who sent them.

    Raises:
        StoreError, IntegrityError: As `decide_requests`; the same messages again are the same requests.
    """
    specs, broken = _specs()
    asked: dict[str, list[RetrainingRequest]] = {}
    refused: dict[int, str] = {}
    for number, message in enumerate(messages, start=1):
        try:
            if len(message) > LARGEST_BYTES:
                raise UsageError(f"The message has {len(message)} bytes; allowed: {LARGEST_BYTES}. Nothing was done.")
            received = read_event(read_json(message), specs, broken=broken, by=by)
        except UsageError as error:
            shown = message[:SHOWN].decode(errors="replace")
            refused[number] = f"Message {number} ({shown!r}): {error}"
            LOG.warning("%s", refused[number])
            continue
        for sentence in received.ignored:
            LOG.info("Message %d: %s", number, sentence)
        for request in received.requests:
            asked.setdefault(request.model, []).append(request)
    runs: dict[str, HeldRun] = {}
    for model, requests in sorted(asked.items()):
        context = Context.open(model)
        for decided in decide_requests(context, requests):
            LOG.info("%s: request %s: %s %s", model, decided.request_id, decided.outcome, decided.run_id)
            runs |= {run.run_id: run for run in _held(context, decided)}
    return Messages(
        num_messages=len(messages),
        runs=tuple(runs.values()),
        refused=tuple(refused.values()),
        refused_numbers=tuple(refused),
    )


def _held(context: Context, decided: Decided) -> list[HeldRun]:
    if decided.run_id is None or not is_pending(context.store, decided.model, decided.run_id):
        return []  # it has begun; Airflow may have forgotten it by now, and must not run it again
    return [
        HeldRun(model=decided.model, run_id=decided.run_id, run_after=decided.run_after, reasons=decided.reasons[:8])
    ]


def _specs() -> tuple[dict[str, ModelSpec], list[str]]:
    specs: dict[str, ModelSpec] = {}
    broken: list[str] = []
    for name in model_names():
        try:
            specs[name] = load_model(name)
        except SpecError:
            broken.append(name)
    return specs, broken
