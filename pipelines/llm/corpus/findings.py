"""Gather what was found in a corpus while it is prepared, for the page that shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.llm.corpus.conversations import Conversation
from pipelines.llm.corpus.report import Figure, Histogram, Report, Table
from pipelines.records import Ingested
from pipelines.spec.model import LlmSpec

_EXAMPLES = 4
_SHOWN_CHARACTERS = 160
_EDGES = (0, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 2**62)


class Findings:
    """Counts over prepared rows, batch by batch, and a few rows of each kind."""

    def __init__(self, spec: LlmSpec, ingested: Ingested, personal: Mapping[str, int]) -> None:
        self.num_readable = 0
        self.first_unreadable = ""
        self._spec, self._ingested, self._personal = spec, ingested, personal
        self._counts: Counter[str] = Counter()
        self._languages: Counter[str] = Counter()
        self._lengths = np.zeros(len(_EDGES) - 1, np.int64)
        self._groups: set[str] = set()
        self._examples: dict[str, list[tuple[str, ...]]] = {}

    def add(self, rows: pa.RecordBatch) -> None:
        """Take more prepared rows."""
        columns: dict[str, list[Any]] = {name: rows.column(name).to_pylist() for name in _READ}
        self._languages.update(columns["language"])
        self._groups.update(columns["group"])
        self._lengths += length_counts(columns["num_tokens"])
        self._counts["rows"] += rows.num_rows
        self._counts["tokens"] += sum(columns["num_tokens"])
        self._counts["turns"] += sum(number > 2 for number in columns["num_messages"])
        self.num_readable += sum(number > 0 for number in columns["num_messages"])
        marks = {
            "not a conversation": [number == 0 for number in columns["num_messages"]],
            "roles out of order or an empty message": [
                not ok and number > 0
                for ok, number in zip(columns["roles_in_order"], columns["num_messages"], strict=True)
            ],
            "exact duplicate": columns["is_duplicate"],
            "near-duplicate": columns["is_near_duplicate"],
            "profanity": columns["profanity"],
            "personal data": [number > 0 for number in columns["num_personal"]],
        }
        for name, marked in marks.items():
            self._counts[name] += sum(marked)
            examples = self._examples.setdefault(name, [])
            for row in np.flatnonzero(marked)[: _EXAMPLES - len(examples)]:
                examples.append((columns["document"][row], shown(columns["messages"][row])))
        if not self.first_unreadable and self._examples["not a conversation"]:
            self.first_unreadable = self._examples["not a conversation"][0][1]

    def report(self) -> Report:
        """Return the page's content."""
        num_rows = self._counts["rows"]
        action = "replaced by its kind" if self._spec.corpus.privacy.action == "redact" else "left as it is"
        personal = ", ".join(f"{number} {name}" for name, number in sorted(self._personal.items())) or "none found"
        kinds = [(name, f"{self._counts[name]:,}", _percent(self._counts[name], num_rows)) for name in self._examples]
        languages = [(name, f"{count:,}", _percent(count, num_rows)) for name, count in self._languages.most_common(8)]
        examples = [(kind, *row) for kind, rows in self._examples.items() for row in rows]
        return Report(
            model=self._spec.name,
            subject="conversations",
            headline=f"{num_rows:,} conversations from {self._ingested.source}",
            text="Nothing was left out yet: Great Expectations judges these columns next, and sets rows aside.",
            figures=(
                Figure("conversations", f"{num_rows:,}", f"{self._counts['turns']:,} of several turns"),
                Figure("tokens", f"{self._counts['tokens']:,}", "with the chat template"),
                Figure("groups", f"{len(self._groups):,}", "a group stands on one side of the holdout"),
                Figure("personal data", f"{sum(self._personal.values()):,}", f"{personal}; {action}"),
            ),
            histograms=(Histogram("Tokens of a conversation", length_bars(self._lengths)),),
            tables=(
                Table("What stands out", "A row may be counted more than once.", ("found", "rows", "share"), kinds),
                Table("Languages", "und: too short to tell.", ("language", "rows", "share"), languages),
                Table("For example", "As they are stored.", ("found", "document", "conversation"), examples),
            ),
        )


_READ = (
    *("messages", "document", "num_messages", "num_tokens", "language", "roles_in_order", "num_personal"),
    *("profanity", "group", "is_duplicate", "is_near_duplicate"),
)


def shown(messages: str) -> str:
    """Return a conversation's messages, which are canonical JSON, in one short line for people."""
    found = Conversation.from_json(messages).messages
    text = " ".join(f"{one.role}: {' '.join(one.content.split())}" for one in found)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def length_counts(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return how many lengths lie between each two edges of the histogram."""
    return np.histogram(lengths, _EDGES)[0]


def length_bars(counts: np.ndarray) -> list[tuple[str, int]]:
    """Return the bars of a histogram of lengths, without empty ones at either end."""
    used = np.flatnonzero(counts)
    if not len(used):
        return []
    names = [f"{low:,}–{high - 1:,}" if high < _EDGES[-1] else f"{low:,}+" for low, high in pairwise(_EDGES)]
    return [(names[place], int(counts[place])) for place in range(used[0], used[-1] + 1)]


def _percent(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %" if total else "-"
