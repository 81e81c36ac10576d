from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import IntegrityError, PromotionRefused
from pipelines.records import Candidate, Evaluation, Judged, Promoted, Registered, RuleResult, Verdict
from pipelines.registry.alias import read_shadow
from pipelines.registry.ledger import entry_key, read_ledger
from pipelines.registry.versions import get_version
from pipelines.spec.gates import Gates
from pipelines.steps.classic.register import register
from pipelines.steps.context import Context
from pipelines.steps.promote import promote
from pipelines.steps.roll_back import roll_back
from pipelines.store.base import Store
from pipelines.store.verified import read_record, write_record


def _alias(context: Context) -> int | None:
    return read_shadow(context.environment, "tiny").version


def _records(store: Store, judged: Judged) -> tuple[Verdict, Evaluation]:
    return read_record(store, judged.verdict_key, Verdict), read_record(store, judged.evaluation_key, Evaluation)


def _refused(workshop: Any, registered: Registered, match: str, kind: type[Exception] = PromotionRefused) -> None:
    """See that a promotion is refused for one reason, and that neither ledger nor alias has moved."""
    before = (read_ledger(workshop.context.store, "tiny"), _alias(workshop.context))
    with pytest.raises(kind, match=match):
        promote(workshop.context, registered, "eve")
    assert (read_ledger(workshop.context.store, "tiny"), _alias(workshop.context)) == before


def test_the_first_candidate_that_passes_becomes_champion(champions: Any) -> None:
    workshop = champions(0)
    registered = workshop.registered()
    promoted = promote(workshop.context, registered, "ada")
    (entry,) = read_ledger(workshop.context.store, "tiny")
    assert promoted == Promoted(
        model="tiny", version=1, ledger_seq=1, ledger_sha256=entry.sha256, previous_version=None
    )
    assert (entry.by, entry.reason) == ("ada", "boosting: all 3 checks hold")
    assert _alias(workshop.context) == 1


def test_the_next_champion_follows_the_one_before(champions: Any) -> None:
    workshop = champions(1)
    promoted = promote(workshop.context, workshop.registered(), "grace")
    assert (promoted.version, promoted.previous_version, _alias(workshop.context)) == (2, 1, 2)


def test_promoting_again_gives_the_same_answer_and_no_second_entry(champions: Any) -> None:
    workshop = champions(0)
    registered = workshop.registered()
    first = promote(workshop.context, registered, "ada")
    assert promote(workshop.context, registered, "ada") == first
    assert len(read_ledger(workshop.context.store, "tiny")) == 1


def test_a_champion_judged_again_against_itself_gets_no_second_entry(champions: Any) -> None:
    workshop = champions(1)
    (entry,) = read_ledger(workshop.context.store, "tiny")
    candidate = read_record(workshop.context.store, entry.candidate_key, Candidate)
    again = register(workshop.context, workshop.judged(candidate, difference=0.0))
    assert promote(workshop.context, again, "grace").ledger_seq == 1
    assert read_ledger(workshop.context.store, "tiny") == [entry]


def test_a_former_champion_judged_anew_against_the_one_that_serves_may_come_back(champions: Any) -> None:
    workshop = champions(2)
    entry = read_ledger(workshop.context.store, "tiny")[0]
    candidate = read_record(workshop.context.store, entry.candidate_key, Candidate)
    promoted = promote(workshop.context, register(workshop.context, workshop.judged(candidate)), "grace")
    assert (promoted.version, promoted.previous_version, promoted.ledger_seq, _alias(workshop.context)) == (1, 2, 3, 1)


def test_another_candidate_under_the_champions_version_is_refused(champions: Any) -> None:
    workshop = champions(1)
    other = workshop.registered().model_copy(update={"version": 1})
    _refused(workshop, other, "Version 1 of tiny in MLflow is not this candidate", IntegrityError)


def test_a_promotion_that_was_superseded_is_not_made_again(champions: Any) -> None:
    workshop = champions(2)
    _refused(workshop, workshop.made[0], r"version 1 was promoted at .* and version 2 serves since .*roll back to it")


# ---- what a rollback took from service


def _of_the_same_model(workshop: Any, seq: int) -> Registered:
    """What a run on unchanged data leaves: the same model, trained anew, judged against the version that serves now."""
    entry = read_ledger(workshop.context.store, "tiny")[seq - 1]
    candidate = read_record(workshop.context.store, entry.candidate_key, Candidate)
    again = candidate.model_copy(update={"seconds": candidate.seconds + 1})
    write_record(workshop.context.store, "tiny/candidates", again)
    return register(workshop.context, workshop.judged(again))


def _of_another_model(workshop: Any) -> Registered:
    return register(workshop.context, workshop.judged(workshop.candidate()))


def test_a_run_that_gives_the_version_rolled_back_from_once_more_does_not_undo_the_rollback(champions: Any) -> None:
    workshop = champions(2)
    roll_back(workshop.context, "previous", "slow", "grace")
    candidate = read_record(workshop.context.store, workshop.made[1].judged.candidate_key, Candidate)
    again = register(workshop.context, workshop.judged(candidate))
    assert again.version == 2
    _refused(
        workshop,
        again,
        r"served as version 2 \(ledger entry 2\), and grace rolled back to version 1 at .* \(ledger entry 3: slow\)\. "
        r"No run undoes a rollback; nothing was promoted\. Change the data or the spec and train again, or let it "
        r"serve again: tandem rollback tiny --to 2 --reason TEXT",
    )


def test_the_model_rolled_back_from_is_known_under_another_version_too(champions: Any) -> None:
    workshop = champions(2)
    roll_back(workshop.context, "previous", "slow", "grace")
    again = _of_the_same_model(workshop, 2)
    assert again.version > 2
    _refused(workshop, again, r"served as version 2 .*tandem rollback tiny --to 2")


def test_the_promotion_that_was_rolled_back_names_the_rollback_when_it_is_tried_again(champions: Any) -> None:
    workshop = champions(2)
    roll_back(workshop.context, "previous", "slow", "grace")
    _refused(workshop, workshop.made[1], r"ledger entry 3: slow")


def test_a_version_let_serve_again_by_a_rollback_is_champion_as_any_other(champions: Any) -> None:
    workshop = champions(2)
    roll_back(workshop.context, "previous", "slow", "grace")
    roll_back(workshop.context, 2, "not slow at all", "grace")
    assert promote(workshop.context, workshop.made[1], "ada").version == 2
    next_champion = promote(workshop.context, _of_another_model(workshop), "ada")
    promoted = promote(workshop.context, _of_the_same_model(workshop, 2), "ada")
    assert (promoted.previous_version, promoted.ledger_seq) == (next_champion.version, 6)


def test_another_model_than_the_one_rolled_back_from_is_promoted(champions: Any) -> None:
    workshop = champions(2)
    roll_back(workshop.context, "previous", "slow", "grace")
    assert promote(workshop.context, _of_another_model(workshop), "ada").previous_version == 1


# ---- what is not true


def test_a_forged_promote_over_evidence_that_fails_is_refused(workshop: Any) -> None:
    candidate = workshop.candidate()
    verdict, evaluation = _records(workshop.context.store, workshop.judged(candidate, roc_auc=0.5))
    passed = tuple(result.model_copy(update={"outcome": "promote"}) for result in verdict.results)
    forged = verdict.model_copy(update={"outcome": "promote", "results": passed})
    registered = register(workshop.context, workshop.written(forged, evaluation))
    _refused(workshop, registered, r"does not follow from its evidence: judged again it is reject \(roc_auc = 0.500")


def test_a_forged_promote_without_reasons_is_refused(workshop: Any) -> None:
    verdict, evaluation = _records(workshop.context.store, workshop.judged(workshop.candidate()))
    made_up = (RuleResult(rule="trust", outcome="promote", reason="trust me"),)
    forged = workshop.written(verdict.model_copy(update={"results": made_up}), evaluation)
    _refused(workshop, register(workshop.context, forged), "judged again it is promote, for other reasons")


def test_a_verdict_of_another_candidate_is_refused(workshop: Any) -> None:
    good, other = workshop.candidate(), workshop.candidate()
    verdict, evaluation = _records(workshop.context.store, workshop.judged(good))
    registered = register(workshop.context, workshop.judged(other))
    stolen = workshop.written(verdict.model_copy(update={"candidate_sha256": other.sha256}), evaluation)
    match = f"the evaluation is of candidate {good.sha256[:12]}, expected {other.sha256[:12]}"
    _refused(workshop, registered.model_copy(update={"judged": stolen}), match)


def test_a_version_made_of_another_candidate_is_refused(champions: Any) -> None:
    workshop = champions(0)
    good, other = workshop.registered(), workshop.registered()
    mixed = good.model_copy(update={"version": other.version})
    _refused(workshop, mixed, "Version 2 of tiny in MLflow is not this candidate", IntegrityError)


def test_an_evaluation_on_another_holdout_than_the_verdicts_is_refused(workshop: Any) -> None:
    candidate = workshop.candidate()
    judged = workshop.judged(candidate)
    registered = register(workshop.context, judged)
    verdict, evaluation = _records(workshop.context.store, judged)
    moved = workshop.written(verdict.model_copy(update={"holdout_sha256": "f" * 64}), evaluation)
    _refused(workshop, registered.model_copy(update={"judged": moved}), "the verdict is on holdout ffffffffffff")


@pytest.mark.parametrize("changes", [{"holdout_sha256": "f" * 64}, {"num_rows": 1_000_000}])
def test_an_evaluation_on_a_holdout_that_is_not_the_snapshots_is_refused(
    workshop: Any, changes: dict[str, Any]
) -> None:
    registered = register(workshop.context, workshop.judged(workshop.candidate(), **changes))
    _refused(
        workshop, registered, r"the evaluation is on holdout [0-9a-f]{12} with \d+ rows, and the one of the snapshot is"
    )


def test_predictions_altered_by_one_byte_are_named(champions: Any) -> None:
    workshop = champions(0)
    registered = workshop.registered()
    _, evaluation = _records(workshop.context.store, registered.judged)
    workshop.context.store.write(evaluation.predictions_key, b"other predictions")
    _refused(workshop, registered, re.escape(evaluation.predictions_key), IntegrityError)


def test_an_evaluation_on_another_snapshot_than_the_candidates_is_refused(workshop: Any) -> None:
    candidate = workshop.candidate()
    registered = register(workshop.context, workshop.judged(candidate))
    other = workshop.judged(candidate, snapshot_id="f" * 64)
    _refused(workshop, registered.model_copy(update={"judged": other}), "the evaluation is on snapshot ffffffffffff")


def test_a_record_that_says_promote_over_a_verdict_of_hold_is_refused(workshop: Any) -> None:
    candidate = workshop.candidate()
    registered = register(workshop.context, workshop.judged(candidate))
    held = workshop.judged(candidate, num_rows=5).model_copy(update={"outcome": "promote"})
    match = "the verdict is hold, and only promote may pass"
    _refused(workshop, registered.model_copy(update={"judged": held}), match)


def test_a_verdict_by_other_rules_than_the_specs_is_refused(champions: Any) -> None:
    workshop = champions(0)
    registered = workshop.registered()
    stricter = workshop.context.spec.model_copy(
        update={"gates": Gates.model_validate({"rules": [{"metric": "roc_auc", "minimum": 0.9}]})}
    )
    with pytest.raises(PromotionRefused, match=r"given by rules [0-9a-f]{12}, and the spec's are [0-9a-f]{12}"):
        promote(replace(workshop.context, spec=stricter), registered, "eve")
    assert read_ledger(workshop.context.store, "tiny") == []


def test_evidence_of_another_model_is_refused(workshop: Any) -> None:
    judged = workshop.judged(workshop.candidate())
    registered = register(workshop.context, judged)
    verdict, evaluation = _records(workshop.context.store, judged)
    foreign = workshop.written(verdict.model_copy(update={"model": "huge"}), evaluation)
    _refused(workshop, registered.model_copy(update={"judged": foreign}), "the verdict is of model huge")


# ---- what is no longer true


def test_a_verdict_against_a_champion_that_no_longer_serves_is_refused(champions: Any) -> None:
    workshop = champions(2)
    late = workshop.registered()
    promote(workshop.context, workshop.registered(), "grace")
    match = r"was judged against version 2, but version 4 serves now \(ledger entry 3, by grace at .*evaluate it again"
    _refused(workshop, late, match)


def test_a_verdict_without_a_champion_does_not_pass_once_there_is_one(champions: Any) -> None:
    workshop = champions(0)
    first, late = workshop.registered(), workshop.registered()
    promote(workshop.context, first, "ada")
    _refused(workshop, late, "was judged against no champion, but version 1 serves now")


def test_an_evaluation_that_names_another_champion_than_its_ledger_entry_is_refused(champions: Any) -> None:
    workshop = champions(1)
    registered = register(workshop.context, workshop.judged(workshop.candidate(), champion_version=7))
    _refused(workshop, registered, "was judged against version 7, but version 1 serves now")


# ---- what is altered


@pytest.mark.parametrize("record", ["verdict_key", "evaluation_key", "candidate_key"])
def test_a_record_altered_by_one_byte_is_named(champions: Any, record: str) -> None:
    workshop = champions(0)
    registered = workshop.registered()
    key = getattr(registered.judged, record)
    data = bytearray(workshop.context.store.read(key))
    data[len(data) // 2] ^= 1
    workshop.context.store.write(key, bytes(data))
    _refused(workshop, registered, re.escape(key), IntegrityError)


def test_a_model_altered_by_one_byte_in_the_store_is_named(workshop: Any) -> None:
    candidate = workshop.candidate()
    registered = register(workshop.context, workshop.judged(candidate))
    data = bytearray(workshop.context.store.read(candidate.model_key))
    data[100] ^= 1
    workshop.context.store.write(candidate.model_key, bytes(data))
    _refused(workshop, registered, re.escape(candidate.model_key), IntegrityError)


def test_a_model_altered_by_one_byte_in_mlflow_is_named(workshop: Any) -> None:
    registered = workshop.registered()
    source = get_version(workshop.context.environment, "tiny", 1).source
    path = Path(source.removeprefix("file://")) / "model.skops"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    _refused(workshop, registered, "Version 1 of tiny in MLflow was altered", IntegrityError)


def test_a_ledger_entry_altered_by_one_byte_is_named(champions: Any) -> None:
    workshop = champions(2)
    registered = workshop.registered()
    key = entry_key("tiny", 1)
    workshop.context.store.write(key, workshop.context.store.read(key).replace(b'"ada"', b'"eve"'))
    with pytest.raises(IntegrityError, match=r"00000001.json was altered"):
        promote(workshop.context, registered, "eve")
    assert workshop.context.store.stat(entry_key("tiny", 3)) is None


def test_a_ledger_cut_at_its_end_is_noticed_by_what_mlflow_saw(champions: Any) -> None:
    workshop = champions(2)
    workshop.context.store.delete(entry_key("tiny", 2))
    registered = workshop.registered()
    _refused(workshop, registered, "00000002.json is missing: MLflow saw it", IntegrityError)
