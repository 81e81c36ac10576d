"""Tell where a stored report is shown: on Airflow's own web server, to those who may read the model's DAG."""

from __future__ import annotations

import re

from pipelines.spec.environment import Environment

PREFIX = "/tandem"
REPORT_KEY = re.compile(r"(?P<model>[a-z][a-z0-9_]*)/reports/(?P<path>[a-z]+/[0-9a-f]{64}\.html)")


def report_path(key: str) -> str:
    """Return the path on Airflow's web server under which the report with this store key is shown.

    >>> report_path("flight_delay/reports/quality/" + 64 * "a" + ".html")[:45]
    '/tandem/reports/train__flight_delay/quality/a'
    """
    match = REPORT_KEY.fullmatch(key)
    return f"{PREFIX}/reports/train__{match['model']}/{match['path']}" if match else ""


def report_url(environment: Environment, key: str) -> str:
    """Return the address of the report with this store key, as a browser finds it; nothing for another key."""
    path = report_path(key)
    airflow = environment.airflow
    base = airflow.web_url or f"http://{airflow.host}:{airflow.port}"
    return f"{base.rstrip('/')}{path}" if path else ""
