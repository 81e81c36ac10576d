from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tandem_links import CorpusReportLink, MlflowRunLink, MonitoringReportLink, QualityReportLink, remember_report

from pipelines.errors import QualityFailed
from pipelines.registry.runs import find_or_create_run
from pipelines.spec import load_environment, load_model

REPORT = "flight_delay/reports/quality/" + "b2" * 32 + ".html"


class TaskInstance:
    """The part of Airflow's task instance that a link speaks to: XComs by task and key."""

    def __init__(self, task_id: str, xcoms: dict[tuple[str, str], Any]) -> None:
        self.task_id = task_id
        self.xcoms = xcoms

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.xcoms.get((task_ids, key))

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[self.task_id, key] = value


def test_the_mlflow_button_leads_to_the_planned_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path))
    run_id = find_or_create_run(load_environment(), load_model("flight_delay"), "plan-1")
    plan = {"mlflow_run_id": run_id}
    link = MlflowRunLink().get_link(None, ti_key=TaskInstance("gate", {("plan", "return_value"): plan}))
    assert link.startswith("http://127.0.0.1:5000/#/experiments/")
    assert link.endswith(f"/runs/{run_id}")


def test_the_mlflow_button_leads_nowhere_before_planning() -> None:
    assert MlflowRunLink().get_link(None, ti_key=TaskInstance("plan", {})) == ""


def test_the_report_button_works_when_the_data_passed() -> None:
    instance = TaskInstance("validate", {("validate", "return_value"): {"report_key": REPORT}})
    assert QualityReportLink().get_link(None, ti_key=instance).endswith("b2.html")


def test_the_corpus_button_leads_to_the_tasks_own_report() -> None:
    key = "helper/reports/corpus/" + "c3" * 32 + ".html"
    instance = TaskInstance("pack", {("pack", "return_value"): {"report_key": key}})
    assert (
        CorpusReportLink().get_link(None, ti_key=instance).endswith("/tandem/reports/train__helper/corpus/" + key[-69:])
    )


def test_the_report_button_works_when_the_data_failed() -> None:
    instance = TaskInstance("validate", {})
    error = QualityFailed("over budget")
    error.report_key = REPORT
    with pytest.raises(QualityFailed), remember_report(instance):
        raise error
    assert QualityReportLink().get_link(None, ti_key=instance).endswith("b2.html")


@pytest.mark.parametrize("task_id", ["monitor", "decide"])
def test_the_monitoring_button_leads_to_the_tasks_own_page(task_id: str) -> None:
    key = "m/reports/monitoring/" + "d4" * 32 + ".html"
    for xcoms in ({(task_id, "return_value"): {"report_key": key}}, {(task_id, "report_key"): key}):
        link = MonitoringReportLink().get_link(None, ti_key=TaskInstance(task_id, xcoms))
        assert link.endswith("/tandem/reports/train__m/monitoring/" + key[-69:])


def test_the_monitoring_button_of_a_decision_without_a_page_leads_to_what_it_rests_on() -> None:
    key = "m/reports/monitoring/" + "d4" * 32 + ".html"
    xcoms = {("decide", "return_value"): {"outcome": "none"}, ("monitor", "return_value"): {"report_key": key}}
    link = MonitoringReportLink().get_link(None, ti_key=TaskInstance("decide", xcoms))
    assert link.endswith(key[-69:])


def test_the_report_button_leads_nowhere_when_there_is_no_report() -> None:
    assert QualityReportLink().get_link(None, ti_key=TaskInstance("validate", {})) == ""
