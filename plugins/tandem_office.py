"""What the events' routes know of models, store and decisions: opened once, and read again when a file changes."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from fastapi import HTTPException
from tandem_airflow import hold_run, run_state
from tandem_desk import Desk

from pipelines.errors import SpecError, UsageError
from pipelines.monitoring.events import claim_key
from pipelines.records.monitoring import Decided, RetrainingRequest
from pipelines.registry.decisions import find_requests, is_pending, last_decision, read_request
from pipelines.spec import Environment, ModelSpec, load_environment, load_model, model_names, project_root
from pipelines.steps.context import Context
from pipelines.steps.request import decide_requests
from pipelines.store import Store, open_store

Stamp = tuple[int, int]
REQUEST_ID = re.compile(r"[0-9a-f]{64}")


class Office:
    """The models of this Airflow, their store, and a desk for each at which requests are decided."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[Stamp, ModelSpec | None]] = {}
        self._desks: dict[str, Desk] = {}
        self._lock = threading.Lock()

    @cached_property
    def _environment(self) -> Environment:
        return load_environment()

    @cached_property
    def _store(self) -> Store:
        return open_store(self._environment.store)

    def specs(self) -> tuple[dict[str, ModelSpec], list[str]]:
        """Return the sound specs by name, and the names of those that have problems."""
        found = {name: self._spec(name) for name in model_names()}
        return {name: spec for name, spec in found.items() if spec}, [name for name, spec in found.items() if not spec]

    def submit(self, request: RetrainingRequest) -> Any:
        """Return a future of what is decided about a request."""
        with self._lock:
            desk = self._desks.get(request.model)
            if desk is None:
                desk = self._desks[request.model] = Desk(self._decide, self._hold)
        return desk.submit(request)

    def claim_key(self, key: str, requests: Sequence[RetrainingRequest]) -> None:
        """Let an Idempotency-Key stand for these requests. Raises `ObjectExists` where it stands for others."""
        for model in dict.fromkeys(request.model for request in requests):
            claim_key(self._store, model, key, [request for request in requests if request.model == model])

    def became(self, model: str, request_id: str) -> dict[str, Any]:
        """Return the request, the decision about it, and its run's state. Raises `ObjectMissing`, `UsageError`."""
        if not REQUEST_ID.fullmatch(request_id):
            raise UsageError(f"{request_id[:80]!r} is not the id of a request: 64 hexadecimal digits.")
        asked = read_request(self._store, model, request_id)
        entry = find_requests(self._store, model, last_decision(self._store, model), [request_id]).get(request_id)
        state = None if entry is None or entry.run_id is None else run_state(f"train__{model}", entry.run_id)
        shown = None if entry is None else entry.model_dump(mode="json", exclude={"state"})
        return {"request": asked.to_dict(), "decision": shown, "run_state": state}

    def _spec(self, name: str) -> ModelSpec | None:
        try:
            status = (project_root() / "config" / "models" / f"{name}.yaml").stat()
        except FileNotFoundError:
            return None
        stamp = (status.st_mtime_ns, status.st_size)
        if name not in self._read or self._read[name][0] != stamp:
            try:
                self._read[name] = (stamp, load_model(name))
            except SpecError:
                self._read[name] = (stamp, None)
        return self._read[name][1]

    def _decide(self, requests: Sequence[RetrainingRequest]) -> Sequence[Decided]:
        spec = self._spec(requests[0].model)
        if spec is None:
            raise HTTPException(409, f"The spec of {requests[0].model} is gone or has problems. Nothing was done.")
        return decide_requests(Context(spec, self._environment, self._store), requests)

    def _hold(self, decided: Decided) -> None:
        if decided.outcome == "known" and not is_pending(self._store, decided.model, decided.run_id):
            return  # it has begun; Airflow may have forgotten it by now, and must not run it again
        run_after = datetime.fromisoformat(decided.run_after) if decided.run_after else None
        note = "\n".join(decided.reasons)[:1000]
        hold_run(f"train__{decided.model}", str(decided.run_id), run_after, note, "events")
