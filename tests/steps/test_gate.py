"""The gate as a step: what it stores, shows, refuses, and says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import GateFailed, IntegrityError, ObjectMissing, RegistryError, UsageError
from pipelines.records import Candidate, Evaluation, MetricValue, PairedDifference, Verdict
from pipelines.registry.runs import connect, find_or_create_run
from pipelines.spec import ClassicSpec, Environment
from pipelines.steps.context import Context
from pipelines.steps.gate import gate
from pipelines.store.memory import MemoryStore
from pipelines.store.verified import read_record, write_record


def _spec(minimum: float = 0.62) -> ClassicSpec:
    return ClassicSpec.model_validate({
        "kind": "classic", "name": "toy", "description": "A toy.", "holdout": {"by": "key", "share": 0.5},
        "source": {"type": "files", "paths": ["*.csv"], "format": "csv", "key_columns": ["id"]},
        "training": {"task": "binary", "target": "y", "features": ["x"], "budget": {"trials": 1}},
        "gates": {
            "slices": ["origin"],
            "rules": [
                {"metric": "roc_auc", "minimum": minimum},
                {"metric": "roc_auc", "slice": "origin", "minimum": 0.55},
                {"metric": "roc_auc", "no_worse_than_champion_by": 0.005},
            ],
        },
    })  # fmt: skip


def _value(value: float | None, slice_name: str = "all") -> MetricValue:
    return MetricValue(metric="roc_auc", slice=slice_name, value=value, low=0.5, high=0.9, num_rows=1000)


class Gate:
    """A gate with a stored candidate and its MLflow run."""

    def __init__(self, environment: Environment) -> None:
        self.context = Context(_spec(), environment, MemoryStore())
        self.run_id = find_or_create_run(environment, self.context.spec, "plan")
        self.candidate = Candidate(
            model="toy", snapshot_id="5" * 64, model_key="toy/models/m/model.skops", model_sha256="d" * 64,
            training_key="toy/models/m/schedule.json", mlflow_run_id=self.run_id, algorithm="logistic",
            validation_metric="cv log_loss", validation_score=0.7,
            num_trials=3, seconds=1.0, spec_sha256="s" * 64, code_commit="c", environment_sha256="e" * 64,
        )  # fmt: skip
        write_record(self.context.store, "toy/candidates", self.candidate)

    def evidence(self, overall: float | None = 0.7, jfk: float | None = 0.66, **changes: Any) -> Evaluation:
        fields = {
            "model": "toy", "candidate_sha256": self.candidate.sha256, "candidate_model_sha256": "d" * 64,
            "champion_version": None, "champion_ledger_sha256": None, "champion_saw_holdout": None,
            "snapshot_id": "5" * 64, "holdout_sha256": "b" * 64, "num_rows": 1000,
            "metrics": (_value(overall), _value(jfk, "origin=JFK")), "champion_metrics": (), "differences": (),
        }  # fmt: skip
        evaluation = Evaluation(**(fields | changes))
        write_record(self.context.store, "toy/evaluations", evaluation)
        return evaluation

    def against_champion(self, value: float, low: float, high: float) -> Evaluation:
        difference = PairedDifference(metric="roc_auc", slice="all", value=value, low=low, high=high, num_rows=1000)
        return self.evidence(
            champion_version=3, champion_ledger_sha256="9" * 64, champion_metrics=(_value(0.69),),
            differences=(difference,),
        )  # fmt: skip

    def tags(self) -> dict[str, str]:
        return dict(connect(self.context.environment).get_run(self.run_id).data.tags)

    def page(self, folder: Path) -> str:
        path = connect(self.context.environment).download_artifacts(self.run_id, "verdict.md", str(folder))
        return Path(path).read_text()

    def verdicts(self) -> list[str]:
        return [info.key for info in self.context.store.list("toy/verdicts/")]


@pytest.fixture
def at_gate(environment: Environment) -> Gate:
    """A gate in a store of its own."""
    return Gate(environment)


def test_a_candidate_that_keeps_all_rules_passes_with_a_stored_verdict(at_gate: Gate) -> None:
    evaluation = at_gate.evidence()
    judged = gate(at_gate.context, at_gate.candidate, evaluation)
    assert judged.outcome == "promote"
    verdict = read_record(at_gate.context.store, judged.verdict_key, Verdict, judged.verdict_sha256)
    assert verdict.outcome == "promote"
    assert verdict.candidate_sha256 == at_gate.candidate.sha256
    assert verdict.evaluation_sha256 == evaluation.sha256
    assert verdict.holdout_sha256 == "b" * 64
    assert verdict.rules_sha256 == at_gate.context.spec.rules_sha256
    assert read_record(at_gate.context.store, judged.evaluation_key, Evaluation) == evaluation
    assert read_record(at_gate.context.store, judged.candidate_key, Candidate) == at_gate.candidate


def test_a_rejection_names_every_reason_and_the_verdict_is_stored_all_the_same(at_gate: Gate, tmp_path: Path) -> None:
    with pytest.raises(GateFailed) as caught:
        gate(at_gate.context, at_gate.candidate, at_gate.evidence(overall=0.6, jfk=0.512))
    assert str(caught.value) == (
        "Candidate rejected, there is still no champion: roc_auc = 0.600 [0.500, 0.900], needs >= 0.620; "
        "roc_auc on origin=JFK = 0.512 [0.500, 0.900], needs >= 0.550."
    )
    assert caught.value.exit_code == 1
    (key,) = at_gate.verdicts()
    assert read_record(at_gate.context.store, key, Verdict).outcome == "reject"
    assert at_gate.tags()["tandem.verdict"] == "reject"
    assert at_gate.page(tmp_path).startswith("# Verdict: reject\n\nCandidate rejected, there is still no champion")


def test_against_a_champion_a_rejection_says_that_it_stays(at_gate: Gate) -> None:
    with pytest.raises(GateFailed, match=r"^Candidate rejected, champion stays: roc_auc: challenger minus champion"):
        gate(at_gate.context, at_gate.candidate, at_gate.against_champion(-0.05, -0.07, -0.03))


def test_a_hold_does_not_pass_either(at_gate: Gate) -> None:
    with pytest.raises(GateFailed, match=r"^Candidate held, champion stays: .* rows are too few to tell"):
        gate(at_gate.context, at_gate.candidate, at_gate.against_champion(0.02, -0.02, 0.06))
    assert at_gate.tags()["tandem.verdict"] == "hold"


@pytest.mark.parametrize("hole", [None])
def test_an_unmeasured_metric_does_not_pass(at_gate: Gate, hole: None) -> None:
    with pytest.raises(GateFailed, match="roc_auc was not measured"):
        gate(at_gate.context, at_gate.candidate, at_gate.evidence(overall=hole))


def test_the_verdict_is_shown_in_the_candidates_run(at_gate: Gate, tmp_path: Path) -> None:
    judged = gate(at_gate.context, at_gate.candidate, at_gate.against_champion(0.02, 0.01, 0.03))
    assert at_gate.tags()["tandem.verdict"] == "promote"
    assert at_gate.tags()["tandem.verdict_sha256"] == judged.verdict_sha256
    page = at_gate.page(tmp_path)
    assert "| promote | roc_auc = 0.700 [0.500, 0.900], needs >= 0.620 |" in page
    assert "| roc_auc | 0.7000 [0.5000, 0.9000] | 0.6900 [0.5000, 0.9000] | +0.0200 [+0.0100, +0.0300] |" in page
    assert judged.verdict_sha256 in page


def test_judging_again_gives_the_same_verdict_and_no_second_one(at_gate: Gate) -> None:
    evaluation = at_gate.evidence()
    first = gate(at_gate.context, at_gate.candidate, evaluation)
    assert gate(at_gate.context, at_gate.candidate, evaluation) == first
    assert len(at_gate.verdicts()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"candidate_sha256": "0" * 64},
        {"candidate_model_sha256": "0" * 64},
        {"snapshot_id": "0" * 64},
        {"model": "other"},
    ],
)
def test_an_evaluation_of_something_else_is_refused(at_gate: Gate, changes: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="Nothing was judged"):
        gate(at_gate.context, at_gate.candidate, at_gate.evidence(**changes))
    assert at_gate.verdicts() == []


def test_a_candidate_of_another_model_is_refused(at_gate: Gate) -> None:
    other = at_gate.candidate.model_copy(update={"model": "other"})
    with pytest.raises(UsageError, match="candidate is of model other, expected toy"):
        gate(at_gate.context, other, at_gate.evidence(candidate_sha256=other.sha256))


def test_an_evaluation_that_was_never_stored_is_not_judged(at_gate: Gate) -> None:
    forged = at_gate.evidence(overall=0.5).model_copy(update={"metrics": (_value(0.99), _value(0.99, "origin=JFK"))})
    with pytest.raises(ObjectMissing):
        gate(at_gate.context, at_gate.candidate, forged)


@pytest.mark.parametrize("folder", ["evaluations", "candidates"])
def test_a_record_that_was_altered_in_the_store_is_not_judged(at_gate: Gate, folder: str) -> None:
    evaluation = at_gate.evidence()
    (info,) = at_gate.context.store.list(f"toy/{folder}/")
    altered = at_gate.context.store.read(info.key).replace(b"0.7", b"0.9")
    at_gate.context.store.write(info.key, altered)
    with pytest.raises(IntegrityError, match="was altered"):
        gate(at_gate.context, at_gate.candidate, evaluation)
    assert at_gate.verdicts() == []


def test_other_rules_give_another_verdict_that_names_them(at_gate: Gate) -> None:
    evaluation = at_gate.evidence()
    gate(at_gate.context, at_gate.candidate, evaluation)
    stricter = Context(_spec(minimum=0.9), at_gate.context.environment, at_gate.context.store)
    with pytest.raises(GateFailed):
        gate(stricter, at_gate.candidate, evaluation)
    assert len(at_gate.verdicts()) == 2


def test_without_mlflow_a_rejection_stays_a_rejection_and_a_promotion_waits(at_gate: Gate, tmp_path: Path) -> None:
    gone = at_gate.context.environment.mlflow.model_copy(
        update={"tracking_uri": f"sqlite:///{tmp_path}/no/such/dir/x.db"}
    )
    (tmp_path / "no").write_text("a file where a folder should be")
    environment = at_gate.context.environment.model_copy(update={"mlflow": gone})
    context = Context(at_gate.context.spec, environment, at_gate.context.store)
    with pytest.raises(GateFailed, match=r"needs >= 0.620.* MLflow was not told"):
        gate(context, at_gate.candidate, at_gate.evidence(overall=0.6))
    with pytest.raises(RegistryError):
        gate(context, at_gate.candidate, at_gate.evidence())
    assert len(at_gate.verdicts()) == 2
