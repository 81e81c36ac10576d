"""Where the page of answers of a language model's evaluation lies: base and tuned model side by side."""

from __future__ import annotations

from pipelines.records import Evaluation
from pipelines.store import Store


def answers_key(evaluation: Evaluation) -> str:
    """Return the key of the page that belongs to an evaluation."""
    return f"{evaluation.model}/reports/answers/{evaluation.sha256}.md"


def read_answers(store: Store, evaluation: Evaluation) -> str:
    """Return the page, in Markdown; nothing for an evaluation that has none."""
    key = answers_key(evaluation)
    return "" if store.stat(key) is None else store.read(key).decode()
