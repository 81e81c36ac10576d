from __future__ import annotations

from tandem_reports import HEADERS


def test_a_report_can_run_no_script_in_airflows_origin() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "script" not in policy
