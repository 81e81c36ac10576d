"""Read the YAML files in config/ into frozen models.

A good file is read in one quick pass, since every parse of the DAGs reads all of them; lines are looked up only to
complain.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import ValidationError

from pipelines.errors import Problem, SpecError
from pipelines.spec.complaints import problems_of, shown
from pipelines.spec.consistency import inconsistencies
from pipelines.spec.document import Document, dotted, read_document
from pipelines.spec.environment import Environment
from pipelines.spec.model import KINDS, ModelSpec
from pipelines.spec.nearest import choices, nearest
from pipelines.spec.overrides import PREFIX, applied, read_overrides
from pipelines.spec.repair import repaired

_NAME = re.compile(r"[A-Za-z0-9_-]+")


def project_root() -> Path:
    """Return the folder that holds config/: TANDEM_ROOT, or the checkout that this package was installed from."""
    return Path(os.environ.get("TANDEM_ROOT") or Path(__file__).resolve().parents[2])


def model_names() -> list[str]:
    """Return the names of all model specs, sorted."""
    return _names("models")


def environment_names() -> list[str]:
    """Return the names of all environments, sorted."""
    return _names("environments")


def load_model(name: str) -> ModelSpec:
    """Return the spec in config/models/<name>.yaml.

    Raises:
        SpecError: With every problem in the file: of its YAML, of its keys and values, or of one value with another.
    """
    spec, _document = read_model(name)
    return spec


def read_model(name: str) -> tuple[ModelSpec, Document]:
    """Return the spec in config/models/<name>.yaml and the document, to find lines in. Raises `SpecError`."""
    document = _read("models", name)
    kind = _kind(document)
    try:
        spec = kind.model_validate(document.value)
    except ValidationError as error:
        problems = problems_of(error, kind, document)
        problems += _inconsistencies_beside(error, kind, document, {problem.key for problem in problems})
        raise SpecError(_with_name(problems, name, document)) from error
    problems = [document.problem(*inconsistency) for inconsistency in inconsistencies(spec)]
    if problems := _with_name(problems, name, document):
        raise SpecError(problems)
    return spec, document


def load_environment(name: str | None = None) -> Environment:
    """Return the environment in config/environments/<name>.yaml with the TANDEM_* variables set over it.

    Args:
        name: The environment; TANDEM_ENVIRONMENT where left out, and `local` where that is not set either.

    Raises:
        SpecError: With every problem in the file and in the variables.
    """
    name = name or os.environ.get("TANDEM_ENVIRONMENT") or "local"
    home = Path(os.environ.get("TANDEM_HOME") or project_root() / "var").resolve()
    document = _read("environments", name)
    overrides, problems = read_overrides(os.environ)
    if "home" in document.value:
        problems.append(document.problem(("home",), shown(document.value["home"]), "nothing: TANDEM_HOME says it"))
    value = _with_home({**applied(document.value, overrides), "home": str(home)}, str(home))
    try:
        environment = Environment.model_validate(value)
    except ValidationError as error:
        in_file = problems_of(error, Environment, Document(document.file, value, document.text))
        keys = {dotted(path): PREFIX + "__".join(map(str, path)).upper() for path in overrides}
        problems += [_in_variable(problem, keys) for problem in in_file]
        raise SpecError(_with_name(problems, name, document)) from error
    if problems := _with_name(problems, name, document):
        raise SpecError(problems)
    return environment


def _names(folder: str) -> list[str]:
    return sorted(path.stem for path in (project_root() / "config" / folder).glob("*.yaml"))


def _read(folder: str, name: str) -> Document:
    file = f"config/{folder}/{name}.yaml"
    try:
        if not _NAME.fullmatch(name):
            raise FileNotFoundError(file)
        data = (project_root() / file).read_bytes()
    except FileNotFoundError:
        problem = Problem(file, None, "(file)", "no such file", choices(name, _names(folder)))
        raise SpecError([problem]) from None
    except OSError as error:
        raise SpecError([Problem(file, None, "(file)", str(error.strerror), "a file that can be read")]) from error
    return read_document(file, data)


def _kind(document: Document) -> type[ModelSpec]:
    """Return the spec of the kind that a file names, or surely means: validation then complains of the spelling.

    Raises `SpecError` where it names none: which keys the rest may have is not known then.
    """
    found = document.value.get("kind")
    if isinstance(found, str) and (match := found if found in KINDS else nearest(found, KINDS)):
        return KINDS[match]
    raise SpecError([document.problem(("kind",), shown(found), choices(str(found), list(KINDS)))])


def _inconsistencies_beside(
    error: ValidationError, kind: type[ModelSpec], document: Document, known: set[str]
) -> list[Problem]:
    """Return the contradictions that the file would still hold with its misspelt words put right."""
    try:
        spec = kind.model_validate(repaired(error, kind, document.value))
    except ValidationError:
        return []
    problems = [document.problem(*inconsistency) for inconsistency in inconsistencies(spec)]
    return [problem for problem in problems if problem.key not in known]


def _with_name(problems: list[Problem], name: str, document: Document) -> list[Problem]:
    found = document.value.get("name")
    if not isinstance(found, str) or found == name or any(problem.key == "name" for problem in problems):
        return _by_line(problems)
    return _by_line([document.problem(("name",), shown(found), f"{name!r}, the file's own name"), *problems])


def _by_line(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: problem.line or 0)


def _with_home(value: dict[str, object], home: str) -> dict[str, object]:
    def filled(item: object) -> object:
        if isinstance(item, dict):
            return {key: filled(inner) for key, inner in item.items()}
        return item.replace("{home}", home) if isinstance(item, str) else item

    return {key: filled(item) for key, item in value.items()}


def _in_variable(problem: Problem, variables: dict[str, str]) -> Problem:
    name = variables.get(problem.key)
    return problem if name is None else Problem("environment variables", None, name, problem.found, problem.allowed)
