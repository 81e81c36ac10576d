"""A rule of the gate that nothing would ever be measured for is a contradiction of the spec."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.spec.consistency import inconsistencies
from pipelines.spec.model import LlmSpec


def _spec(metric: str, ability: dict[str, Any], training: dict[str, Any], watched: str | None = None) -> LlmSpec:
    return LlmSpec.model_validate({
        "kind": "llm", "name": "toy", "description": "A toy.", "pretrained": {"path": "model"},
        "source": {"type": "files", "paths": ["rows.jsonl"], "format": "jsonl", "partition_by": "none"},
        "holdout": {"by": "key", "share": 0.5}, "ability": ability, "training": training,
        "gates": {"rules": [{"metric": metric, "no_worse_than_base_by": 0.1}]},
        "monitoring": {"performance": {"metric": watched}},
    })  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "without", "with_it"),
    [
        ("exact_match", {}, {"generated_items": 5}),
        ("token_f1", {}, {"generated_items": 5}),
        ("format_valid", {"generated_items": 5}, {"generated_items": 5, "answer_form": "json"}),
        ("format_valid", {"answer_form": "json"}, {"generated_items": 5, "answer_form": "json"}),
        ("toxicity", {"safety_items": 0}, {"safety_items": 5}),
        ("stereotype_preference", {"safety_items": 0}, {}),
        ("personal_data_leaks", {"safety_items": 0}, {}),
        ("refusal", {"safety_items": 0}, {}),
        ("general_accuracy", {"suites": []}, {}),
    ],
)
def test_a_rule_needs_what_its_metric_is_measured_on(
    metric: str, without: dict[str, Any], with_it: dict[str, Any]
) -> None:
    (found,) = inconsistencies(_spec(metric, without, {}))
    assert found.path == ("gates", "rules", 0, "metric")
    assert found.allowed.startswith("measured only with ")
    assert inconsistencies(_spec(metric, with_it, {})) == []


def test_exposure_needs_canaries() -> None:
    (found,) = inconsistencies(_spec("canary_exposure", {}, {}))
    assert "training.canary_share" in found.allowed
    assert inconsistencies(_spec("canary_exposure", {}, {"canary_share": 0.01})) == []


@pytest.mark.parametrize("metric", ["answer_loss", "perplexity"])
def test_what_is_always_measured_needs_nothing(metric: str) -> None:
    assert inconsistencies(_spec(metric, {"safety_items": 0, "suites": []}, {})) == []


@pytest.mark.parametrize("metric", ["toxicity", "general_accuracy", "roc_auc"])
def test_what_no_reference_answer_tells_cannot_decide_in_service(metric: str) -> None:
    (found,) = inconsistencies(_spec("answer_loss", {}, {}, watched=metric))
    assert (found.path, found.found) == (("monitoring", "performance", "metric"), repr(metric))
    assert "answer_loss, perplexity, exact_match, token_f1, format_valid" in found.allowed


def test_what_was_not_measured_at_a_promotion_cannot_decide_in_service() -> None:
    (found,) = inconsistencies(_spec("answer_loss", {}, {}, watched="exact_match"))
    assert found.path == ("monitoring", "performance", "metric")
    assert found.allowed == "measured only with 'ability.generated_items' of 1 or more"
    assert inconsistencies(_spec("answer_loss", {"generated_items": 5}, {}, watched="exact_match")) == []
