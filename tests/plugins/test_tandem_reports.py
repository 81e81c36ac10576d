from __future__ import annotations

import pytest
from tandem_reports import HEADERS, report_path


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


def test_a_report_can_run_no_script_in_airflows_origin() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "script" not in policy
