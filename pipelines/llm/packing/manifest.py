"""The record of a packed corpus: its files, what it was made from and how, and what was left out."""

from __future__ import annotations

from typing import Any

from pipelines.llm.packing.canaries import Canary
from pipelines.records import Record

FORMAT_VERSION = 1


class PackedFile(Record):
    """One file beside the manifest."""

    path: str
    content_sha256: str
    size_bytes: int
    num_sequences: int
    num_documents: int
    num_tokens: int
    num_answer_tokens: int

    def useful_share(self, sequence_length: int) -> float:
        """Return the share of its tokens that are no padding."""
        return self.num_tokens / (self.num_sequences * sequence_length)


class LeftOut(Record):
    """How many training rows were not packed, by reason; what each reason means stands with its field."""

    unusable: int
    """Roles out of order, or a duplicate that quality let pass."""
    contaminated: int
    """Sharing a run of words with what the model is examined with."""
    without_answer: int
    """Pieces of conversations that were cut, in which nothing is learnt."""


class PackedManifest(Record):
    """A packed corpus; `files` are in the folder of the manifest, `settings` those parts of the spec that shape it."""

    version: int = FORMAT_VERSION
    model: str
    snapshot_id: str
    training_sha256: str
    pretrained_sha256: str
    sequence_length: int
    settings: dict[str, Any]
    files: tuple[PackedFile, ...]
    num_rows: int
    num_cut: int
    num_validation_groups: int
    left_out: LeftOut
    false_positive_rate: float
    canaries: tuple[Canary, ...]

    def file(self, path: str) -> PackedFile:
        """Return the record of a file that every packed corpus has."""
        return next(one for one in self.files if one.path == path)
