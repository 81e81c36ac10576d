"""The steps of one run in their order, without Airflow: what `tandem run`, `score` and `monitor` do."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from uuid import uuid4

from pipelines.records import Evaluation, RunRequest, Verdict, WindowRequest
from pipelines.spec import LlmSpec
from pipelines.steps.answers import read_answers
from pipelines.steps.context import Context
from pipelines.steps.run import run_step
from pipelines.store.verified import read_record


def run_training(model: str, request: RunRequest) -> dict[str, Any]:
    """Run every step of a training and return the record that each one left, by step.

    Args:
        model: Name of the model spec.
        request: Data window, budget, and who asks; without a run id it is given one of its own.

    Raises:
        Refused: If the quality of the data, the gate or the promotion says no.
        Fault: If something outside is broken; running again goes on from what is stored.
    """
    left: dict[str, Any] = {}

    def step(name: str, *records: Any) -> Any:
        left[name] = run_step(name, model, *records)
        return left[name]

    context = Context.open(model)
    step("reconcile")
    begun = step("begin", _named(request).to_dict())
    ingested = step("ingest", begun)
    if isinstance(context.spec, LlmSpec):
        snapshot = step("snapshot", step("validate", step("prepare", ingested)))
        candidate = step("train", step("plan", step("pack", snapshot), begun))
    else:
        plan = step("plan", step("snapshot", step("validate", ingested)), begun)
        left["search"] = _mapped("search", model, [plan], plan["workers"])
        candidate = step("train", plan, left["search"])
    judged = step("gate", candidate, step("evaluate", candidate))
    step("promote", step("register", judged), begun["by"])
    return left | read_outcome(context, left)


def run_scoring(model: str, request: WindowRequest) -> dict[str, Any]:
    """Run every step of a scoring and return the record that each one left, by step.

    Args:
        model: Name of the model spec.
        request: Window, the moment that the run is about, and who asks.

    Raises:
        ScoringRefused: If no version serves.
        Fault: If something outside is broken; running again goes on from what is stored.
    """
    asked = request.to_dict()
    appointed = run_step("appoint", model, asked)  # first: where nobody serves, no row need be read
    ingested = run_step("ingest", model, asked)
    shards = _mapped("score", model, [ingested, appointed], appointed["shards"])
    collected = run_step("collect", model, ingested, appointed, shards)
    return {"appoint": appointed, "ingest": ingested, "score": shards, "collect": collected}


def run_monitoring(model: str, request: WindowRequest) -> dict[str, Any]:
    """Make the reports of the windows that are asked for, decide, and return what both steps left.

    Raises:
        MonitoringRefused: If no version serves, or nothing was ever scored.
        Fault: If something outside is broken; running again goes on from what is stored.
    """
    monitored = run_step("monitor", model, request.to_dict())
    return {"monitor": monitored, "decide": run_step("decide", model, monitored)}


def _named(request: RunRequest) -> RunRequest:
    """Return the request with an id by which `begin` tells its run from all others."""
    return request if request.run_id else request.model_copy(update={"run_id": f"shell__{uuid4()}"})


def read_outcome(context: Context, left: dict[str, Any]) -> dict[str, Any]:
    """Return what the records of a finished run only name: its verdict, and a language model's answers."""
    verdict = read_record(context.store, left["gate"]["verdict_key"], Verdict, left["gate"]["verdict_sha256"])
    return {
        "verdict": verdict.to_dict(),
        "answers": read_answers(context.store, Evaluation.from_dict(left["evaluate"])),
    }


def _mapped(step: str, model: str, records: Sequence[Any], count: int) -> list[Any]:
    """Run a step that Airflow maps, once for each number below `count`, each in a process of its own."""
    if count == 1:
        return [run_step(step, model, *records, 0)]
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        return [each.result() for each in [pool.submit(run_step, step, model, *records, n) for n in range(count)]]
