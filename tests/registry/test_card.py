from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.records import Candidate, Evaluation, MetricValue, PairedDifference, RuleResult, Verdict
from pipelines.registry.card import DataFacts, model_card
from pipelines.registry.evidence import Evidence
from pipelines.spec.model import ClassicSpec

DATA = DataFacts(
    source="type files, paths ['rows.csv']",
    window="from 2013-01-01 up to 2013-04-01",
    num_rows_in=82_000,
    num_rows_bad=2_050,
    num_rows_train=60_000,
    num_rows_holdout=19_950,
    holdout_rule="the last 14 days",
    num_checks=12,
    warnings=(),
)


@pytest.fixture
def spec() -> ClassicSpec:
    return ClassicSpec.model_validate(
        {
            "kind": "classic",
            "name": "tiny",
            "description": "Tells whether y follows from x.",
            "owner": "grace",
            "source": {"type": "files", "paths": ["rows.csv"], "format": "csv", "key_columns": ["id"]},
            "holdout": {"by": "key", "share": 0.5},
            "training": {
                "task": "binary",
                "target": "y",
                "features": ["x"],
                "leak_columns": ["z"],
                "budget": {"trials": 1},
            },
            "gates": {"rules": [{"metric": "roc_auc", "minimum": 0.5}], "minimum_slice_rows": 100},
        }
    )


@pytest.fixture
def evidence() -> Evidence:
    candidate = Candidate(
        model="tiny",
        snapshot_id="a" * 64,
        model_key="tiny/models/m/model.skops",
        model_sha256="b" * 64,
        training_key="tiny/models/m/schedule.json",
        mlflow_run_id="run-1",
        algorithm="boosting",
        validation_metric="cv roc_auc",
        validation_score=0.71234,
        num_trials=40,
        seconds=88.6,
        spec_sha256="c" * 64,
        code_commit="abc123",
        environment_sha256="d" * 64,
    )
    evaluation = Evaluation(
        model="tiny",
        candidate_sha256=candidate.sha256,
        candidate_model_sha256=candidate.model_sha256,
        champion_version=3,
        champion_ledger_sha256="e" * 64,
        champion_saw_holdout=None,
        snapshot_id="a" * 64,
        holdout_sha256="f" * 64,
        num_rows=19_950,
        metrics=(
            MetricValue(metric="roc_auc", slice="all", value=0.7, low=0.69, high=0.71, num_rows=19_950),
            MetricValue(metric="roc_auc", slice="origin=XXX", value=None, low=None, high=None, num_rows=40),
        ),
        champion_metrics=(),
        differences=(
            PairedDifference(metric="roc_auc", slice="all", value=0.01, low=0.005, high=0.015, num_rows=19_950),
        ),
    )
    verdict = Verdict(
        model="tiny",
        outcome="promote",
        results=(RuleResult(rule="roc_auc", outcome="promote", reason="roc_auc = 0.700, needs >= 0.500"),),
        candidate_sha256=candidate.sha256,
        champion_ledger_sha256="e" * 64,
        holdout_sha256="f" * 64,
        evaluation_sha256=evaluation.sha256,
        rules_sha256="9" * 64,
    )
    return Evidence(verdict, evaluation, candidate)


def test_a_card_says_what_a_reader_asks(spec: ClassicSpec, evidence: Evidence) -> None:
    card = model_card(spec, evidence, DATA)
    for text in (
        "Tells whether y follows from x.",
        "Owner: grace.",
        "| Rows in | 82,000 |",
        "| Quarantined | 2,050 (2.50%) |",
        "never used: z.",
        "boosting, found in 40 trials and 89 s",
        "| roc_auc | all | 0.7000 | 0.6900 to 0.7100 | 19,950 |",
        "| roc_auc | origin=XXX | not measured | unknown | 40 |",
        "(version 3)",
        "| roc_auc | all | +0.0100 | +0.0050 to +0.0150 | 19,950 |",
        "- promote: roc_auc = 0.700, needs >= 0.500",
        "Too small to be judged, fewer than 100 rows: origin=XXX (40 rows).",
        f"| Snapshot | `{'a' * 64}` |",
        "| Code | `abc123` |",
    ):
        assert text in card
    assert "$" not in card


def test_a_card_of_the_first_model_has_no_one_to_compare_with(spec: ClassicSpec, evidence: Evidence) -> None:
    first = evidence.evaluation.model_copy(update={"champion_version": None, "differences": ()})
    card = model_card(spec, replace(evidence, evaluation=first), DATA)
    assert "(none):\n\nThere was none to compare with." in card


def test_a_card_names_the_checks_that_warned(spec: ClassicSpec, evidence: Evidence) -> None:
    card = model_card(spec, evidence, replace(DATA, warnings=("mean of late",)))
    assert "| Quality | 12 checks; with warnings: mean of late |" in card


def test_a_dollar_in_the_spec_is_a_dollar_on_the_card(spec: ClassicSpec, evidence: Evidence) -> None:
    priced = spec.model_copy(update={"description": "Tells who pays $100 or ${more}."})
    assert "Tells who pays $100 or ${more}." in model_card(priced, evidence, DATA)
