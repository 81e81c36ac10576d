"""Whatever stands in a file, reading it gives a spec or a `SpecError`, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.errors import SpecError
from pipelines.spec import load_environment, load_model, project_root

TEXT = (project_root() / "config" / "models" / "flight_delay.yaml").read_text()
VALUE = yaml.safe_load(TEXT)
QUICK = settings(
    max_examples=80, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.sampled_from(["time", "key", "late", "roc_auc", "nan", "2013-01-01", "", "~", "[", "origin", "x:y"]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def paths(value: Any, path: tuple = ()) -> list[tuple]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    return [path, *(found for key, inner in children for found in paths(inner, (*path, key)))]


def replaced(value: Any, path: tuple, new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def read(project, data: bytes) -> None:
    """Load a file with these bytes; only a spec or a `SpecError` with a place for each problem may come of it."""
    project.path("models/flight_delay.yaml").write_bytes(data)
    spec, problems = attempted(lambda: load_model("flight_delay"))
    assert problems if spec is None else len(spec.sha256) == 64
    assert all(problem.file and problem.key and problem.found and problem.allowed for problem in problems)


def attempted(load):
    """Return what was loaded and no problems, or None and the problems."""
    try:
        return load(), []
    except SpecError as error:
        return None, error.problems


@QUICK
@given(data=st.data(), new=values)
def test_any_value_in_any_place_gives_a_spec_or_a_spec_error(project, data, new) -> None:
    path = data.draw(st.sampled_from(paths(VALUE)))
    text = yaml.safe_dump(replaced(VALUE, path, new), allow_unicode=True)
    read(project, text.encode(errors="surrogatepass"))


@QUICK
@given(data=st.data())
def test_any_cut_or_changed_text_gives_a_spec_or_a_spec_error(project, data) -> None:
    start = data.draw(st.integers(0, len(TEXT)))
    length = data.draw(st.integers(0, 40))
    new = data.draw(st.text(st.sampled_from("\t\n :-[]{}&*!|>'\"%@`#?,ae1.~\x00\u2028é"), max_size=6))
    read(project, (TEXT[:start] + new + TEXT[start + length :]).encode())


@QUICK
@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_spec_error(project, data) -> None:
    read(project, data)


@QUICK
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30))
@pytest.mark.parametrize("name", ["TANDEM_STORE__URI", "TANDEM_AIRFLOW__PORT", "TANDEM_ENVIRONMENT"])
def test_any_text_in_a_variable_gives_an_environment_or_a_spec_error(project, name, text) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, text)
        environment, problems = attempted(load_environment)
    assert (environment is None) == bool(problems)
