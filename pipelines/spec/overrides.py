"""Read TANDEM_* variables: each sets one value of the environment, so that a container needs no file of its own.

`TANDEM_STORE__URI` sets `store.uri`: two underscores are a dot. A file never refers to variables, so that one look at
the variables tells what differs from the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from pipelines.errors import Problem
from pipelines.spec.document import Path
from pipelines.spec.environment import Environment
from pipelines.spec.nearest import nearest

PREFIX = "TANDEM_"
_KUBERNETES = re.compile(r"TANDEM(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_KUBERNETES_PORT = re.compile(r"(tcp|udp|sctp)://")  # the value of <SERVICE>_PORT
PLAIN = frozenset(
    {
        "TANDEM_HOME",
        "TANDEM_ROOT",
        "TANDEM_ENVIRONMENT",
        "TANDEM_BENCH_DIR",
        "TANDEM_BENCH_PYTHON",
        "TANDEM_FIT_JOBS",
        "TANDEM_TEST_EXAMPLES",
        "TANDEM_TEST_POINTS",
        "TANDEM_CODE_COMMIT",
        "TANDEM_EVENTS_SECRET",
        "TANDEM_EVENTS_QUEUE",
        "TANDEM_AIRFLOW_USER",
        "TANDEM_AIRFLOW_PASSWORD",
    }
)
"""Variables with a meaning of their own, which set no value of the environment."""


def allowed_overrides() -> dict[str, Path]:
    """Return every variable that sets a value of the environment, and the path of that value.

    >>> allowed_overrides()["TANDEM_AIRFLOW__PORT"]
    ('airflow', 'port')
    """
    return {
        PREFIX + "__".join(path).upper(): path for path in _paths(Environment) if path not in {("home",), ("name",)}
    }


def read_overrides(variables: Mapping[str, str]) -> tuple[dict[Path, str], list[Problem]]:
    """Return the values that TANDEM_* variables set, by path, and a problem for each one that sets nothing."""
    allowed = allowed_overrides()
    found: dict[Path, str] = {}
    problems: list[Problem] = []
    for name in sorted(
        name for name, text in variables.items() if name.startswith(PREFIX) and not _is_foreign(name, text)
    ):
        if name in allowed:
            found[allowed[name]] = variables[name]
            continue
        match = nearest(name, [*allowed, *PLAIN])
        every = ", ".join(sorted([*allowed, *PLAIN]))
        advice = f"one of: {every}" if match is None else f"did you mean {match}? One of: {every}"
        problems.append(Problem("environment variables", None, name, "an unknown variable", advice))
    return found, problems


def applied(value: dict[str, Any], overrides: Mapping[Path, str]) -> dict[str, Any]:
    """Return `value` with the overrides in their places; a section that is no mapping is left for validation."""
    result = dict(value)
    for path, text in overrides.items():
        section, key = path[0], path[-1]
        if len(path) == 1:
            result[str(key)] = text
        elif isinstance(inner := result.get(str(section), {}), dict):
            result[str(section)] = {**inner, str(key): text}
    return result


def _is_foreign(name: str, text: str) -> bool:
    """Tell what is no override: our plain variables, and those that Kubernetes makes for a service named tandem-..."""
    return name in PLAIN or bool(_KUBERNETES.fullmatch(name)) or bool(_KUBERNETES_PORT.match(text))


def _paths(model: type[BaseModel]) -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        inner = _paths(kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else [()]
        paths.extend((name, *rest) for rest in inner)
    return paths
