"""Run one step by its name, with plain JSON in and plain JSON out, the way an orchestrator calls it."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from pipelines.errors import UsageError
from pipelines.records import Record
from pipelines.steps.context import Context
from pipelines.steps.headlines import headline

LOG = logging.getLogger(__name__)

TRAINING_STEPS = (
    "ingest",
    "validate",
    "snapshot",
    "plan",
    "search",
    "train",
    "evaluate",
    "gate",
    "register",
    "promote",
)
"""The steps of one training run, in order; each is a module here and its one public function."""


def step_function(name: str) -> Callable[..., Record]:
    """Return the public function of a step; its libraries are imported only now."""
    function: Callable[..., Record] = getattr(importlib.import_module(f"pipelines.steps.{name}"), name)
    return function


def run_step(name: str, model: str, *arguments: Any) -> Any:
    """Run one step of a model on records given as plain JSON values, and return its record as one."""
    return run_step_in(Context.open(model), name, *arguments)


def run_step_in(context: Context, name: str, *arguments: Any) -> Any:
    """Run one step in surroundings that are open already."""
    function = step_function(name)
    hints = {key: hint for key, hint in get_type_hints(function).items() if key not in {"context", "return"}}
    if len(arguments) != len(hints):
        raise UsageError(
            f"Step {name} takes {len(hints)} record(s) ({', '.join(hints)}); found {len(arguments)}. Nothing was run."
        )
    records = [_to_record(name, key, hints[key], value) for key, value in zip(hints, arguments, strict=True)]
    left = function(context, *records)
    LOG.info("%s: %s", name, headline(left))
    return left.to_dict()


def _to_record(step: str, name: str, hint: Any, value: Any) -> Any:
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        raise UsageError(f"Step {step} cannot read its record '{name}': {error}. Nothing was run.") from error
