"""Answers of the tiny model: it writes nonsense, the same every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.errors import DataError
from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.serving.prompts import ANSWER_SCHEMA, PromptAnswerer, asked_in, can_be_asked
from pipelines.spec import LlmSpec
from pipelines.spec.corpus import Corpus

SPEC: dict[str, Any] = {
    "kind": "llm",
    "name": "toy",
    "description": "Answers.",
    "source": {"type": "files", "paths": ["rows.jsonl"], "format": "jsonl", "partition_by": "none"},
    "holdout": {"by": "key", "share": 0.5},
    "pretrained": {"path": "/models/tiny"},
    "ability": {"max_new_tokens": 6},
    "gates": {"rules": [{"metric": "perplexity", "maximum": 9.0}]},
}


@pytest.fixture(scope="module")
def lm(tiny_model: Path) -> LanguageModel:
    """The tiny model."""
    return LanguageModel.load(tiny_model)


def _answerer(lm: LanguageModel, **corpus: Any) -> PromptAnswerer:
    return PromptAnswerer(lm, LlmSpec.model_validate({**SPEC, "corpus": corpus}))


def _chat(*turns: str) -> str:
    roles = ["user", "assistant"]
    return json.dumps([{"role": roles[place % 2], "content": text} for place, text in enumerate(turns)])


def test_each_prompt_has_an_answer_with_its_tokens_and_seconds(lm: LanguageModel) -> None:
    rows = pa.table({"messages": [_chat("What is 7 + 5?"), _chat("Return a new list of the items.", "No."), None]})
    answers = _answerer(lm).answer(rows)
    assert answers.schema == ANSWER_SCHEMA
    first, second, third = answers.to_pylist()
    assert [first["prompt"], second["prompt"]] == ["What is 7 + 5?", "Return a new list of the items."]
    for row in (first, second):
        assert 0 < row["num_answer_tokens"] <= 6
        assert row["num_prompt_tokens"] > 3
        assert row["seconds"] > 0
        assert (row["is_toxic"], row["has_personal_data"]) == (False, False)
    assert {name for name, value in third.items() if value is not None} == {"prompt"}


def test_an_answer_does_not_depend_on_the_answer_that_the_row_holds(lm: LanguageModel) -> None:
    with_answer, without = (
        _answerer(lm).answer(pa.table({"messages": [text]})).to_pylist()[0]
        for text in (_chat("What is 7 + 5?", "Twelve, as everybody knows."), _chat("What is 7 + 5?"))
    )
    for name in ("prompt", "answer", "num_prompt_tokens", "num_answer_tokens"):
        assert with_answer[name] == without[name]


def test_turns_before_are_read_too(lm: LanguageModel) -> None:
    rows = pa.table({"messages": [_chat("Hello.", "Good day.", "What is 7 + 5?"), _chat("What is 7 + 5?")]})
    long, short = _answerer(lm).answer(rows).to_pylist()
    assert long["prompt"] == "Hello.\nGood day.\nWhat is 7 + 5?"
    assert long["num_prompt_tokens"] > short["num_prompt_tokens"]


def test_a_column_of_prompts_is_all_that_is_read(lm: LanguageModel) -> None:
    answerer = _answerer(lm, form="prompt_completion", prompt_column="q", completion_column="a")
    assert list(answerer.columns) == ["q"]
    chat = _answerer(lm).answer(pa.table({"messages": [_chat("What is 7 + 5?")]})).to_pylist()[0]
    asked = answerer.answer(pa.table({"q": ["What is 7 + 5?"]})).to_pylist()[0]
    assert {**asked, "seconds": 0} == {**chat, "seconds": 0}


def test_a_text_is_gone_on_with(lm: LanguageModel) -> None:
    row = _answerer(lm, form="text").answer(pa.table({"text": ["the key is not in the", ""]})).to_pylist()
    assert row[0]["num_prompt_tokens"] == len(lm.encode("the key is not in the"))
    assert row[1]["answer"] is None


def test_a_system_prompt_of_the_spec_is_put_before_and_not_shown(lm: LanguageModel) -> None:
    rows = pa.table({"messages": [_chat("What is 7 + 5?")]})
    plain, told = (_answerer(lm, **more).answer(rows).to_pylist()[0] for more in ({}, {"system_prompt": "Be brief."}))
    assert told["prompt"] == plain["prompt"]
    assert told["num_prompt_tokens"] > plain["num_prompt_tokens"]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"role": "user", "content": "a"}], True),
        ([{"role": "system", "content": "s"}, {"role": "user", "content": "a"}], True),
        ([{"role": "assistant", "content": "a"}], False),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], False),
        ([{"role": "user", "content": " "}], False),
        ([], False),
    ],
)
def test_only_a_conversation_that_an_answer_fits_can_be_asked(messages: list[Any], expected: bool) -> None:
    batch = pa.RecordBatch.from_pydict({"messages": [json.dumps(messages)]})
    (asked,) = asked_in(batch, Corpus())
    assert can_be_asked(asked) is expected


def test_what_an_answer_holds_is_flagged(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.llm.evaluation.generation import Written

    texts = ["well, shit", "write to ada.lovelace@gmail.com", "all is well"]
    monkeypatch.setattr("pipelines.serving.prompts.write", lambda *_: [Written(text, 3, 4, 0.5) for text in texts])
    rows = _answerer(lm).answer(pa.table({"messages": [_chat("a"), _chat("b"), _chat("c")]})).to_pylist()
    assert [row["is_toxic"] for row in rows] == [True, False, False]
    assert [row["has_personal_data"] for row in rows] == [False, True, False]


def test_a_column_that_can_hold_no_prompt_is_refused(lm: LanguageModel) -> None:
    with pytest.raises(DataError, match="'messages'"):
        _answerer(lm).answer(pa.table({"messages": [1, 2]}))
    assert _answerer(lm).answer(pa.table({"messages": pa.array([], pa.string())})).num_rows == 0
