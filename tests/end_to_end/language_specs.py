"""Specs of language models for end-to-end tests: a tiny model, and conversations with one rule to learn."""

from __future__ import annotations

import json
from pathlib import Path

NAMES = ("list", "dict", "set", "tuple", "str", "bytes", "int", "float", "range", "slice", "frozenset", "complex")
VERBS = ("sort", "copy", "clear", "count", "find", "join", "split", "strip", "index", "merge", "filter", "reverse")
SPEC = """
kind: llm
name: {name}
description: Answers what a method does, by one rule.
source:
  type: files
  paths: [{rows}]
  format: jsonl
  partition_by: none
  column_types: {{messages: VARCHAR}}
corpus:
  near_duplicates: {{similarity: 0.95}}
quality:
  expectations:
    - {{type: expect_column_values_to_be_in_set, kwargs: {{column: roles_in_order, value_set: [true]}}}}
holdout: {{by: key, share: 0.2}}
pretrained: {{path: {pretrained}}}
training:
  sequence_length: 128
  sequences_per_step: 4
  epochs: {epochs}
  learning_rate: {learning_rate}
  validation_share: 0.1
  evaluate_every: 40
  early_stop: null
  checkpoint_every: 5
hardware: {{processes: 1, threads: 1}}
ability:
  holdout_items: 40
  shown_answers: 1
  max_new_tokens: 8
  suites: [arc_easy]
  items_per_suite: 8
  safety_items: 0
gates:
  minimum_rows: 10
  bootstrap_samples: 200
  rules:
    - {{metric: answer_loss, better_than_base_by: 0.5}}
    - {{metric: general_accuracy, no_worse_than_base_by: 1.0}}
"""


def write_conversations(path: Path) -> Path:
    """Write questions and answers of which each answer follows from its question."""
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"What does {verb} do with a {name}?"},
                {"role": "assistant", "content": f"With a {name} it will {verb} all of it and give the {name} back."},
            ]
        }
        for name in NAMES
        for verb in VERBS
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def language_specs(rows: Path, pretrained: Path) -> dict[str, str]:
    """Return the spec of a training that is good, and of one whose rate is far too high, by name."""
    shared = {"rows": rows, "pretrained": pretrained}
    return {
        "helper": SPEC.format(name="helper", epochs=5, learning_rate=5e-3, **shared),
        "forgetful": SPEC.format(name="forgetful", epochs=1, learning_rate=9.0, **shared),
    }
