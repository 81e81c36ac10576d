"""The sentence on top of the page: what was decided, why, and what else must be seen."""

from __future__ import annotations

import pytest

from pipelines.monitoring.headline import headline
from pipelines.records import Anomaly, MonitoringReport, PerformanceValue
from tests.monitoring.histories import decided, history, silent

HEALTHY = history(1)[0]


def _dropped(report: MonitoringReport) -> MonitoringReport:
    fell = PerformanceValue(
        metric="roc_auc", source="measured", value=0.65, low=0.64, high=0.66, reference=0.71, num_rows=9, dropped=True
    )
    return report.model_copy(update={"performance": (fell,)})


def _alarmed(report: MonitoringReport, *severities: str) -> MonitoringReport:
    found = tuple(
        Anomaly.model_validate({"kind": "k", "severity": one, "column": None, "message": "m"}) for one in severities
    )
    return report.model_copy(update={"anomalies": found})


@pytest.mark.parametrize(
    ("report", "outcome", "reasons", "kind", "sentence"),
    [
        (HEALTHY, "start", ("roc_auc fell",), "warning", "Retraining asked for: roc_auc fell."),
        (HEALTHY, "fold", ("b.",), "warning", "Retraining asked for, together with what was asked before: b."),
        (HEALTHY, "known", ("b",), "warning", "Retraining was asked for before: b."),
        (HEALTHY, "none", ("not dropped",), "passed", "Nothing to do: not dropped."),
        (_dropped(HEALTHY), "none", ("cooldown until May",), "warning", "No retraining: cooldown until May."),
        (_dropped(HEALTHY), "none", (), "warning",
         "No retraining: roc_auc measured 0.650 [0.640, 0.660], was 0.710."),
        (_dropped(HEALTHY), None, (), "warning",
         "Not decided yet: roc_auc measured 0.650 [0.640, 0.660], was 0.710."),
        (silent(), None, (), "warning",
         "Not decided yet: roc_auc of 2013-04 is not known, and no column drifts for long."),
        (_alarmed(HEALTHY, "critical", "warning", "warning", "info"), "none", ("not dropped",), "failed",
         "Nothing to do: not dropped. 1 critical alarm and 2 warning alarms in the newest window."),
        (_alarmed(HEALTHY, "info"), "none", ("not dropped",), "passed", "Nothing to do: not dropped."),
    ],
)  # fmt: skip
def test_the_sentence_says_what_was_decided_and_why(
    report: MonitoringReport, outcome: str | None, reasons: tuple[str, ...], kind: str, sentence: str
) -> None:
    found = headline(report, None if outcome is None else decided(outcome, *reasons), "roc_auc")
    assert (found.kind, found.sentence) == (kind, sentence)


def test_reasons_that_do_not_fit_into_the_sentence_follow_it() -> None:
    found = headline(HEALTHY, decided("start", "a", "b.", "c"), "roc_auc")
    assert found.reasons == ("b.", "c.")
