"""How a version does, in MLflow: shown once, window by window, and found from the version's page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipelines.errors import RegistryError
from pipelines.records import Anomaly, MonitoringReport, PerformanceValue
from pipelines.registry.connection import connect
from pipelines.registry.monitored import PAGE_TAG, show_monitored
from pipelines.spec.environment import Environment

PAGE, ADDRESS = "<p>page</p>", "http://127.0.0.1:8080/tandem/reports/train__m/monitoring/a.html"
DAYS_TO_APRIL, DAYS_TO_MAY = 15796, 15826  # of 2013, from 1970


def _report(name: str, version: int = 1, value: float | None = 0.7, as_of: str = "2013-06-01") -> MonitoringReport:
    measured = PerformanceValue(
        metric="roc_auc", source="measured", value=value, low=None, high=None, reference=0.7, num_rows=9, dropped=False
    )
    return MonitoringReport(
        model="m", window_name=name, as_of=f"{as_of}T00:00:00+00:00", inputs_sha256="1", champion_version=version,
        champion_ledger_sha256="2", reference="training", num_rows=9, num_labelled=9, num_new_labelled_rows=9,
        performance=(measured,),
        anomalies=(Anomaly(kind="volume", severity="warning", column=None, message="few"),),
    )  # fmt: skip


@pytest.fixture
def version_of(environment: Environment) -> Callable[[int], str]:
    """Make versions up to a number, each with a run of its own, and return the last one's run."""
    client = connect(environment)
    client.create_registered_model("m")
    experiment_id = client.create_experiment("m", artifact_location=environment.mlflow.artifact_root)

    def make(number: int) -> str:
        for _ in range(number):
            run_id = client.create_run(experiment_id).info.run_id
            client.create_model_version("m", source="file:///nowhere", run_id=run_id, await_creation_for=0)
        return str(run_id)

    return make


def _points(client: MlflowClient, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, f"monitoring/{name}")]


def test_figures_stand_at_the_day_on_which_their_window_begins(
    environment: Environment, version_of: Callable[[int], str]
) -> None:
    run_id = version_of(1)
    show_monitored(environment, [_report("2013-04"), _report("2013-05-01--2013-05-09", value=0.6)], PAGE, ADDRESS)
    client = connect(environment)
    assert _points(client, run_id, "roc_auc measured") == [(DAYS_TO_APRIL, 0.7), (DAYS_TO_MAY, 0.6)]
    assert _points(client, run_id, "alarms") == [(DAYS_TO_APRIL, 1.0), (DAYS_TO_MAY, 1.0)]


def test_showing_it_again_adds_nothing_and_what_is_known_later_stands_beside_it(
    environment: Environment, version_of: Callable[[int], str]
) -> None:
    run_id = version_of(1)
    first = _report("2013-04", value=None)
    for _ in range(2):
        show_monitored(environment, [first], PAGE, ADDRESS)
    for _ in range(2):
        show_monitored(environment, [first, _report("2013-04", as_of="2013-07-01")], "<p>later</p>", ADDRESS)
    client = connect(environment)
    assert _points(client, run_id, "roc_auc measured") == [(DAYS_TO_APRIL, 0.7)]
    assert len(_points(client, run_id, "drifted columns")) == 2
    (artifact,) = client.list_artifacts(run_id, "monitoring")
    assert Path(client.download_artifacts(run_id, artifact.path)).read_text() == "<p>later</p>"


def test_run_and_version_lead_to_the_page(environment: Environment, version_of: Callable[[int], str]) -> None:
    run_id = version_of(2)
    show_monitored(environment, [_report("2013-04", 1), _report("2013-05", 2)], PAGE, ADDRESS)
    client = connect(environment)
    assert client.get_run(run_id).data.tags[PAGE_TAG] == ADDRESS
    assert client.get_model_version("m", "2").tags[PAGE_TAG] == ADDRESS
    assert PAGE_TAG not in client.get_model_version("m", "1").tags
    assert _points(client, run_id, "roc_auc measured") == [(DAYS_TO_MAY, 0.7)]


def test_a_window_that_names_no_day_stands_at_that_of_its_report(
    environment: Environment, version_of: Callable[[int], str]
) -> None:
    run_id = version_of(1)
    show_monitored(environment, [_report("upload 7/<b>", as_of="2013-05-01")], PAGE, ADDRESS)
    show_monitored(environment, [_report("9999-99", as_of="2013-05-01")], PAGE, ADDRESS)
    assert {step for step, _ in _points(connect(environment), run_id, "alarms")} == {DAYS_TO_MAY}


def test_a_version_that_mlflow_has_not_is_an_error_that_says_what_was_kept(environment: Environment) -> None:
    with pytest.raises(RegistryError, match="what was monitored is stored"):
        show_monitored(environment, [_report("2013-04")], PAGE, ADDRESS)
