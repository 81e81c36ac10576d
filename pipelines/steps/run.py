"""Run one step by its name, with plain JSON in and plain JSON out, the way an orchestrator calls it."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Iterable
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from pipelines.errors import UsageError
from pipelines.records import Record
from pipelines.steps.context import Context
from pipelines.steps.headlines import headline
from pipelines.steps.scratch import scratch_folder

LOG = logging.getLogger(__name__)

_JUDGING = ("evaluate", "gate", "register", "promote")
TRAINING_STEPS: dict[str, tuple[str, ...]] = {
    "classic": ("begin", "ingest", "validate", "snapshot", "plan", "search", "train", *_JUDGING),
    "llm": ("begin", "ingest", "prepare", "validate", "snapshot", "pack", "plan", "train", *_JUDGING),
}
"""The steps of one training run, in order, by kind; each is a module of its name and its one public function."""

SCORING_STEPS = ("appoint", "ingest", "score", "collect")
"""The steps of one scoring run, in order, of either kind."""

MONITORING_STEPS = ("monitor", "decide")
"""The steps of one monitoring run, in order, of either kind."""

ROLLBACK_STEPS = ("find_champion", "roll_back")
"""The steps of one rollback, in order, of either kind."""


def step_function(name: str, kind: str) -> Callable[..., Record]:
    """Return the public function of a step, a kind's own where it has one; its libraries are imported only now."""
    own = f"pipelines.steps.{kind}.{name}"
    module = own if importlib.util.find_spec(own) else f"pipelines.steps.{name}"
    function: Callable[..., Record] = getattr(importlib.import_module(module), name)
    return function


def import_steps(kinds: Iterable[str]) -> None:
    """Import all steps of some kinds of models, so that processes forked later need not."""
    for kind in sorted(kinds):
        for name in dict.fromkeys((*TRAINING_STEPS[kind], *SCORING_STEPS, *MONITORING_STEPS, *ROLLBACK_STEPS)):
            step_function(name, kind)


def run_step(name: str, model: str, *arguments: Any) -> Any:
    """Run one step of a model on records given as plain JSON values, and return its record as one."""
    return run_step_in(Context.open(model), name, *arguments)


def run_step_in(context: Context, name: str, *arguments: Any) -> Any:
    """Run one step in surroundings that are open already."""
    function = step_function(name, context.spec.kind)
    hints = {key: hint for key, hint in get_type_hints(function).items() if key not in {"context", "return"}}
    if len(arguments) != len(hints):
        raise UsageError(
            f"Step {name} takes {len(hints)} record(s) ({', '.join(hints)}); found {len(arguments)}. Nothing was run."
        )
    records = [_to_record(name, key, hints[key], value) for key, value in zip(hints, arguments, strict=True)]
    with scratch_folder():
        left = function(context, *records)
    LOG.info("%s: %s", name, headline(left))
    return left.to_dict()


def _to_record(step: str, name: str, hint: Any, value: Any) -> Any:
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        raise UsageError(f"Step {step} cannot read its record '{name}': {error}. Nothing was run.") from error
