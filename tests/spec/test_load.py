"""A model's file becomes a frozen spec, or every problem in it is named with line, key, found and allowed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from pipelines.errors import SpecError
from pipelines.spec import ClassicSpec, Environment, LlmSpec, load_model, model_names


def told(problems) -> list[tuple[str, str, str]]:
    return [(problem.key, problem.found, problem.allowed) for problem in problems]


def line_of(project, text: str, file: str = "models/flight_delay.yaml") -> int:
    lines = project.path(file).read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_every_shipped_spec_is_right() -> None:
    assert "flight_delay" in model_names()
    assert [load_model(name).name for name in model_names()] == model_names()


def test_a_spec_cannot_be_changed_once_read(project) -> None:
    with pytest.raises(ValidationError):
        load_model("flight_delay").name = "other"


def test_the_hash_of_a_spec_follows_what_it_says_and_not_how_it_is_written(project) -> None:
    before = load_model("flight_delay").sha256
    project.change(("tags: [flights, demo]", "tags:   ['flights', demo]  # two words"))
    assert load_model("flight_delay").sha256 == before
    project.change(("tags:   ['flights', demo]", "tags: [flights]"))
    assert load_model("flight_delay").sha256 != before


def test_an_unquoted_date_stays_the_text_it_is(project) -> None:
    project.change(("schedule:\n", "schedule:\n  cron: 0 6 * * 1\n"))
    schedule = load_model("flight_delay").schedule
    assert (schedule.data_start, schedule.cron) == ("2013-01-01", "0 6 * * 1")


def test_a_misspelt_key_is_one_problem_and_offers_its_nearest_match(project) -> None:
    (problem,) = project.model_problems(("  features:", "  featurs:"))
    assert (problem.file, problem.key, problem.found) == (
        "config/models/flight_delay.yaml",
        "training.featurs",
        "unknown key 'featurs'",
    )
    assert problem.line == line_of(project, "featurs:")
    assert problem.allowed.startswith("did you mean 'features'? One of: task, target, features")


def test_a_misspelt_word_offers_its_nearest_match(project) -> None:
    (problem,) = project.model_problems(("task: binary", "task: binry"))
    assert (problem.key, problem.found) == ("training.task", "'binry'")
    assert problem.allowed == "did you mean 'binary'? One of: binary, multiclass, regression"


def test_a_misspelt_kind_of_source_offers_its_nearest_match(project) -> None:
    (problem,) = project.model_problems(("type: python", "type: pyhton"))
    assert told([problem]) == [("source.type", "'pyhton'", "did you mean 'python'? One of: files, sql, python")]


def test_a_source_without_a_kind_is_told_the_kinds(project) -> None:
    assert told(project.model_problems(("  type: python\n", ""))) == [
        ("source.type", "nothing", "one of: files, python, sql")
    ]


@pytest.mark.parametrize("kind", ["[]", "{}", "3", "[files]"])
def test_a_kind_that_is_no_word_is_told(project, kind: str) -> None:
    (problem,) = project.model_problems(("type: python", f"type: {kind}"))
    assert problem.key == "source.type"
    assert problem.allowed.lower().endswith("one of: files, sql, python")


def test_problems_within_a_kind_of_source_name_keys_of_that_kind(project) -> None:
    problems = told(project.model_problems(("  callable:", "  calable:")))
    assert [(key, found) for key, found, _ in problems] == [("source.calable", "unknown key 'calable'")]
    assert "did you mean 'callable'?" in problems[0][2]


def test_values_of_a_wrong_type_are_told_in_plain_words(project) -> None:
    problems = project.model_problems(
        ("tags: [flights, demo]", "tags: flights"),
        ("calibrate: true", "calibrate: maybe"),
        ("owner: airline-operations", "owner: [a]"),
        ("max_quarantined_share: 0.05", "max_quarantined_share: many"),
        ("holdout:\n  by: time\n  last_days: 14", "holdout: 14"),
    )
    assert told(problems) == [
        ("owner", "a list of 1", "text"),
        ("tags", "'flights'", "a list"),
        ("quality.max_quarantined_share", "'many'", "a number"),
        ("holdout", "14", "a mapping of by, last_days, share, salt"),
        ("training.calibrate", "'maybe'", "true or false"),
    ]


def test_bounds_are_kept_and_told(project) -> None:
    problems = project.model_problems(
        ("max_quarantined_share: 0.05", "max_quarantined_share: 5"),
        ("budget: {seconds: 90}", "budget: {seconds: .inf}"),
        ("  calibrate: true", "  workers: 0"),
    )
    assert told(problems) == [
        ("quality.max_quarantined_share", "5", "less than or equal to 1"),
        ("training.budget.seconds", "'.inf'", "a number"),
        ("training.workers", "0", "greater than or equal to 1"),
    ]


def test_infinity_and_nan_are_no_numbers_wherever_they_stand(project) -> None:
    problems = project.model_problems(
        ("minimum: 0.62", "minimum: nan"), ("calibrate: true", "max_fit_seconds: Infinity")
    )
    assert [(problem.key, problem.allowed) for problem in problems] == [
        ("training.max_fit_seconds", "a finite number"),
        ("gates.rules[0].minimum", "a finite number"),
    ]


def test_a_missing_section_is_told_with_what_it_holds(project) -> None:
    text = project.path("models/flight_delay.yaml").read_text()
    project.path("models/flight_delay.yaml").write_text(text[: text.index("gates:")])
    assert told(project.model_problems()) == [
        ("gates", "nothing", "a mapping of rules, minimum_rows, minimum_slice_rows, bootstrap_samples, slices")
    ]


def test_a_budget_is_either_time_or_trials(project) -> None:
    (problem,) = project.model_problems(("{seconds: 90}", "{seconds: 90, trials: 5}"))
    assert (problem.key, problem.found) == ("training.budget", "a mapping with seconds, trials")
    assert problem.allowed == "give exactly one of 'seconds' and 'trials'"


def test_problems_come_all_at_once_in_the_order_of_lines_also_contradictions(project) -> None:
    problems = project.model_problems(
        ("kind: classic", "kind: clasic"),
        ("  features:", "  featurs:"),
        ("    - carrier\n", "    - carrier\n    - late\n"),
        ("metric: roc_auc", "metric: roc_auk"),
    )
    assert {problem.key for problem in problems} == {
        "kind",
        "training.featurs",
        "training.features[1]",
        "training.metric",
    }
    assert [problem.line for problem in problems] == sorted(problem.line for problem in problems)


def test_the_file_must_have_the_models_name(project) -> None:
    project.path("models/flight_delay.yaml").rename(project.path("models/flights.yaml"))
    (problem,) = project.model_problems(name="flights")
    assert told([problem]) == [("name", "'flight_delay'", "'flights', the file's own name")]
    assert problem.line == line_of(project, "name: flight_delay", "models/flights.yaml")


def test_an_unknown_model_offers_its_nearest_match(project) -> None:
    with pytest.raises(SpecError) as caught:
        load_model("flight_dely")
    assert told(caught.value.problems) == [
        ("(file)", "no such file", "did you mean 'flight_delay'? One of: flight_delay")
    ]


@pytest.mark.parametrize("name", ["../environments/local", "/etc/passwd", "", "a\x00b", "models/flight_delay"])
def test_a_name_that_leads_out_of_the_folder_is_no_model(project, name: str) -> None:
    with pytest.raises(SpecError, match="no such file"):
        load_model(name)


def test_a_folder_in_the_place_of_a_file_is_told(project) -> None:
    project.path("models/folder.yaml").mkdir()
    with pytest.raises(SpecError, match="a file that can be read"):
        load_model("folder")


def test_a_secret_in_a_url_is_never_shown(project) -> None:
    problems = project.model_problems(
        ("type: python", "type: sql\n  query: select 1\n  url_env: postgresql://me:hunter2@host/db"),
        ("  callable: pipelines.data.sources.flights:read_flights\n", ""),
    )
    assert [problem.key for problem in problems] == ["source.url_env"]
    assert "hunter2" not in str(problems[0])
    assert "secrets stay out of files" in problems[0].allowed


def test_reading_a_spec_loads_no_heavy_library() -> None:
    code = "import sys; from pipelines.spec import load_model; load_model('flight_delay'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"numpy", "pandas", "pyarrow", "duckdb", "sklearn", "mlflow", "great_expectations", "airflow", "torch"}
    assert heavy.isdisjoint(loaded)


@pytest.mark.parametrize("model", [ClassicSpec, LlmSpec, Environment])
def test_every_field_says_what_it_is_for(model: type[BaseModel]) -> None:
    assert [name for name, description in _descriptions(model.model_json_schema()) if not description] == []


def _descriptions(schema: dict) -> Iterator[tuple[str, str | None]]:
    for name, section in {"(root)": schema, **schema.get("$defs", {})}.items():
        yield name, section.get("description")
        for key, field in section["properties"].items():
            yield f"{name}.{key}", field.get("description", field.get("$ref"))  # a section says it itself
