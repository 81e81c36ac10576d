"""Check a model's chain of decisions, and every request that its entries name."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipelines.errors import IntegrityError, TandemError
from pipelines.records import DecisionEntry
from pipelines.registry.decisions import read_request, walk_decisions
from pipelines.steps.context import Context

READERS = 16


def verify_decisions(context: Context) -> dict[str, Any]:
    """Return every problem of the chain, as plain JSON values. It changes nothing.

    Besides order, chain and seal of the entries it reads the requests that they decided, and finds those that were
    decided twice.

    Returns:
        `num_entries` that are sound; `head_sha256` of the last of them; `problems`, one sentence each.
    """
    entries, problems = list[DecisionEntry](), list[str]()
    for item in walk_decisions(context.store, context.spec.name):
        if isinstance(item, IntegrityError):
            problems.append(str(item))
        else:
            entries.append(item)
    decided = dict[str, int]()
    for entry in entries:
        for request_id in entry.requests:
            if request_id in decided:
                problems.append(
                    f"Request {request_id} was decided twice, by decisions {decided[request_id]} and {entry.seq}."
                )
            decided[request_id] = entry.seq
    with ThreadPoolExecutor(READERS) as pool:
        problems += [
            problem for problem in pool.map(lambda one: _problem_of(context, *one), decided.items()) if problem
        ]
    return {
        "num_entries": len(entries),
        "head_sha256": entries[-1].sha256 if entries else None,
        "problems": problems,
    }


def _problem_of(context: Context, request_id: str, seq: int) -> str | None:
    try:
        read_request(context.store, context.spec.name, request_id)
    except TandemError as error:
        return f"Decision {seq}: {error}"
    return None
