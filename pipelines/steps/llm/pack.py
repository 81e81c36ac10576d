"""Pack a snapshot's training side: without what evaluation asks, tokenised once, ready to be mapped into memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipelines.data.snapshots import read_holdout_batches, read_training_batches
from pipelines.llm.corpus.batches import bounded
from pipelines.llm.corpus.conversations import Conversation
from pipelines.llm.corpus.overlap import Overlap, texts_of
from pipelines.llm.corpus.preparing import kept
from pipelines.llm.corpus.report import render
from pipelines.llm.keys import packed_key
from pipelines.llm.packing.encoding import ChatEncoder
from pipelines.llm.packing.general import pack_general
from pipelines.llm.packing.manifest import PackedFile, PackedManifest
from pipelines.llm.packing.packing import COLUMNS, PackedCorpus, pack_corpus
from pipelines.llm.packing.page import packed_report
from pipelines.llm.pretrained import open_pretrained
from pipelines.llm.sequences import TRAIN, VALIDATION
from pipelines.llm.suites import ITEMS_SEED, read_items, suite_texts
from pipelines.records import Packed, SnapshotRef
from pipelines.spec import LlmSpec
from pipelines.steps.context import Context
from pipelines.store import Store
from pipelines.store.verified import upload_once

BATCH_ROWS = 1024


def pack(context: Context[LlmSpec], snapshot: SnapshotRef) -> Packed:
    """Store the packed sequences, their manifest and the page about them. The same snapshot and spec give the same.

    The holdout is read for one thing: no run of its words may stay in the training text.

    Raises:
        DataError: If nothing is left to learn, or too little to validate with.
        UsageError: If the pretrained model or its chat template cannot be used, or a suite's package is not there.
        IntegrityError: If a file of the snapshot is not the one that was written.
    """
    spec, store = context.spec, context.store
    pretrained = open_pretrained(spec.pretrained, context.environment.home)
    encoder = ChatEncoder(pretrained.folder)
    texts = texts_of(partial(_held_out_texts, store, snapshot, spec), partial(suite_texts, spec.ability.suites))
    overlap = Overlap(texts, spec.corpus.decontaminate_words)
    with tempfile.TemporaryDirectory(prefix="tandem-") as scratch:
        folder = Path(scratch)
        batches = bounded(read_training_batches(store, snapshot, COLUMNS, BATCH_ROWS))
        corpus = pack_corpus(batches, spec, encoder, overlap, folder)
        general = _pack_general(store, snapshot, spec, encoder, folder)
        found = overlap.outcome()
        manifest = PackedManifest(
            model=spec.name,
            snapshot_id=snapshot.snapshot_id,
            training_sha256=snapshot.training_sha256,
            pretrained_sha256=pretrained.sha256,
            sequence_length=spec.training.sequence_length,
            settings=_settings(spec),
            files=(*corpus.files, *general),
            num_rows=corpus.num_rows,
            num_cut=corpus.num_cut,
            num_validation_groups=corpus.num_validation_groups,
            left_out=corpus.left_out,
            false_positive_rate=found.false_positive_rate,
            canaries=corpus.canaries,
        )
        _upload(store, folder, manifest)
    report_key = f"{spec.name}/reports/packed/{manifest.sha256}.html"
    store.write(report_key, render(packed_report(spec, manifest, found, corpus.lengths)).encode())
    return _packed(snapshot, manifest, corpus, report_key)


def _pack_general(
    store: Store, snapshot: SnapshotRef, spec: LlmSpec, encoder: ChatEncoder, folder: Path
) -> tuple[PackedFile, ...]:
    """Write the general text that is looked at while training, where the spec asks for suites that have some."""
    if not spec.ability.suites:
        return ()
    asked = [read_items(suite, spec.ability.items_per_suite, ITEMS_SEED) for suite in spec.ability.suites]
    texts = texts_of(
        partial(_held_out_texts, store, snapshot, spec), lambda: (one.text for each in asked for one in each)
    )
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        file = pack_general(spec, encoder, Overlap(texts, spec.corpus.decontaminate_words), Path(scratch))
        if file is None:
            return ()
        (Path(scratch) / file.path).rename(folder / file.path)
    return (file,)


def _held_out_texts(store: Store, snapshot: SnapshotRef, spec: LlmSpec) -> Iterator[str]:
    for batch in read_holdout_batches(store, snapshot.model, snapshot.snapshot_id, COLUMNS, BATCH_ROWS):
        for text, is_kept in zip(batch.column("messages").to_pylist(), kept(batch, spec), strict=True):
            if is_kept:
                yield Conversation.from_json(text).own_text


def _settings(spec: LlmSpec) -> dict[str, object]:
    training = spec.training
    return {
        "corpus": spec.corpus.model_dump(mode="json"),
        "suites": list(spec.ability.suites),
        "validation_share": training.validation_share,
        "canary_share": training.canary_share,
        "seed": training.seed,
    }


def _upload(store: Store, folder: Path, manifest: PackedManifest) -> None:
    """Store the files, then the manifest that names them: with it the packed corpus exists."""
    for file in manifest.files:
        upload_once(store, packed_key(manifest.model, manifest.sha256, file.path), folder / file.path)
    store.write(packed_key(manifest.model, manifest.sha256), manifest.to_bytes())


def _packed(snapshot: SnapshotRef, manifest: PackedManifest, corpus: PackedCorpus, report_key: str) -> Packed:
    train, validation = manifest.file(TRAIN), manifest.file(VALIDATION)
    return Packed(
        model=manifest.model,
        snapshot=snapshot,
        manifest_key=packed_key(manifest.model, manifest.sha256),
        manifest_sha256=manifest.sha256,
        pretrained_sha256=manifest.pretrained_sha256,
        sequence_length=manifest.sequence_length,
        num_documents=train.num_documents,
        num_sequences=train.num_sequences,
        num_validation_sequences=validation.num_sequences,
        num_tokens=train.num_tokens,
        num_answer_tokens=train.num_answer_tokens,
        useful_share=train.useful_share(manifest.sequence_length),
        num_decontaminated=corpus.left_out.contaminated,
        report_key=report_key,
    )
