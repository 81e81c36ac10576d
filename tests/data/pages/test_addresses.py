from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.data.pages.addresses import report_path, report_url
from pipelines.spec.environment import AirflowSettings
from tests.conftest import environment_at


def test_a_report_has_a_path_under_its_models_dag() -> None:
    name = "quality/" + "a1" * 32 + ".html"
    assert report_path(f"flight_delay/reports/{name}") == f"/tandem/reports/train__flight_delay/{name}"


@pytest.mark.parametrize(
    "key",
    [
        "flight_delay/ledger/00000001.json",
        "flight_delay/reports/quality/../../ledger/x.html",
        "flight_delay/reports/quality/short.html",
        "",
    ],
)
def test_nothing_but_a_report_has_a_path(key: str) -> None:
    assert report_path(key) == ""


def test_a_report_is_found_where_airflow_listens_or_is_said_to_be(tmp_path: Path) -> None:
    here = environment_at(tmp_path)
    elsewhere = here.model_copy(update={"airflow": AirflowSettings(web_url="https://airflow.example/")})
    key = "m/reports/monitoring/" + "a1" * 32 + ".html"
    assert report_url(here, key) == f"http://127.0.0.1:8080{report_path(key)}"
    assert report_url(elsewhere, key) == f"https://airflow.example{report_path(key)}"
    assert report_url(here, "m/reports/nothing") == ""
