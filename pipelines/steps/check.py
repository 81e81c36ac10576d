"""Check every spec together with what its names point to: Great Expectations' vocabulary, and Python code."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.data.quality.suite import ExpectationProblem, expectation_problems
from pipelines.errors import Problem
from pipelines.spec import ModelSpec
from pipelines.spec.check import check as check_files
from pipelines.spec.document import Path


@dataclass(frozen=True)
class _Complaint:
    path: Path
    found: str
    allowed: str


def check(models: Sequence[str] | None = None) -> list[Problem]:
    """Return every problem of the named models, or of all files in config/; none when all is well."""
    return check_files(models, hooks=(_source_code, _expectations))


def _expectations(spec: ModelSpec) -> Iterator[ExpectationProblem]:
    yield from expectation_problems(spec.quality)


def _source_code(spec: ModelSpec) -> Iterator[_Complaint]:
    if spec.source.type != "python":
        return
    module, _, function = spec.source.callable.partition(":")
    path: Path = ("source", "callable")
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        yield _Complaint(path, repr(spec.source.callable), f"a module that can be imported; there is no {module!r}")
    elif not callable(getattr(importlib.import_module(module), function, None)):
        yield _Complaint(path, repr(spec.source.callable), f"a function of {module!r}; it has none named {function!r}")
