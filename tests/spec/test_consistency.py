"""Values that are right alone and contradict each other are named, each with what would be right."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pipelines.spec import ClassicSpec
from pipelines.spec.consistency import inconsistencies
from pipelines.spec.document import dotted
from pipelines.spec.training import METRICS_BY_TASK

RIGHT: dict[str, Any] = {
    "kind": "classic",
    "name": "tiny",
    "description": "Tells y from x.",
    "source": {
        "type": "files",
        "paths": ["rows.csv"],
        "format": "csv",
        "time_column": "at",
        "key_columns": ["id"],
    },
    "quality": {"expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "region"}}]},
    "holdout": {"by": "time", "last_days": 7},
    "training": {
        "task": "binary",
        "target": "y",
        "features": ["x", "z"],
        "leak_columns": ["paid"],
        "budget": {"trials": 10},
    },
    "gates": {"rules": [{"metric": "roc_auc", "minimum": 0.6}]},
}


def found(**changes: Any) -> list[tuple[str, str, str]]:
    """Return what is wrong with the right spec after sections' keys were changed; None takes a key away."""
    value = copy.deepcopy(RIGHT)
    for section, keys in changes.items():
        section_value = value.setdefault(section, {})
        for key, new in keys.items():
            if new is None:
                del section_value[key]
            else:
                section_value[key] = new
    problems = inconsistencies(ClassicSpec.model_validate(value))
    return [(dotted(problem.path), problem.found, problem.allowed) for problem in problems]


def test_a_right_spec_has_no_inconsistency() -> None:
    assert found() == []


BEFORE_THE_ANSWER = "columns known before the answer is"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"training": {"features": ["x", "paid"]}},
            ("training.features[1]", "'paid', which is among training.leak_columns", BEFORE_THE_ANSWER),
        ),
        ({"training": {"features": ["y"]}}, ("training.features[0]", "'y', the target", BEFORE_THE_ANSWER)),
        ({"training": {"features": ["x", "x"]}}, ("training.features[1]", "'x' a second time", "each column once")),
        (
            {"source": {"key_columns": ["id", "id"]}},
            ("source.key_columns[1]", "'id' a second time", "each column once"),
        ),
        ({"gates": {"slices": ["x", "x"]}}, ("gates.slices[1]", "'x' a second time", "each column once")),
        (
            {"holdout": {"last_days": None}},
            ("holdout.last_days", "nothing", "a value, since a holdout by time needs 'last_days'"),
        ),
        (
            {"holdout": {"share": 0.2}},
            ("holdout.share", "0.2", "nothing, since a holdout by time has no 'share'"),
        ),
        ({"holdout": {"salt": "s"}}, ("holdout.salt", "'s'", "nothing, since a holdout by time has no 'salt'")),
        (
            {"holdout": {"by": "key", "last_days": None}},
            ("holdout.share", "nothing", "a value, since a holdout by key needs 'share'"),
        ),
        (
            {"holdout": {"by": "key", "share": 0.2}},
            ("holdout.last_days", "7", "nothing, since a holdout by key has no 'last_days'"),
        ),
        (
            {"holdout": {"by": "key", "share": 0.2, "last_days": None}, "source": {"key_columns": None}},
            ("holdout.by", "'key'", "'time', or give 'source.key_columns'"),
        ),
        (
            {"training": {"metric": "roc"}},
            (
                "training.metric",
                "'roc'",
                "did you mean 'roc_auc'? One of: roc_auc, average_precision, log_loss, brier, accuracy, f1, precision, "
                "recall",
            ),
        ),
        (
            {
                "training": {"task": "regression", "calibrate": True},
                "gates": {"rules": [{"metric": "r2", "minimum": 0}]},
            },
            ("training.calibrate", "true", "false: a regression has no probabilities to calibrate"),
        ),
        ({"training": {"workers": 11}}, ("training.workers", "11", "at most the budget of 10 trials")),
        (
            {"training": {"budget": {"seconds": 60}, "max_fit_seconds": 61}},
            ("training.max_fit_seconds", "61", "at most the budget of 60 seconds"),
        ),
        (
            {"gates": {"rules": [{"metric": "rmse", "maximum": 1}]}},
            (
                "gates.rules[0].metric",
                "'rmse'",
                "one of: roc_auc, average_precision, log_loss, brier, accuracy, f1, precision, recall",
            ),
        ),
        (
            {"gates": {"rules": [{"metric": "roc_auc", "minimum": 0.9, "maximum": 0.8}]}},
            ("gates.rules[0].minimum", "0.9", "at most the maximum, 0.8"),
        ),
        (
            {"gates": {"rules": [{"metric": "recall", "minimum": 80}]}},
            ("gates.rules[0].minimum", "80", "at most 1: recall cannot be higher"),
        ),
        (
            {"gates": {"rules": [{"metric": "log_loss", "maximum": -0.1}]}},
            ("gates.rules[0].maximum", "-0.1", "at least 0: log_loss cannot be lower"),
        ),
        (
            {"gates": {"slices": ["y"]}},
            ("gates.slices[0]", "'y', the target", "a column that is known before the answer is"),
        ),
        (
            {"gates": {"slices": ["regoin"]}},
            (
                "gates.slices[0]",
                "'regoin'",
                "did you mean 'region'? One of: at, id, x, z, region; an expectation on a column makes it known",
            ),
        ),
        (
            {"gates": {"rules": [{"metric": "roc_auc", "no_worse_than_champion_by": 0.1}]}},
            (
                "gates.rules",
                "only rules against the champion or on slices",
                "a minimum or maximum on all rows: the first model has no champion to be held to",
            ),
        ),
        (
            {"schedule": {"data_start": "2013-02-30"}},
            ("schedule.data_start", "'2013-02-30'", "ISO 8601, such as 2013-01-01 or 2013-01-01T06:00:00"),
        ),
        (
            {"schedule": {"data_start": "2013-02-01", "data_end": "2013-02-01"}},
            ("schedule.data_end", "'2013-02-01'", "later than '2013-02-01'"),
        ),
        (
            {"schedule": {"data_start": "2013-02-01T00:00:00Z", "data_end": "2013-01-01"}},
            ("schedule.data_end", "'2013-01-01'", "later than '2013-02-01T00:00:00Z'"),
        ),
        (
            {"schedule": {"cron": "61 * * * *"}},
            ("schedule.cron", "'61 * * * *'", "a cron expression, such as '0 6 * * 1' for Mondays at 06:00 UTC"),
        ),
        (
            {"schedule": {"cron": "weekly"}},
            (
                "schedule.cron",
                "'weekly'",
                "5 fields: minute, hour, day of month, month, day of week; such as '0 6 * * 1'",
            ),
        ),
        (
            {"scoring": {"cron": "weekly"}},
            (
                "scoring.cron",
                "'weekly'",
                "5 fields: minute, hour, day of month, month, day of week; such as '0 6 * * 1'",
            ),
        ),
        (
            {"monitoring": {"performance": {"metric": "roc_acu"}}},
            (
                "monitoring.performance.metric",
                "'roc_acu'",
                "did you mean 'roc_auc'? One of: " + ", ".join(METRICS_BY_TASK["binary"]),
            ),
        ),
        (
            {"monitoring": {"anomalies": {"resting_days": ["saturday", "sunday"]}}},
            ("monitoring.anomalies.resting_days", "saturday, sunday", "none, or 'day' as 'source.partition_by'"),
        ),
        (
            {"monitoring": {"drift": {"columns": ["x", "xx"]}}},
            ("monitoring.drift.columns[1]", "'xx'", "did you mean 'x'? One of: at, id, y, x, z"),
        ),
        (
            {"monitoring": {"drift": {"embedder": {"path": "/models/small"}}}},
            (
                "monitoring.drift.embedder",
                "a model",
                "nothing: only what a language model is asked is read by one",
            ),
        ),
        (
            {"retraining": {"weekly_gpu_hours": 5}},
            ("retraining.weekly_gpu_hours", "a bound", "nothing: only a fine-tuning takes GPUs"),
        ),
    ],
)
def test_a_contradiction_is_told_with_what_would_be_right(changes: dict, expected: tuple[str, str, str]) -> None:
    assert found(**changes) == [expected]


def test_without_a_time_column_nothing_may_go_by_time() -> None:
    changes = {"source": {"time_column": None}, "training": {"folds": "time"}, "schedule": {"data_start": "2013-01-01"}}
    changes |= {"scoring": {"window_days": 7}}
    assert [key for key, _, _ in found(**changes)] == [
        "scoring.window_days",
        "schedule.data_start",
        "source.partition_by",
        "holdout.by",
        "training.folds",
    ]


@pytest.mark.parametrize("cron", ["0 6 * * 1", "*/5 * * * *", "@daily", "0 0 1 jan *"])
def test_cron_expressions_that_airflow_takes_are_right(cron: str) -> None:
    assert found(schedule={"cron": cron}) == []


@pytest.mark.parametrize("column", ["x", "id", "at", "region"])
def test_features_keys_the_time_column_and_columns_with_an_expectation_can_be_slices(column: str) -> None:
    assert found(gates={"slices": [column]}) == []


def test_all_contradictions_are_told_at_once() -> None:
    problems = found(
        training={"features": ["y", "paid"], "metric": "rmse"}, holdout={"by": "key"}, schedule={"cron": "x"}
    )
    assert len(problems) == 6
