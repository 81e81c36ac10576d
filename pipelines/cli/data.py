"""Commands that check specs and run training without Airflow."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from typing import Any

from pipelines.cli.summary import print_summary
from pipelines.errors import SpecError, UsageError
from pipelines.records import RunRequest, Window
from pipelines.spec import load_model, model_names


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `check`, `run` and `step` to the command line."""
    check = commands.add_parser("check", parents=[shared], help="check model specs and every name in them")
    check.add_argument("models", nargs="*", metavar="MODEL", help="all models where left out")
    check.set_defaults(run=run_check, show=show_check)

    run = commands.add_parser("run", parents=[shared], help="train, judge and promote one model, without Airflow")
    run.add_argument("model", metavar="MODEL")
    run.add_argument("--start", metavar="DATE", help="first day of the data; the spec's where left out")
    run.add_argument("--end", metavar="DATE", help="first day after the data; the spec's where left out")
    budget = run.add_mutually_exclusive_group()
    budget.add_argument("--seconds", type=float, help="wall-clock time for the search")
    budget.add_argument("--trials", type=int, help="number of trials for the search: the same on every machine")
    run.add_argument("--note", default="", help="why; kept with the run")
    run.set_defaults(run=run_training, show=print_summary)

    step = commands.add_parser("step", parents=[shared], help="run one step on JSON records read from stdin")
    step.add_argument("step", metavar="STEP")
    step.add_argument("model", metavar="MODEL")
    step.set_defaults(run=run_one_step, show=lambda record: print(json.dumps(record, indent=2)))


def run_check(options: argparse.Namespace) -> dict[str, Any]:
    """Check the specs; raises `SpecError` with every problem found."""
    from pipelines.steps.check import check

    problems = check(options.models or None)
    if problems:
        raise SpecError(problems)
    return {"models": options.models or model_names(), "problems": []}


def show_check(answer: dict[str, Any]) -> None:
    """Say that all is well."""
    print(f"{len(answer['models'])} model spec(s) and the environment are well formed: {', '.join(answer['models'])}")


def run_training(options: argparse.Namespace) -> dict[str, Any]:
    """Run every step of one training here and now."""
    from pipelines.steps.loop import run_training as run

    schedule = load_model(options.model).schedule
    window = Window(start=options.start or schedule.data_start, end=options.end or schedule.data_end)
    request = RunRequest(
        window=window,
        budget_seconds=options.seconds,
        budget_trials=options.trials,
        note=options.note,
        by=getpass.getuser(),
    )
    return run(options.model, request)


def run_one_step(options: argparse.Namespace) -> Any:
    """Run one step on the JSON list of records on stdin, as a container of an orchestrator would."""
    from pipelines.steps.run import ROLLBACK_STEPS, SCORING_STEPS, TRAINING_STEPS, run_step

    steps = tuple(dict.fromkeys([*TRAINING_STEPS[load_model(options.model).kind], *SCORING_STEPS, *ROLLBACK_STEPS]))
    if options.step not in steps:
        raise UsageError(f"Step {options.step!r} is unknown; allowed: {', '.join(steps)}. Nothing was run.")
    try:
        records = json.load(sys.stdin)
    except ValueError as error:
        raise UsageError(f"stdin is not a JSON list of records: {error}. Nothing was run.") from error
    if not isinstance(records, list):
        raise UsageError(f"stdin holds {type(records).__name__} where step {options.step} wants a list of records.")
    return run_step(options.step, options.model, *records)
