"""How good a language model's answers were in one window, by the reference answers that have come since.

A label is the reference answer to what a row asks: in a source of `prompt_completion` the completion, in one of
`messages` the assistant's message at the end of the conversation. Rows mostly come as questions alone and get theirs
in a later content of their partition, late, in parts, corrected, the newest wins (`pipelines.monitoring.labels`); where
it was there already when the champion answered, it was taken off before the model was asked. What does not count:

    no last message of the          the row waits; an empty or blank answer is none
      assistant, no completion
    an answer to another question   the words before it must be those that the champion was asked, or it is `misplaced`:
                                    an edited question, a conversation that has gone on, an answer that was asked along
    a conversation that the         its answer was learnt by heart: it tells of the training, not of the service
      champion was trained on
    plain text (`form: text`)       all of it is the question; it has no answer

Metrics are those of an evaluation, under the same names and of texts treated alike (personal data taken out of the
reference, as training takes it out), so that a figure can be held against the one that promoted the champion. What the
stored answers tell, no model is asked for. Only where the metric that decides is the loss of the reference answers, the
champion reads a sample of them, and what it found is kept (`pipelines.llm.evaluation.scores`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.data.manifests import Manifest
from pipelines.data.parquet import ParquetWriter, open_parquet
from pipelines.gates.bootstrap import seed_from
from pipelines.llm.corpus.batches import bounded
from pipelines.llm.corpus.conversations import Conversation, read_conversations
from pipelines.llm.corpus.personal import PersonalData
from pipelines.llm.evaluation.answers import compare
from pipelines.llm.evaluation.holdout import HeldOut, answer_loss, choose_items
from pipelines.llm.evaluation.models import score_stored
from pipelines.llm.suites import ITEMS_SEED
from pipelines.monitoring.anomalies.arrival import odd_labels
from pipelines.monitoring.labels import TRUTH
from pipelines.monitoring.measured import Sums, measure_means
from pipelines.monitoring.reasons import deciding_metric
from pipelines.records import Anomaly, sha256_of
from pipelines.registry.champion import whole_champion
from pipelines.serving.prompts import without_answer
from pipelines.spec import LlmSpec
from pipelines.steps.context import Context
from pipelines.steps.labelling import join_window
from pipelines.steps.llm.evaluate import CONTENT_COLUMN
from pipelines.steps.watched import Watched
from pipelines.steps.watching import NOT_WATCHED, Champion, Performed
from pipelines.store import Store
from pipelines.store.verified import fetch_verified

BATCH_ROWS = 1024
READ_METRICS = ("answer_loss", "perplexity")  # told by no stored answer: the champion has to read the reference
_PROMPT = "prompt"  # as the answers have it: what was asked
_REFERENCE = "reference.messages"  # no name of a source's column


@dataclass(frozen=True)
class _Told:
    """One answer and the conversation that it should have ended, whose group is the question."""

    answer: str
    item: HeldOut


def perform(
    context: Context[LlmSpec], watched: Watched, champion: Champion, as_of: datetime, scored: Path, folder: Path
) -> Performed:
    """Return the champion's figures in a window, beside what they were on the holdout that it was promoted by.

    Args:
        context: The model's surroundings.
        watched: The window.
        champion: The version that answered it.
        as_of: Reference answers that came later are not looked at.
        scored: The answers.
        folder: Takes temporary files.

    Raises:
        DataError: If answers lack a key column, or a content's columns can hold no conversation.
        IntegrityError: If anything stored is not what was written, or the champion's weights are gone.
    """
    spec = context.spec
    if spec.corpus.form == "text":
        return Performed()
    labels_in = partial(_references_in, spec)
    labelled = join_window(context, watched, scored, as_of, folder, _REFERENCE, labels_in, _PROMPT)
    names = [told.item.name for told in _read(labelled.path)]
    learnt = _learnt(context.store, champion.manifest, set(names))
    num_learnt = sum(name in learnt for name in names)
    sums = _of_answers(spec, labelled.path, learnt)
    if deciding_metric(spec) in READ_METRICS:
        sums |= _of_model(context, champion, labelled.path, learnt)
    measured = measure_means(
        sums,
        champion.evaluation.metrics,
        spec.monitoring.performance,
        spec.gates.bootstrap_samples,
        seed_from(watched.scored.content_sha256),
    )
    anomalies = [*odd_labels(labelled.counts, 0), *_known_by_heart(num_learnt, len(names))]
    return Performed(len(names) - num_learnt, measured, (), tuple(anomalies))


def settings_of(spec: LlmSpec) -> dict[str, Any]:
    """Return what else `perform` reads in a spec, besides what both halves read and the corpus."""
    if spec.corpus.form == "text":
        return {}
    compared = spec.ability.model_dump(mode="json", include={"answer_form", "answer_pattern"})
    if deciding_metric(spec) not in READ_METRICS:
        return compared
    return compared | {
        "holdout_items": spec.ability.holdout_items,
        "sequence_length": spec.training.sequence_length,
    }


def _references_in(spec: LlmSpec, content: Path, path: Path) -> Path | None:
    """Write question and whole conversation of each row that has an answer, nulls for the others; None without any."""
    source, corpus = spec.source, spec.corpus
    names = [*source.key_columns, *([source.time_column] if source.time_column else [])]
    made_of = [name for name in corpus.columns if name != corpus.document_column]
    with open_parquet(content) as file:
        if set(made_of) - set(file.schema_arrow.names):
            return None
        names = [name for name in dict.fromkeys(names) if name in file.schema_arrow.names]
        kept = [file.schema_arrow.field(name) for name in names]
        schema = pa.schema([*kept, (_PROMPT, pa.string()), (_REFERENCE, pa.string())])
        with ParquetWriter(path, schema) as writer:
            columns = list(dict.fromkeys([*names, *made_of]))
            for batch in bounded(file.iter_batches(batch_size=BATCH_ROWS, columns=columns)):
                whole = [one if _is_answered(one) else None for one in read_conversations(batch, corpus)]
                asked = [None if one is None else without_answer(one).own_text for one in whole]
                texts = [None if one is None else one.to_json() for one in whole]
                beside = [batch.column(name) for name in names]
                writer.write(pa.table([*beside, pa.array(asked, pa.string()), pa.array(texts, pa.string())], schema))
    return path


def _is_answered(conversation: Conversation) -> bool:
    return conversation.in_order and conversation.messages[-1].role == "assistant"


def _read(labelled: Path) -> Iterator[_Told]:
    with open_parquet(labelled) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=["row", _PROMPT, "answer", TRUTH]):
            for told in batch.to_pylist():
                if told["answer"] is not None:  # what cannot be asked has no answer
                    group = sha256_of(told[_PROMPT].encode())
                    yield _Told(told["answer"], HeldOut(told["row"], told[TRUTH], group))


def _learnt(store: Store, manifest: Manifest, names: set[str]) -> set[str]:
    """Return which conversations a snapshot gave to training, by the hash of their content."""
    if not names or CONTENT_COLUMN not in {column.name for column in manifest.training.columns}:
        return set()
    found = set[str]()
    for part in manifest.training.train.partitions:
        with fetch_verified(store, part.key, part.content_sha256) as path, open_parquet(path) as file:
            for batch in file.iter_batches(columns=[CONTENT_COLUMN]):
                found |= names.intersection(batch.column(0).to_pylist())
    return found


def _known_by_heart(num_learnt: int, num_labelled: int) -> list[Anomaly]:
    message = (
        f"{num_learnt:,} of {num_labelled:,} labelled rows are conversations that the champion was trained on: its "
        "answers to them tell nothing and were not measured."
    )
    return [Anomaly(kind="learnt_labels", severity="info", column=None, message=message)] if num_learnt else []


def _of_answers(spec: LlmSpec, labelled: Path, learnt: set[str]) -> dict[str, Sums]:
    """Return what the stored answers tell, an item a row."""
    personal = PersonalData(spec.corpus.privacy)
    scores: dict[str, list[float]] = {}
    asked: list[str] = []
    for told in _read(labelled):
        if told.item.name not in learnt:
            expected = _redacted(told.item.conversation, spec, personal).messages[-1].content
            asked.append(told.item.group)
            for metric, value in compare(told.answer, expected, spec.ability):
                scores.setdefault(metric, []).append(value)
    questions = np.unique(np.array(asked, str), return_inverse=True)[1]
    return {metric: Sums(np.array(each), np.ones(len(each)), questions) for metric, each in scores.items()}


def _of_model(context: Context[LlmSpec], champion: Champion, labelled: Path, learnt: set[str]) -> dict[str, Sums]:
    """Return how likely the champion finds a sample of the reference answers, as its evaluation measured it.

    The sample is as large as an evaluation's, or as a window has to be to say anything, if that is more.
    """
    spec, personal = context.spec, PersonalData(context.spec.corpus.privacy)
    most = max(spec.ability.holdout_items, spec.monitoring.performance.minimum_rows)
    new = (told.item for told in _read(labelled) if told.item.name not in learnt)
    chosen = [
        HeldOut(item.row, _redacted(item.conversation, spec, personal).to_json(), item.group)
        for item in choose_items(new, most, ITEMS_SEED)
    ]
    if not chosen:
        return {}
    with whole_champion(champion.entry, NOT_WATCHED):
        part = answer_loss(chosen, spec.training.sequence_length)
        scores = score_stored(context.store, champion.candidate, [part])
    over, under = (np.array([getattr(score, side) for score in scores]) for side in ("over", "under"))
    questions = np.array([score.cluster for score in scores])
    return {metric: Sums(over, under, questions, metric == "perplexity") for metric in READ_METRICS}


def _redacted(conversation: Conversation, spec: LlmSpec, personal: PersonalData) -> Conversation:
    if spec.corpus.privacy.action == "count":
        return conversation
    texts = [message.content for message in conversation.messages]
    return conversation.replaced([personal.redacted(text, personal.find(text)) for text in texts])
