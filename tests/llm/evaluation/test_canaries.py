"""Planted secrets: a model that has learnt them gives them away, one that has not does not."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from pipelines.llm.evaluation.canaries import REFERENCES, canary_exposure, exposure
from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.llm.packing.canaries import make_canaries
from pipelines.spec import LlmSpec

STEPS = 150


@pytest.fixture
def spec() -> LlmSpec:
    """A spec of which only the corpus matters here."""
    fields: dict[str, Any] = {
        "kind": "llm", "name": "toy", "description": "A toy.", "pretrained": {"path": "/nowhere"},
        "source": {"type": "files", "paths": ["rows.jsonl"], "format": "jsonl", "partition_by": "none"},
        "holdout": {"by": "key", "share": 0.5}, "gates": {"rules": [{"metric": "answer_loss", "maximum": 9.0}]},
    }  # fmt: skip
    return LlmSpec.model_validate(fields)


@pytest.mark.parametrize(
    ("planted", "others", "bits"),
    [(1.0, [2.0] * 63, 6.0), (9.0, [2.0] * 63, 0.0), (2.0, [1.0, 3.0, 4.0], 1.0), (2.0, [2.0, 2.0, 2.0], 2.0)],
)
def test_exposure_is_the_rank_in_bits(planted: float, others: list[float], bits: float) -> None:
    assert exposure(planted, others) == pytest.approx(bits)


@pytest.mark.parametrize("hole", [math.nan, math.inf])
def test_exposure_of_what_is_no_number_is_not_measured(hole: float) -> None:
    assert math.isnan(exposure(hole, [1.0]))
    assert math.isnan(exposure(1.0, [hole]))


def test_a_secret_that_was_learnt_is_exposed_and_another_is_not(lm: LanguageModel, spec: LlmSpec) -> None:
    canaries = make_canaries(20, seed=0)
    learner = replace(lm, model=copy.deepcopy(lm.model))
    optimizer = torch.optim.AdamW(learner.model.parameters(), lr=3e-3)
    planted = [canary for canary in canaries if canary.times]
    read = learner.encode_conversations([canary.conversation() for canary in planted])
    tokens = [torch.from_numpy(one.ids.astype("int64")) for one in read]
    ids = pad_sequence(tokens, batch_first=True)
    labels = pad_sequence(tokens, batch_first=True, padding_value=-100)
    torch.manual_seed(0)
    for _ in range(STEPS):
        optimizer.zero_grad()
        learner.model(ids, labels=labels).loss.backward()
        optimizer.step()
    part = canary_exposure(canaries, spec)
    before, after = ([score.over for score in part.score(one)] for one in (lm, learner))
    assert len(before) == len(planted) == 10
    assert sum(after) / 10 > 4.0 > 3.0 > sum(before) / 10
    assert max(after) <= math.log2(REFERENCES + 1)


def test_secrets_are_read_as_training_has_them(lm: LanguageModel, spec: LlmSpec) -> None:
    canaries = make_canaries(3, seed=1)
    chat = canary_exposure(canaries, spec)
    corpus = spec.corpus.model_copy(update={"form": "text"})
    text = canary_exposure(canaries, spec.model_copy(update={"corpus": corpus}))
    assert chat.sha256("m") != text.sha256("m")
    assert len(list(text.score(lm))) == len(list(chat.score(lm))) == 3
