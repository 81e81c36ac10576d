"""The command that asks for a training, as an event from outside would."""

from __future__ import annotations

import argparse
from typing import Any

from pipelines.cli.console import open_console
from pipelines.errors import UsageError
from pipelines.spec import load_environment

WORDS = {
    "start": "A training run was made.",
    "fold": "The request goes into a run that was made before and has not begun.",
    "known": "This was asked before: the same evidence, or on one day the same words.",
    "none": "No training run was made.",
}


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `request` to the command line."""
    request = commands.add_parser("request", parents=[shared], help="ask the running Airflow to train a model again")
    request.add_argument("model", metavar="MODEL")
    request.add_argument("--reason", required=True, metavar="TEXT", help="why; kept with the request and its run")
    request.add_argument("--evidence", metavar="JSON", help="what it rests on: equal evidence is one wish")
    request.add_argument("--key", metavar="K", help="a name of this wish, so that it is one however often it is sent")
    request.set_defaults(run=run_request, show=show_request)


def run_request(options: argparse.Namespace) -> dict[str, Any]:
    """Send the request, and return what came of it."""
    from pipelines.local.airflow_api import AirflowApi
    from pipelines.local.settings import login
    from pipelines.monitoring.events import read_json

    evidence = read_json(options.evidence.encode()) if options.evidence else {}
    if not isinstance(evidence, dict):
        raise UsageError(f"--evidence: found {options.evidence[:80]!r}; allowed: a JSON object. Nothing was asked.")
    event = {"model": options.model, "reason": "person", "note": options.reason, "evidence": evidence}
    with AirflowApi(*login(load_environment())) as api:
        (answer,) = api.send_event(event, options.key)["requests"]
    return dict(answer)


def show_request(answer: dict[str, Any]) -> None:
    """Say what came of the request, and where to look."""
    console = open_console()
    console.print(f"[bold]{answer['model']}[/]: {WORDS[answer['outcome']]}", markup=True)
    for reason in answer["reasons"]:
        console.print(f"  {reason}", markup=False)
    if answer["run_id"]:
        console.print(f"  run {answer['run_id']}, not before {answer['run_after'] or 'now'}", markup=False)
        console.print(f"  {answer['links']['run']}", markup=False)
