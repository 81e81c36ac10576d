"""Pack a corpus: leave out what may not be learnt, tokenise the rest once, fill sequences, write them to files."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.errors import DataError
from pipelines.llm.corpus.conversations import Conversation
from pipelines.llm.corpus.overlap import Overlap
from pipelines.llm.corpus.preparing import kept
from pipelines.llm.packing.bins import pack
from pipelines.llm.packing.canaries import Canary, make_canaries, planted
from pipelines.llm.packing.encoding import ChatEncoder
from pipelines.llm.packing.manifest import LeftOut, PackedFile
from pipelines.llm.packing.tokens import TokenFile
from pipelines.llm.packing.validation import validation_groups
from pipelines.llm.packing.writing import describe_file, write_sequences
from pipelines.llm.sequences import TRAIN, VALIDATION
from pipelines.spec.corpus import GROUP_COLUMN
from pipelines.spec.model import LlmSpec

LOG = logging.getLogger(__name__)

COLUMNS = ("messages", GROUP_COLUMN, "document", "roles_in_order", "is_duplicate", "is_near_duplicate")
"""The columns of a prepared row that packing reads."""

_CANARY_GROUP = "canaries"


@dataclass(frozen=True)
class PackedCorpus:
    """What packing came to; the files are in the folder that it was given."""

    files: tuple[PackedFile, ...]
    num_rows: int
    num_cut: int
    num_validation_groups: int
    left_out: LeftOut
    canaries: tuple[Canary, ...]
    lengths: np.ndarray  # tokens of each packed document


def pack_corpus(
    batches: Iterable[pa.RecordBatch], spec: LlmSpec, encoder: ChatEncoder, overlap: Overlap, folder: Path
) -> PackedCorpus:
    """Write `train.arrow` and `validation.arrow` into a folder.

    Memory is bounded by a batch of rows and some 200 bytes a document; tokens are in files of the folder meanwhile.

    Args:
        batches: Prepared rows of the training side, in the snapshot's order.
        spec: The model's spec.
        encoder: The tokenizer and chat template of its pretrained model.
        overlap: What the model is examined with.
        folder: An empty folder with room for about 13 bytes a token.

    Raises:
        DataError: If nothing is left to learn, or there are too few groups to validate with.
    """
    settings = spec.training
    counts = _Counts()
    with TokenFile(folder, settings.sequence_length) as tokens:
        for start, batch in _numbered(batches):
            _take(batch, start, spec, encoder, overlap, tokens, counts)
            LOG.info(
                "Tokenised %s conversations; left out %s that evaluation asks and %s unusable",
                *(f"{number:,}" for number in (counts.rows, counts.contaminated, counts.unusable)),
            )
        if not counts.rows:
            raise DataError(
                f"{spec.name}: nothing is left to learn. {counts.contaminated:,} training rows share "
                f"{spec.corpus.decontaminate_words} words in a row with what the model is evaluated on, and "
                f"{counts.unusable:,} have roles out of order or are duplicates. Nothing was packed."
            )
        canaries = _plant(spec, counts.rows, encoder, tokens)
    if not len(tokens):
        raise DataError(f"{spec.name}: none of {counts.rows:,} conversations has a token to learn. Nothing was packed.")
    sides, num_groups = _sides(spec, tokens)
    files = []
    for name, documents in sides.items():
        bins = _shuffled(pack(tokens.lengths[documents], settings.sequence_length), settings.seed)
        numbered = [[int(documents[place]) for place in each] for each in bins]
        write_sequences(folder / name, tokens, numbered, settings.sequence_length, encoder.pad_id)
        files.append(describe_file(folder / name, tokens, documents, len(bins)))
        LOG.info(
            "Packed %s: %s documents in %s sequences of %s tokens, %.1f %% of them useful",
            name,
            *(f"{number:,}" for number in (len(documents), len(bins), settings.sequence_length)),
            100 * files[-1].useful_share(settings.sequence_length),
        )
    return PackedCorpus(
        files=tuple(files),
        num_rows=counts.rows,
        num_cut=tokens.num_cut,
        num_validation_groups=num_groups,
        left_out=LeftOut(
            unusable=counts.unusable, contaminated=counts.contaminated, without_answer=tokens.num_without_answer
        ),
        canaries=canaries,
        lengths=tokens.lengths,
    )


@dataclass
class _Counts:
    rows: int = 0
    unusable: int = 0
    contaminated: int = 0


def _numbered(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    start = 0
    for batch in batches:
        yield start, batch
        start += batch.num_rows


def _take(
    batch: pa.RecordBatch,
    start: int,
    spec: LlmSpec,
    encoder: ChatEncoder,
    overlap: Overlap,
    tokens: TokenFile,
    counts: _Counts,
) -> None:
    usable = np.flatnonzero(kept(batch, spec))
    counts.unusable += batch.num_rows - len(usable)
    rows = batch.take(pa.array(usable)).to_pydict()
    conversations = [Conversation.from_json(text) for text in rows["messages"]]
    numbers = (start + usable).tolist()
    shared = overlap.search(numbers, rows["document"], [one.own_text for one in conversations])
    counts.contaminated += int(np.count_nonzero(shared))
    places = np.flatnonzero(~shared).tolist()
    counts.rows += len(places)
    for place, encoded in zip(places, encoder.encode([conversations[place] for place in places]), strict=True):
        tokens.add(numbers[place], rows[GROUP_COLUMN][place], encoded)


def _plant(spec: LlmSpec, num_rows: int, encoder: ChatEncoder, tokens: TokenFile) -> tuple[Canary, ...]:
    """Add the canaries as conversations of their own; their rows are -1, -2 and so on."""
    if not spec.training.canary_share:
        return ()
    canaries = make_canaries(max(1, round(spec.training.canary_share * num_rows)), spec.training.seed)
    made = [
        one.text() if spec.corpus.form == "text" else one.conversation(system_prompt=spec.corpus.system_prompt)
        for one in planted(canaries)
    ]
    for number, encoded in enumerate(encoder.encode(made)):
        tokens.add(-1 - number, _CANARY_GROUP, encoded)
    return canaries


def _sides(spec: LlmSpec, tokens: TokenFile) -> tuple[dict[str, np.ndarray], int]:
    """Return the documents of each file; canaries are always learnt."""
    real = [number for number, name in enumerate(tokens.group_names) if name != _CANARY_GROUP]
    sizes = np.bincount(tokens.groups, tokens.lengths, minlength=len(tokens.group_names))[real]
    names = [tokens.group_names[number] for number in real]
    chosen = validation_groups(names, sizes, spec.training.validation_share, spec.training.seed)
    held = np.isin(tokens.groups, [real[number] for number in chosen])
    return {TRAIN: np.flatnonzero(~held), VALIDATION: np.flatnonzero(held)}, len(chosen)


def _shuffled(bins: list[list[int]], seed: int) -> list[list[int]]:
    """Return the sequences in an order of their own: filling them leaves the longest documents first."""
    return [bins[place] for place in np.random.default_rng(seed).permutation(len(bins))]
