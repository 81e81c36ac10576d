"""The environment's file and the TANDEM_* variables over it."""

from __future__ import annotations

import pytest

from pipelines.spec import load_environment


def told(problems) -> list[tuple[str, str, str]]:
    return [(problem.key, problem.found, problem.allowed) for problem in problems]


def test_the_local_environment_keeps_all_state_under_var(project) -> None:
    environment = load_environment()
    assert environment.home == project.root / "var"
    assert environment.store.uri == f"file://{project.root}/var/store"
    assert environment.mlflow.tracking_uri == f"sqlite:///{project.root}/var/mlflow/mlflow.db"


def test_tandem_home_moves_all_state(project, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path / "elsewhere"))
    assert load_environment().store.uri == f"file://{tmp_path}/elsewhere/store"


def test_tandem_environment_chooses_the_file(project, monkeypatch) -> None:
    monkeypatch.setenv("TANDEM_ENVIRONMENT", "production")
    environment = load_environment()
    assert environment.name == "production"
    assert environment.store.uri.startswith("s3://")


def test_variables_set_single_values_over_the_file(project, monkeypatch) -> None:
    monkeypatch.setenv("TANDEM_STORE__URI", "file://{home}/objects")
    monkeypatch.setenv("TANDEM_STORE__S3_ENDPOINT_URL", "http://127.0.0.1:8333")
    monkeypatch.setenv("TANDEM_AIRFLOW__PORT", "9000")
    environment = load_environment()
    assert environment.store.uri == f"file://{project.root}/var/objects"
    assert environment.store.s3_endpoint_url == "http://127.0.0.1:8333"
    assert environment.airflow.port == 9000
    assert environment.airflow.host == "127.0.0.1"


def test_an_unknown_variable_offers_its_nearest_match(project, monkeypatch) -> None:
    monkeypatch.setenv("TANDEM_STORE__URL", "s3://bucket")
    monkeypatch.setenv("TANDEM_HOMES", "/x")
    problems = project.environment_problems()
    assert [(problem.file, problem.line, problem.key) for problem in problems] == [
        ("environment variables", None, "TANDEM_HOMES"),
        ("environment variables", None, "TANDEM_STORE__URL"),
    ]
    assert "did you mean TANDEM_HOME?" in problems[0].allowed
    assert "did you mean TANDEM_STORE__URI?" in problems[1].allowed


def test_a_bad_value_in_a_variable_is_told_by_the_variables_name(project, monkeypatch) -> None:
    monkeypatch.setenv("TANDEM_AIRFLOW__PORT", "http")
    assert told(project.environment_problems()) == [("TANDEM_AIRFLOW__PORT", "'http'", "a whole number")]


def test_problems_of_variables_and_of_the_file_come_at_once(project, monkeypatch) -> None:
    monkeypatch.setenv("TANDEM_AIRFLOW__PORTS", "1")
    project.change(("port: 5000", "port: 99999"), file="environments/local.yaml")
    assert [problem.key for problem in project.environment_problems()] == ["TANDEM_AIRFLOW__PORTS", "mlflow.port"]


def test_the_variables_that_kubernetes_makes_for_a_service_are_let_be(project, monkeypatch) -> None:
    made = {
        "TANDEM_SERVICE_HOST": "10.0.0.1",
        "TANDEM_MLFLOW_SERVICE_PORT_HTTP": "5000",
        "TANDEM_MLFLOW_PORT": "tcp://10.0.0.1:5000",
        "TANDEM_MLFLOW_PORT_5000_TCP_ADDR": "10.0.0.1",
    }
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    assert load_environment().mlflow.port == 5000


def test_a_single_underscore_is_not_taken_for_the_two_that_make_a_dot(project, monkeypatch) -> None:
    monkeypatch.setenv("TANDEM_MLFLOW_PORT", "5001")
    (problem,) = project.environment_problems()
    assert "did you mean TANDEM_MLFLOW__PORT?" in problem.allowed


def test_the_home_folder_stands_in_no_file(project) -> None:
    project.change(("name: local", "name: local\nhome: /srv"), file="environments/local.yaml")
    assert told(project.environment_problems()) == [("home", "'/srv'", "nothing: TANDEM_HOME says it")]


def test_a_reference_to_a_variable_is_no_value(project) -> None:
    project.change(("uri: file://{home}/store", "uri: ${STORE_URI}"), file="environments/local.yaml")
    assert [problem.key for problem in project.environment_problems()] == ["store.uri"]


def test_an_unknown_environment_is_told_the_known_ones(project, monkeypatch) -> None:
    monkeypatch.setenv("TANDEM_ENVIRONMENT", "prodution")
    (problem,) = project.environment_problems()
    assert (problem.file, problem.found) == ("config/environments/prodution.yaml", "no such file")
    assert problem.allowed == "did you mean 'production'? One of: local, production"


def test_credentials_in_a_bad_uri_are_not_shown(project, monkeypatch) -> None:
    monkeypatch.setenv("TANDEM_MLFLOW__TRACKING_URI", "postgres://me:hunter2@host/db")
    (problem,) = project.environment_problems()
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize("section", ["store: here", "store: [1]", "airflow: 5"])
def test_a_section_that_is_no_mapping_is_told_also_under_a_variable(project, monkeypatch, section: str) -> None:
    monkeypatch.setenv("TANDEM_STORE__URI", "memory://")
    monkeypatch.setenv("TANDEM_AIRFLOW__PORT", "1")
    text = project.path("environments/local.yaml").read_text()
    project.path("environments/local.yaml").write_text(
        text.replace("store:\n  uri: file://{home}/store", section)
        if section.startswith("store")
        else text[: text.index("airflow:")] + section
    )
    (problem,) = project.environment_problems()
    assert problem.key == section.split(":")[0]
    assert problem.allowed.startswith("a mapping of ")


def test_variables_that_other_code_reads_are_no_unknown_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TANDEM_FIT_JOBS", "TANDEM_TEST_EXAMPLES", "TANDEM_TEST_POINTS", "TANDEM_CODE_COMMIT"):
        monkeypatch.setenv(name, "1")
    assert load_environment().name == "local"
