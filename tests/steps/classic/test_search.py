from __future__ import annotations

import logging
from typing import Any

import pytest

from pipelines.records import RunRequest
from pipelines.spec.environment import MlflowSettings
from pipelines.steps.classic.plan import plan
from pipelines.steps.classic.search import search
from pipelines.steps.context import Context


def test_a_search_goes_on_without_mlflow_and_says_so(
    workshop: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_FIT_JOBS", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    context = workshop.context
    planned = plan(context, workshop.snapshot, RunRequest(budget_trials=2))
    nowhere = MlflowSettings(tracking_uri="http://127.0.0.1:9", artifact_root="file:///nowhere")
    gone = Context(context.spec, context.environment.model_copy(update={"mlflow": nowhere}), context.store)
    share = search(gone, planned, 0)
    assert share.num_trials == 2
    assert len(list(context.store.list(f"{planned.search_key}/results/"))) == 2
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("MLflow does not answer" in line and "The search goes on" in line for line in warnings)
    assert "2 trials are not shown in MLflow" in warnings[-1]


def test_a_search_that_is_done_is_not_done_again(workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_FIT_JOBS", "1")
    planned = plan(workshop.context, workshop.snapshot, RunRequest(budget_trials=2))
    assert search(workshop.context, planned, 0).num_trials == 2
    assert search(workshop.context, planned, 0).num_trials == 0
