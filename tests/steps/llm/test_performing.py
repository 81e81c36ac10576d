"""How good a champion's answers were, by reference answers that come later: a real tiny model, its stored answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.errors import IntegrityError
from pipelines.llm.corpus.conversations import Conversation
from pipelines.llm.evaluation.holdout import HeldOut, answer_loss
from pipelines.llm.evaluation.measuring import measure_all
from pipelines.llm.evaluation.models import score_stored
from pipelines.records import (
    Candidate,
    Evaluation,
    MetricValue,
    Verdict,
)
from pipelines.registry.ledger import append_entry
from pipelines.store.trees import store_tree
from pipelines.store.verified import write_record
from tests.llm.corpora import chat, chats, context_of, sentence, snapshot_of
from tests.steps.llm.desk import AS_OF, LEARNT, NUM_ROWS, TIME, Desk, figure, kinds, question


@pytest.fixture(scope="module")
def talker(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model that says something: one that nobody has trained says the last token again."""
    folder = tmp_path_factory.mktemp("talker") / "model"
    shutil.copytree(tiny_model, folder)
    chance = torch.Generator().manual_seed(1)
    weights = {
        name: value + 0.3 * torch.randn(value.shape, generator=chance).to(value.dtype)
        for name, value in load_file(folder / "model.safetensors").items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def make(tiny_model: Path, talker: Path, tmp_path: Path) -> Callable[..., Desk]:
    """Let a tiny model come to serve, under a spec of which sections are others."""

    def made(metric: str = "exact_match", **changes: Any) -> Desk:
        sections: dict[str, Any] = {
            "source": {
                "type": "files", "paths": [str(tmp_path / "*.jsonl")], "format": "jsonl", "time_column": "time",
                "partition_by": "day", "key_columns": ["id"], "column_types": {"id": "BIGINT", "time": "TIMESTAMP"},
            },
            "ability": {"suites": [], "generated_items": 9, "max_new_tokens": 4, "holdout_items": 200},
            "monitoring": {
                "performance": {
                    "metric": metric, "minimum_rows": 30, "persistence": {"needed": 1, "windows": 1}
                },
                "drift": {"joint_rows": 0},
            },
            "retraining": {"minimum_new_rows": 10, "cooldown_days": 0},
        } | changes  # fmt: skip
        context = context_of(tiny_model, tmp_path, **sections)
        store = context.store
        before = {"time": "2025-01-01 06:00:00"}
        rows = [row | {"id": LEARNT + number} for number, row in enumerate(chats(NUM_ROWS, **before))]
        rows = [{**row, **chat(question(row["id"]), f"reference {row['id']}")} for row in rows]
        snapshot = snapshot_of(context, rows)
        model_key, model_sha256 = store_tree(store, "toy", talker, "full", "b" * 64)
        candidate = Candidate(
            model="toy", snapshot_id=snapshot.snapshot_id, model_key=model_key, model_sha256=model_sha256,
            training_key="t", mlflow_run_id="r", algorithm="full", validation_metric="validation loss",
            validation_score=1.0, num_trials=1, seconds=1.0, spec_sha256="s", code_commit="c", environment_sha256="e",
        )  # fmt: skip
        was = {"exact_match": 0.9, "token_f1": 0.9, "answer_loss": 1.0, "perplexity": 2.7}
        metrics = [
            MetricValue(metric=name, slice="all", value=value, low=value - 0.05, high=value + 0.05, num_rows=200)
            for name, value in was.items()
        ]
        evaluation = Evaluation(
            model="toy", candidate_sha256=candidate.sha256, candidate_model_sha256=model_sha256,
            champion_version=None, champion_ledger_sha256=None, champion_saw_holdout=None,
            snapshot_id=snapshot.snapshot_id, holdout_sha256="h", num_rows=9, metrics=tuple(metrics),
            champion_metrics=(), differences=(),
        )  # fmt: skip
        verdict = Verdict(
            model="toy", outcome="promote", results=(), candidate_sha256=candidate.sha256,
            champion_ledger_sha256=None, holdout_sha256="h", evaluation_sha256=evaluation.sha256,
            rules_sha256=context.spec.rules_sha256,
        )  # fmt: skip
        write_record(store, "toy/evaluations", evaluation)
        append_entry(
            store, "toy", None, action="promote", version=1,
            candidate_key=write_record(store, "toy/candidates", candidate), candidate_sha256=candidate.sha256,
            model_sha256=model_sha256, verdict_sha256=verdict.sha256,
            verdict_key=write_record(store, "toy/verdicts", verdict), reason="r", by="ada",
        )  # fmt: skip
        return Desk(context, tmp_path / "rows.jsonl", candidate)

    return made


def test_reference_answers_come_late_and_in_parts_and_each_counts_once(make: Callable[..., Desk]) -> None:
    desk = make()
    desk.deliver()
    answers = desk.score()
    report = desk.watch()
    assert (report.num_rows, report.num_labelled, report.performance) == (NUM_ROWS, 0, ())
    right = {number: answers[number] for number in range(20)}
    desk.deliver(right | dict.fromkeys(range(20, 32), "No."))
    report = desk.watch()
    assert report.num_labelled == 32
    assert figure(report, "exact_match").value == 20 / 32
    assert (figure(report, "exact_match").num_rows, kinds(report)) == (32, [])
    desk.deliver(dict(answers))  # the last ones, and some corrected
    report = desk.watch()
    assert report.num_labelled == figure(report, "exact_match").num_rows == NUM_ROWS
    for metric in ("exact_match", "token_f1"):
        found = figure(report, metric)
        assert (found.value, found.reference, found.source, found.dropped) == (1.0, 0.9, "measured", False)
    desk.deliver()  # a source that forgets takes no label back
    assert desk.watch().num_labelled == NUM_ROWS


def test_a_corrected_reference_wins_over_the_one_before(make: Callable[..., Desk]) -> None:
    desk = make()
    desk.deliver()
    answers = desk.score()
    desk.deliver(answers)
    assert figure(desk.watch(), "exact_match").value == 1.0
    desk.deliver(answers | {0: "Something else."})
    assert figure(desk.watch(), "exact_match").value == (NUM_ROWS - 1) / NUM_ROWS


@pytest.mark.parametrize("empty", ["", " \n"])
def test_an_empty_reference_says_nothing(make: Callable[..., Desk], empty: str) -> None:
    desk = make()
    desk.deliver()
    desk.score()
    desk.deliver(dict.fromkeys(range(30), empty) | dict.fromkeys(range(30, 35), "Yes."))
    report = desk.watch()
    assert report.num_labelled == 5
    assert kinds(report) == []


def test_rows_of_one_key_are_held_to_their_label_once_and_two_labels_are_in_doubt(make: Callable[..., Desk]) -> None:
    desk = make()
    desk.deliver(numbers=[0, 0, *range(1, NUM_ROWS)])
    answers = desk.score()
    desk.deliver(answers, numbers=[0, 0, *range(1, NUM_ROWS)])
    report = desk.watch()
    assert (report.num_rows, report.num_labelled) == (NUM_ROWS + 1, NUM_ROWS)
    rows = [{"id": 0, "time": TIME, **chat(question(0), said)} for said in ("Yes.", "No.")]
    desk.write(rows)
    report = desk.watch()
    assert report.num_labelled == NUM_ROWS - 1
    assert "contradicting_labels" in kinds(report)


def test_an_answer_to_another_question_is_no_label(make: Callable[..., Desk]) -> None:
    desk = make()
    desk.deliver()
    answers = desk.score()
    edited = [{"id": row, "time": TIME, **chat("Edited?", answers[row])} for row in range(NUM_ROWS)]
    desk.write(edited)
    report = desk.watch()
    assert (report.num_labelled, report.performance, kinds(report)) == (0, (), ["misplaced_labels"])
    desk.deliver(answers)
    report = desk.watch()  # the right ones have come; what was said of another question is past
    assert (report.num_labelled, kinds(report)) == (NUM_ROWS, [])


def test_an_answer_that_was_there_was_not_asked_along_and_is_a_label_at_once(make: Callable[..., Desk]) -> None:
    desk = make()
    desk.deliver({number: f"The reference {number}." for number in range(NUM_ROWS)})
    desk.score()  # looks into the prompts
    report = desk.watch()
    assert report.num_labelled == NUM_ROWS
    assert figure(report, "exact_match").value == 0.0


def test_what_the_champion_was_trained_on_is_not_measured(make: Callable[..., Desk]) -> None:
    desk = make()
    known = {LEARNT + number: f"reference {LEARNT + number}" for number in range(NUM_ROWS)}
    desk.deliver({0: "Yes.", **known}, numbers=[0, *known])
    desk.score()
    report = desk.watch()
    (told,) = [one for one in report.anomalies if one.kind == "learnt_labels"]
    assert 1 < report.num_labelled < NUM_ROWS  # the new one and those that were held out
    assert told.message.startswith(f"{NUM_ROWS + 1 - report.num_labelled} of {NUM_ROWS + 1} labelled rows")
    assert figure(report, "exact_match").num_rows == report.num_labelled


def test_a_fall_asks_for_a_retraining_and_the_page_says_so(make: Callable[..., Desk]) -> None:
    desk = make()
    desk.deliver()
    desk.score()
    assert desk.decide().outcome == "none"
    desk.deliver(dict.fromkeys(range(NUM_ROWS), "Quite another answer."))
    decided = desk.decide("2026-01-04T00:00:00+00:00")
    assert decided.outcome == "start", decided.reasons
    assert decided.reasons[0].startswith(
        "performance: measured exact_match is 0.000 against 0.900 at its promotion, dropped in 1 of"
    )
    page = desk.context.store.read(str(decided.report_key)).decode()
    assert "measured exact_match is 0.000 against 0.900 at its promotion" in page


def test_a_loss_is_measured_as_an_evaluation_measures_it_and_once(
    make: Callable[..., Desk], loaded: list[Path]
) -> None:
    desk = make("answer_loss")
    desk.deliver()
    desk.score()
    loaded.clear()
    references = {number: f"It is {number}, and {sentence(number, 5)}." for number in range(NUM_ROWS)}
    desk.deliver(references)
    report = desk.watch()
    assert len(loaded) == 1
    expected = expected_loss(desk, references)
    for metric in ("answer_loss", "perplexity"):
        found = figure(report, metric)
        assert found.value == pytest.approx(expected[metric], rel=1e-3)  # other batches round otherwise
        assert found.low < found.value < found.high
        assert (found.num_rows, found.dropped) == (NUM_ROWS, True)
    loaded.clear()
    performance = {**desk.context.spec.monitoring.performance.model_dump(), "may_drop_by": 9}
    again = desk.changed("monitoring", performance=performance)
    assert not figure(again.watch(), "answer_loss").dropped
    assert loaded == []


def expected_loss(desk: Desk, references: Mapping[int, str]) -> dict[str, float | None]:
    """Return what an evaluation would say of the champion, had these conversations been held out."""
    items = [
        HeldOut(row, Conversation.from_json(str(chat(question(row), text)["messages"])).to_json(), str(row))
        for row, text in references.items()
    ]
    part = answer_loss(items, desk.context.spec.training.sequence_length)
    scores = score_stored(desk.context.store, desk.candidate, [part])
    return {one.metric: one.value for one in measure_all(scores, None, (), {}, 100, 0).metrics}


def test_a_report_is_made_anew_for_a_setting_that_it_hangs_on_and_for_no_other(make: Callable[..., Desk]) -> None:
    desk = make()
    desk.deliver(dict.fromkeys(range(NUM_ROWS), "Yes."))
    desk.score()
    first, later = desk.watch(), "2026-01-04T00:00:00+00:00"
    for section, fields in (
        ("promotion", {"approval": "human"}),
        ("ability", {"holdout_items": 30, "safety_items": 0}),  # so many are read only for a loss
        ("training", {"sequence_length": 64, "seed": 9}),
        ("corpus", {"allowed_words": ["kill"], "decontaminate_words": 9}),
        ("retraining", {"minimum_new_rows": 9}),
    ):
        assert desk.changed(section, **fields).watch(later) == first
    loss = desk.changed("monitoring", performance={"metric": "answer_loss", "minimum_rows": 30})
    seen = {first.inputs_sha256}
    for one, section, fields in (
        (desk, "ability", {"answer_form": "json"}),
        (desk, "corpus", {"system_prompt": "Be brief."}),
        (desk, "gates", {"bootstrap_samples": 101}),
        (loss, "monitoring", {}),
        (loss, "ability", {"holdout_items": 31}),
        (loss, "training", {"sequence_length": 64}),
    ):
        made = one.changed(section, **fields).watch(later)
        assert made.inputs_sha256 not in seen, (section, fields)
        seen.add(made.inputs_sha256)


def test_a_large_window_is_read_in_a_sample(make: Callable[..., Desk]) -> None:
    ability = {"suites": [], "max_new_tokens": 4, "holdout_items": 10}
    gates = {"rules": [{"metric": "answer_loss", "better_than_base_by": 0.0}], "minimum_rows": 10}
    desk = make("answer_loss", ability=ability, gates=gates)
    desk.deliver(dict.fromkeys(range(NUM_ROWS), "Yes."))
    desk.score()
    report = desk.watch()
    assert figure(report, "answer_loss").num_rows == 30  # what a window needs, for it is more than is held out
    assert figure(report, "exact_match").num_rows == NUM_ROWS


def test_weights_are_asked_for_only_by_a_metric_that_needs_them(make: Callable[..., Desk]) -> None:
    desk = make()
    desk.deliver(dict.fromkeys(range(NUM_ROWS), "Yes."))
    desk.score()
    for info in list(desk.context.store.list("toy/models/")):
        desk.context.store.delete(info.key)
    assert [one.metric for one in desk.watch().performance] == ["exact_match", "token_f1"]
    performance = {**desk.context.spec.monitoring.performance.model_dump(), "metric": "answer_loss"}
    with pytest.raises(IntegrityError, match=r"toy: champion version 1 \(ledger entry 1\) is not whole"):
        desk.changed("monitoring", performance=performance).watch()


def test_the_form_that_the_spec_names_is_measured_too(make: Callable[..., Desk]) -> None:
    ability = {"suites": [], "max_new_tokens": 4, "answer_form": "regex", "answer_pattern": ".*", "generated_items": 9}
    desk = make("format_valid", ability=ability)
    desk.deliver(dict.fromkeys(range(NUM_ROWS), "Yes."))
    desk.score()
    found = figure(desk.watch(), "format_valid")
    assert (found.value, found.reference) == (1.0, None)  # nobody measured it when it was promoted


def test_references_are_held_back_as_long_as_the_spec_says(make: Callable[..., Desk]) -> None:
    desk = make()
    desk = desk.changed("monitoring", label_delay_days=2)
    desk.deliver(dict.fromkeys(range(NUM_ROWS), "Yes."))
    desk.score()
    assert desk.watch(AS_OF).num_labelled == 0
    assert desk.watch("2026-01-03T06:00:00+00:00").num_labelled == NUM_ROWS


def test_references_to_rows_of_one_partition_without_end_are_brought_too(make: Callable[..., Desk]) -> None:
    desk = make()
    desk = desk.changed("source", partition_by="none")
    desk.deliver()
    desk.score()
    desk.deliver(dict.fromkeys(range(NUM_ROWS), "Yes."))
    assert desk.watch().num_labelled == NUM_ROWS


def test_a_completion_is_a_reference(make: Callable[..., Desk]) -> None:
    desk = make().changed("corpus", form="prompt_completion")
    asked = [{"id": row, "time": TIME, "prompt": question(row)} for row in range(NUM_ROWS)]
    desk.write(asked)
    desk.score()
    assert desk.watch().num_labelled == 0
    desk.write([{**row, "completion": None if row["id"] < 5 else "Yes."} for row in asked])
    assert desk.watch().num_labelled == NUM_ROWS - 5


def test_plain_text_has_no_reference(make: Callable[..., Desk]) -> None:
    desk = make().changed("corpus", form="text")
    desk.write([{"id": row, "time": TIME, "text": question(row)} for row in range(NUM_ROWS)])
    desk.score()
    report = desk.watch()
    assert (report.num_rows, report.num_labelled, report.performance) == (NUM_ROWS, 0, ())


def test_personal_data_is_taken_out_of_a_reference_as_training_takes_it_out(make: Callable[..., Desk]) -> None:
    desk = make("answer_loss")
    desk.deliver()
    desk.score()
    desk.deliver(dict.fromkeys(range(NUM_ROWS), "Write to ada@example.com."))
    redacted = expected_loss(desk, dict.fromkeys(range(NUM_ROWS), "Write to <EMAIL_ADDRESS>."))
    assert figure(desk.watch(), "answer_loss").value == pytest.approx(redacted["answer_loss"], rel=1e-3)
