"""What asks for a retraining, and what only warns."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.monitoring.reasons import deciding_metric, find_reason, request_for
from pipelines.records import ColumnDrift, MonitoringReport, PerformanceValue
from pipelines.spec import ClassicSpec, ModelSpec, load_model
from pipelines.spec.gates import GateRule
from pipelines.spec.watching import Drift, KOfN, Monitoring, Performance, Retraining

CHAMPION = "a" * 64


def spec(
    reasons: tuple[str, ...] = ("performance",), needed: int = 2, windows: int = 3, minimum_new_rows: int = 100
) -> ClassicSpec:
    flights = load_model("flight_delay")
    assert isinstance(flights, ClassicSpec)
    k_of_n = KOfN(needed=needed, windows=windows)
    watched = Monitoring(drift=Drift(persistence=k_of_n), performance=Performance(metric="roc_auc", persistence=k_of_n))
    retraining = Retraining(reasons=reasons, minimum_new_rows=minimum_new_rows)
    return flights.model_copy(update={"monitoring": watched, "retraining": retraining})


def report(name: str, dropped: bool = False, drifted: float = 0.0, **changes: Any) -> MonitoringReport:
    """Return a report of a window: `drifted` is the weight of the column that has drifted for long."""

    def value(source: Any, bad: bool) -> PerformanceValue:
        return PerformanceValue(
            metric="roc_auc", source=source, value=0.6, low=0.58, high=0.62, reference=0.7, num_rows=900, dropped=bad
        )

    column = ColumnDrift(
        column="temperature", measure="ks", distance=0.3, psi=0.4, p_value=0.0, q_value=0.0, null_share=0.0,
        reference_null_share=0.0, drifted=drifted > 0, persistent=drifted > 0, weight=drifted, num_rows=900,
        num_reference_rows=9000,
    )  # fmt: skip
    values: dict[str, Any] = {
        "model": "flight_delay", "window_name": name, "as_of": "2013-05-01T00:00:00+00:00", "inputs_sha256": name,
        "champion_version": 1, "champion_ledger_sha256": CHAMPION, "reference": "all training rows", "num_rows": 900,
        "num_labelled": 900, "num_new_labelled_rows": 900, "columns": (column,),
        "performance": (value("measured", dropped),), "estimates": (value("estimated", False),),
    }  # fmt: skip
    return MonitoringReport(**(values | changes))


def ruled(model: str, *metrics: str) -> ModelSpec:
    found = load_model(model)
    rules = tuple(GateRule(metric=metric, minimum=0.0) for metric in metrics)
    gates = found.gates.model_copy(update={"rules": rules})
    return found.model_copy(update={"gates": gates, "monitoring": Monitoring()})


def test_the_metric_that_decides_is_the_gates_first_that_labels_can_tell_of() -> None:
    assert deciding_metric(ruled("flight_delay", "brier", "roc_auc")) == "brier"
    assert deciding_metric(ruled("python_helper", "toxicity", "general_accuracy", "token_f1")) == "token_f1"
    assert deciding_metric(ruled("python_helper", "toxicity")) == "answer_loss"  # which every evaluation measures
    assert deciding_metric(spec()) == "roc_auc"  # the spec's own


def test_a_drop_that_lasts_asks_for_a_retraining_and_says_from_where_to_where() -> None:
    found = find_reason([report("2013-04", dropped=True), report("2013-05", dropped=True)], spec(), CHAMPION)
    assert found.reason == "performance"
    assert found.sentences == (
        "measured roc_auc is 0.600 against 0.700 at its promotion, dropped in 2 of the last 2 windows",
    )


@pytest.mark.parametrize("history", [[True], [False, True], [True, True, False], [True, False, False, True]])
def test_a_drop_that_does_not_last_or_is_over_asks_for_nothing(history: list[bool]) -> None:
    reports = [report(f"2013-{number:02}", dropped=dropped) for number, dropped in enumerate(history, 1)]
    assert find_reason(reports, spec(), CHAMPION).reason is None


def test_drift_alone_warns() -> None:
    found = find_reason([report("2013-04", drifted=0.6)], spec(), CHAMPION)
    assert found.reason is None
    assert "temperature drifted in 2 of 3 windows and hold 60% of what the champion relies on, which only warns" in (
        found.sentences
    )


def test_drift_asks_where_the_spec_says_so_and_only_of_columns_that_matter() -> None:
    wanted = spec(reasons=("performance", "drift"))
    assert find_reason([report("2013-04", drifted=0.6)], wanted, CHAMPION).reason == "drift"
    assert find_reason([report("2013-04", drifted=0.05)], wanted, CHAMPION).reason is None


def test_what_another_version_did_says_nothing_of_the_champion() -> None:
    other = report("2013-04", dropped=True, champion_ledger_sha256="b" * 64)
    assert find_reason([other, report("2013-05", dropped=True)], spec(), CHAMPION).reason is None
    found = find_reason([report("2013-04"), other], spec(), CHAMPION)
    assert found.sentences == ("window 2013-04 was scored by a version that serves no more",)


def test_too_few_new_labels_hold_a_retraining_back() -> None:
    found = find_reason([report("2013-05", dropped=True)], spec(needed=1, minimum_new_rows=901), CHAMPION)
    assert found.reason is None
    assert found.sentences[-1] == ("but only 900 labelled rows are new, and retraining.minimum_new_rows asks for 901")


def test_without_labels_the_estimate_decides_where_the_spec_says_so() -> None:
    worse = report("2013-05").estimates[0].model_copy(update={"dropped": True})
    history = [report("2013-05", estimates=(worse,), performance=())]
    assert find_reason(history, spec(reasons=("estimate",), needed=1), CHAMPION).reason == "performance"
    assert find_reason(history, spec(reasons=("performance",), needed=1), CHAMPION).reason is None


def test_the_same_findings_make_the_same_request_whoever_asks() -> None:
    history = [report("2013-05", dropped=True)]
    found = find_reason(history, spec(needed=1), CHAMPION)
    first, second = (request_for(found, history, CHAMPION, by) for by in ("scheduled", "maria"))
    later = request_for(found, [report("2013-06", dropped=True)], CHAMPION, "scheduled")
    assert first.id == second.id
    assert later.id != first.id


def test_a_replays_request_is_neither_the_real_one_nor_that_of_another_replay() -> None:
    history = [report("2013-05", dropped=True)]
    found = find_reason(history, spec(needed=1), CHAMPION)
    ids = {request_for(found, history, CHAMPION, "scheduled", replay).id for replay in (None, "r1", "r2")}
    assert len(ids) == 3


def test_nothing_monitored_is_no_reason() -> None:
    assert find_reason([], spec(), CHAMPION).sentences == ("no window was monitored yet",)
