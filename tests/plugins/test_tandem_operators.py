from __future__ import annotations

import importlib
import sys
import warnings
from types import ModuleType

import pytest
from tandem_operators import StepOperator


def test_a_step_does_not_fill_its_log_with_warnings_of_airflows_old_names(monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("airflow.utils.timezone")  # answers a question for an old name with a warning
    step = ModuleType("pipelines.steps.old_names")

    def old_names(context: object) -> object:
        getattr(sys.modules["airflow.utils.timezone"], "no_such_name", None)
        raise LookupError

    step.old_names = old_names
    monkeypatch.setitem(sys.modules, step.__name__, step)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(LookupError):
            StepOperator(task_id="old_names", model="flight_delay").run()
    assert [str(warning.message) for warning in caught if "airflow" in str(warning.message)] == []
