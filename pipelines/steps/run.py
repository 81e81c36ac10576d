"""Run one step by its name, with plain JSON in and plain JSON out, the way an orchestrator calls it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, get_args, get_origin, get_type_hints

from pipelines.records import Record
from pipelines.steps.context import Context

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
    hints = [hint for key, hint in get_type_hints(function).items() if key != "return"]
    records = [_to_record(hint, value) for hint, value in zip(hints[1:], arguments, strict=True)]
    return function(context, *records).to_dict()


def _to_record(hint: Any, value: Any) -> Any:
    if get_origin(hint) is not None and issubclass(get_origin(hint), Sequence):
        return [_to_record(get_args(hint)[0], item) for item in value]
    return hint.from_dict(value) if isinstance(hint, type) and issubclass(hint, Record) else value
