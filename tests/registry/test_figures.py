"""Names of figures that MLflow takes and a reader finds."""

from __future__ import annotations

import pytest
from mlflow.utils.validation import _validate_metric_name

from pipelines.records import Evaluation, MetricValue, PairedDifference
from pipelines.registry.figures import flat_metrics


def _evaluation(slice_name: str, value: float | None = 0.25) -> Evaluation:
    figures = {"metric": "brier", "value": value, "num_rows": 9}
    overall = {**figures, "slice": "all", "low": 0.125, "high": 0.5}
    return Evaluation(
        model="m", candidate_sha256="c", candidate_model_sha256="d", champion_version=1, champion_ledger_sha256="e",
        champion_saw_holdout=None, snapshot_id="a", holdout_sha256="b", num_rows=9,
        metrics=(MetricValue(**overall), MetricValue(**figures, slice=slice_name, low=None, high=None)),
        champion_metrics=(MetricValue(**overall),), differences=(PairedDifference(**overall),),
    )  # fmt: skip


def test_sections_tell_challenger_champion_slices_and_differences_apart() -> None:
    assert flat_metrics(_evaluation("origin=JFK")) == {
        "holdout/brier": 0.25,
        "holdout/brier_low": 0.125,
        "holdout/brier_high": 0.5,
        "holdout by origin/brier JFK": 0.25,
        "champion/brier": 0.25,
        "champion/brier_low": 0.125,
        "champion/brier_high": 0.5,
        "challenger minus champion/brier": 0.25,
        "challenger minus champion/brier_low": 0.125,
        "challenger minus champion/brier_high": 0.5,
    }


@pytest.mark.parametrize(
    "slice_name", ["a=b/c", "a=../x", "größe=sehr groß", "a==", "a=" + "x" * 500, "p%=(missing)", "a=\n"]
)
def test_any_slice_gets_a_name_that_mlflow_takes(slice_name: str) -> None:
    for name in flat_metrics(_evaluation(slice_name)):
        _validate_metric_name(name)
        assert len(name) <= 250


def test_what_was_not_measured_is_not_shown_as_a_number() -> None:
    assert flat_metrics(_evaluation("a=b", value=None)) == {}
