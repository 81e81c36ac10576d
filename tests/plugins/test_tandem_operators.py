from __future__ import annotations

import importlib
import sys
import warnings
from types import ModuleType

import pytest
from tandem_operators import PromoteOperator, StepOperator


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


@pytest.mark.parametrize(
    ("answer", "by"),
    [(None, "monitoring"), ({"responded_by_user": {"name": "grace"}}, "grace")],
)
def test_a_version_is_promoted_in_the_name_of_who_approved_or_of_who_asked_for_the_run(
    answer: object, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote = PromoteOperator(
        task_id="promote", model="flight_delay", records=[{"version": 1}], begun={"by": "monitoring"}, answer=answer
    )
    monkeypatch.setattr(promote, "run", lambda *records: list(records))
    assert promote.execute({}) == [{"version": 1}, by]
