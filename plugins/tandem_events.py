"""Take events from outside over HTTP, and let what they ask for become training runs.

`POST /tandem/events` reads an event, tells which models it concerns, checks that the sender may train them, and has the
requests decided; `GET /tandem/events/requests/<model>/<id>` tells what became of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse
from tandem_airflow import GetUserDep, KnownDag, find_dag, may_access_runs
from tandem_events_docs import READING, SENDING, Answer, Became, event_operation
from tandem_office import Office
from tandem_senders import Sender, sender_of

from pipelines.errors import ObjectExists
from pipelines.monitoring.events import LARGEST_BYTES, Received, read_event, read_json
from pipelines.records.monitoring import Decided

MOST_BYTES_DRAINED = 32 * LARGEST_BYTES


def events_router() -> APIRouter:
    """Return the routes of events."""
    router = APIRouter(tags=["events"])
    office = Office()
    readers = ThreadPoolExecutor(4, thread_name_prefix="tandem-events")  # Airflow's own threads stay free

    @router.post("/events", status_code=202, response_model=Answer, responses=SENDING, openapi_extra=event_operation())
    async def send_event(request: Request) -> JSONResponse:
        """Ask for a training by an event. Equal events are one wish, however often they are sent."""
        body = await _body_of(request)
        sender = await sender_of(request, body)
        loop = asyncio.get_running_loop()
        received, dags = await loop.run_in_executor(readers, _accept, office, request, body, sender)
        waiting = [asyncio.wrap_future(office.submit(asked)) for asked in received.requests]
        decided = list(await asyncio.gather(*waiting))
        return _answer(request, received, decided, dags)

    @router.get("/events/requests/{model}/{request_id}", response_model=Became, responses=READING)
    def read_request(model: str, request_id: str, request: Request, user: GetUserDep) -> Any:
        """Tell what became of a request."""
        if not may_access_runs(request, user, "GET", f"train__{model}"):
            raise HTTPException(403, f"You may not read the runs of train__{model[:80]}.")
        became = office.became(model, request_id)
        run_id = became["decision"]["run_id"] if became["decision"] else None
        return {**became, "links": _links(request, model, request_id, run_id)}

    return router


async def _body_of(request: Request) -> bytes:
    """Return the body; of one that is too large the rest is thrown away, so that the sender hears the answer."""
    body, size = bytearray(), 0
    stream: AsyncIterator[bytes] = request.stream()
    async with aclosing(stream) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            size += len(chunk)
            if size <= LARGEST_BYTES:
                body += chunk
            elif size > MOST_BYTES_DRAINED:
                break
    if size > LARGEST_BYTES:
        raise HTTPException(413, f"The body has more than {LARGEST_BYTES} bytes, which are allowed. Nothing was done.")
    return bytes(body)


def _accept(office: Office, request: Request, body: bytes, sender: Sender) -> tuple[Received, dict[str, KnownDag]]:
    """Return what the event asks for, and the DAGs that will do it; refuse what cannot be or must not be."""
    headers, key = request.headers, request.headers.get("idempotency-key")
    is_binary = "ce-specversion" in headers
    specs, broken = office.specs()
    received = read_event(
        None if is_binary else read_json(body),
        specs,
        headers=headers if is_binary else None,
        idempotency_key=key,
        broken=broken,
        by=sender.name,
    )
    dags: dict[str, KnownDag] = {}
    for model in dict.fromkeys(asked.model for asked in received.requests):
        dag_id = f"train__{model}"
        if not sender.may_train(request, dag_id):
            raise HTTPException(403, f"{sender.name} may not ask for runs of {dag_id}. Nothing was done.")
        dag = find_dag(dag_id)
        if dag is None:
            raise HTTPException(409, f"Airflow has no DAG {dag_id} yet. Nothing was done; send the event again later.")
        dags[model] = dag
    if key is not None:
        try:
            office.claim_key(key, received.requests)
        except ObjectExists as error:
            raise HTTPException(409, str(error)) from error
    return received, dags


def _answer(request: Request, received: Received, decided: list[Decided], dags: dict[str, KnownDag]) -> JSONResponse:
    answers = []
    for asked, came in zip(received.requests, decided, strict=True):
        paused = dags[asked.model].is_paused
        reasons = [f"train__{asked.model} is paused in Airflow: the run starts once it is not."] if paused else []
        answers.append(
            {
                "model": asked.model,
                "request_id": asked.id,
                "outcome": came.outcome,
                "run_id": came.run_id,
                "run_after": came.run_after,
                "reasons": [*came.reasons, *reasons],
                "links": _links(request, asked.model, asked.id, came.run_id),
            }
        )
    is_new = any(came.outcome in {"start", "fold"} for came in decided)
    return JSONResponse({"requests": answers, "ignored": list(received.ignored)}, status_code=202 if is_new else 200)


def _links(request: Request, model: str, request_id: str, run_id: str | None) -> dict[str, str | None]:
    base = f"{request.url.scheme}://{request.url.netloc}{request.scope.get('app_root_path', '')}"
    dag = f"{base}/dags/train__{quote(model)}"
    return {
        "run": None if run_id is None else f"{dag}/runs/{quote(run_id)}",
        "decisions": f"{base}/tandem/events/requests/{quote(model)}/{request_id}",
    }
