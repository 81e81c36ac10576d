"""Check every file in config/ at once, and gather all problems instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from pipelines.errors import Problem, SpecError
from pipelines.spec.document import Path
from pipelines.spec.load import environment_names, load_environment, model_names, project_root, read_model
from pipelines.spec.model import ModelSpec


class Complaint(Protocol):
    """Something wrong with one value of a spec; `path` leads to it from the root of the file."""

    @property
    def path(self) -> Path:
        """The way to the value."""

    @property
    def found(self) -> str:
        """What is there."""

    @property
    def allowed(self) -> str:
        """What may be there."""


Hook = Callable[[ModelSpec], Iterable[Complaint]]
"""A check that needs more than the spec, such as Great Expectations' vocabulary or the code that a name points to."""


def check(names: Sequence[str] | None = None, hooks: Sequence[Hook] = ()) -> list[Problem]:
    """Return every problem of the named models and of the environment in use; none when all is well.

    Args:
        names: Models; where left out, all of them, every environment, and files that would silently be left out.
        hooks: Further checks, made on specs that are otherwise right.
    """
    problems: list[Problem] = []
    for name in model_names() if names is None else names:
        problems += _problems_of_model(name, hooks)
    if names is None:
        problems += _overlooked_files()
    for environment in environment_names() if names is None else [None]:
        problems += _problems_of_environment(environment)
    return list(dict.fromkeys(problems))


def _problems_of_model(name: str, hooks: Sequence[Hook]) -> list[Problem]:
    try:
        spec, document = read_model(name)
    except SpecError as error:
        return error.problems
    complaints = (complaint for hook in hooks for complaint in hook(spec))
    return [document.problem(complaint.path, complaint.found, complaint.allowed) for complaint in complaints]


def _problems_of_environment(name: str | None) -> list[Problem]:
    try:
        load_environment(name)
    except SpecError as error:
        return error.problems
    return []


def _overlooked_files() -> list[Problem]:
    folder = project_root() / "config" / "models"
    others = sorted(path.name for path in folder.glob("*") if path.suffix != ".yaml" and not path.name.startswith("."))
    problems = [
        Problem(f"config/models/{name}", None, "(file)", "a file that is not read", "<model>.yaml") for name in others
    ]
    if not model_names():
        problems.append(Problem("config/models", None, "(folder)", "no model spec", "at least one <model>.yaml"))
    return problems
