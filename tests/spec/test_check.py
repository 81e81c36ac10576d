"""`check` names every problem in config/ at once."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.spec import ClassicSpec
from pipelines.spec.check import check
from pipelines.spec.document import Path


@dataclass
class Complaint:
    path: Path
    found: str
    allowed: str


def places(problems) -> list[tuple[str, str]]:
    return [(problem.file, problem.key) for problem in problems]


def test_what_is_shipped_is_right(project) -> None:
    assert check() == []


def test_problems_of_all_files_come_at_once(project) -> None:
    project.path("models/other.yaml").write_text("kind: classic\n")
    project.change(("task: binary", "task: binry"))
    project.change(("port: 5000", "port: 0"), file="environments/local.yaml")
    project.change(("uri: s3", "uri: s4"), file="environments/production.yaml")
    found = places(check())
    assert found[0] == ("config/models/flight_delay.yaml", "training.task")
    assert ("config/models/other.yaml", "source") in found
    assert found[-2:] == [
        ("config/environments/local.yaml", "mlflow.port"),
        ("config/environments/production.yaml", "store.uri"),
    ]


def test_named_models_are_checked_with_the_environment_in_use_alone(project) -> None:
    project.path("models/other.yaml").write_text("kind: classic\n")
    project.change(("port: 5000", "port: 0"), file="environments/production.yaml")
    assert check(["flight_delay"]) == []
    project.change(("port: 5000", "port: 0"), file="environments/local.yaml")
    assert places(check(["flight_delay"])) == [("config/environments/local.yaml", "mlflow.port")]


def test_a_bad_variable_is_told_once_however_many_environments_there_are(project, monkeypatch) -> None:
    monkeypatch.setenv("TANDEM_STORE__URL", "x")
    assert places(check()) == [("environment variables", "TANDEM_STORE__URL")]


def test_a_file_that_would_silently_be_left_out_is_told(project) -> None:
    project.path("models/churn.yml").write_text("kind: classic\n")
    assert places(check()) == [("config/models/churn.yml", "(file)")]


def test_a_project_without_models_is_told(project) -> None:
    project.path("models/flight_delay.yaml").unlink()
    assert places(check()) == [("config/models", "(folder)")]


def test_a_hook_adds_problems_with_their_lines(project) -> None:
    def hook(spec: ClassicSpec) -> list[Complaint]:
        return [Complaint(("quality", "expectations", 1, "type"), spec.quality.expectations[1].type, "another")]

    (problem,) = check(["flight_delay"], [hook])
    lines = project.path("models/flight_delay.yaml").read_text().splitlines()
    assert problem.key == "quality.expectations[1].type"
    assert problem.line is not None
    assert problem.found in lines[problem.line - 1]


def test_a_problem_is_printed_with_file_line_key_found_and_allowed(project) -> None:
    project.change(("task: binary", "task: binry"))
    (problem,) = check(["flight_delay"])
    assert str(problem) == (
        f"config/models/flight_delay.yaml:{problem.line}: training.task: found 'binry'; "
        "allowed: did you mean 'binary'? One of: binary, multiclass, regression"
    )
