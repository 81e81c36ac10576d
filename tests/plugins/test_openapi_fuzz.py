"""Whatever is sent to the application under /tandem, by its own description or against it, no answer is a fault."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.plugins.conftest import Airflow

pytestmark = pytest.mark.usefixtures("airflow_variables")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


OPERATIONS = [("/events", "POST"), ("/events/requests/{model}/{request_id}", "GET")]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_one_that_is_described(
    path: str, method: str, mode: GenerationMode, app: Any, airflow: Airflow
) -> None:
    description = schemathesis.openapi.from_asgi("/openapi.json", app)
    headers = {"Authorization": f"Bearer {airflow.token('user')}"}

    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=description[path][method].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if isinstance(case.body, dict) and "model" in case.body and len(str(case.body)) % 2:
            case.body["model"] = "daily"  # else hardly one event would be of a model that there is
        case.validate_response(case.call(headers=headers), checks=CHECKS)

    ask()


def test_every_operation_is_asked(app: Any) -> None:
    described = {(path, method.upper()) for path, methods in app.openapi()["paths"].items() for method in methods}
    assert described == set(OPERATIONS)
