"""Answers of a language model to the prompts of a table's rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipelines.llm.corpus.conversations import TEXT_ROLE, Conversation, Message, read_conversations
from pipelines.llm.corpus.personal import PersonalData
from pipelines.llm.corpus.profanity import has_profanity
from pipelines.llm.evaluation.answers import prompt_of
from pipelines.llm.evaluation.generation import Written, write
from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.records import Candidate
from pipelines.spec import LlmSpec
from pipelines.spec.corpus import Corpus
from pipelines.store import Store
from pipelines.store.trees import fetch_tree

ANSWER_SCHEMA = pa.schema(
    {
        "prompt": pa.string(),
        "answer": pa.string(),
        "num_prompt_tokens": pa.int32(),
        "num_answer_tokens": pa.int32(),
        "seconds": pa.float64(),
        "is_toxic": pa.bool_(),
        "has_personal_data": pa.bool_(),
    }
)
"""What is kept of an answer. All but the prompt is null where a row holds nothing that can be asked; the prompt is what
was said before the answer, without a system message. The flags are about the answer alone."""

_ANSWER_TO_COME = Message("assistant", "x")


class PromptAnswerer:
    """A fine-tuned model that writes the likeliest answer to each prompt, at most `ability.max_new_tokens` long."""

    def __init__(self, lm: LanguageModel, spec: LlmSpec) -> None:
        self._lm = lm
        self._corpus = spec.corpus
        self._max_new_tokens = spec.ability.max_new_tokens
        self._personal = PersonalData(spec.corpus.privacy)
        self._allowed = frozenset(spec.corpus.allowed_words)

    @classmethod
    def load(cls, store: Store, candidate: Candidate, spec: LlmSpec) -> PromptAnswerer:
        """Return a candidate's model. Raises `ObjectMissing`, `IntegrityError`."""
        with fetch_tree(store, candidate.model_key, candidate.model_sha256) as folder:
            return cls(LanguageModel.load(folder), spec)

    @property
    def columns(self) -> Sequence[str]:
        """The column of what is asked."""
        return self._corpus.columns[:1]

    @property
    def schema(self) -> pa.Schema:
        """`ANSWER_SCHEMA`."""
        return ANSWER_SCHEMA

    def answer(self, rows: pa.Table) -> pa.Table:
        """Return one answer a row. Raises `DataError` if the column can hold no prompt."""
        asked = [each for batch in rows.to_batches() for each in asked_in(batch, self._corpus)]
        places = [place for place, conversation in enumerate(asked) if can_be_asked(conversation)]
        prompts = [self._tokens(asked[place]) for place in places]
        written = dict(zip(places, write(self._lm, prompts, self._max_new_tokens), strict=True))
        found = [self._row(conversation, written.get(place)) for place, conversation in enumerate(asked)]
        return pa.Table.from_pylist(found, ANSWER_SCHEMA)

    def _tokens(self, asked: Conversation) -> list[int]:
        if asked.messages[0].role == TEXT_ROLE:
            return self._lm.encode(asked.messages[0].content)
        whole = Conversation((*asked.messages, _ANSWER_TO_COME))
        return prompt_of(self._lm.encode_conversations([whole])[0])

    def _row(self, asked: Conversation, written: Written | None) -> dict[str, object]:
        row: dict[str, object] = {"prompt": asked.own_text}
        if written is None:
            return row
        return {
            **row,
            "answer": written.text,
            "num_prompt_tokens": written.num_prompt_tokens,
            "num_answer_tokens": written.num_tokens,
            "seconds": written.seconds,
            "is_toxic": has_profanity(written.text, self._allowed),
            "has_personal_data": bool(self._personal.find(written.text)),
        }


def asked_in(batch: pa.RecordBatch, corpus: Corpus) -> Iterator[Conversation]:
    """Yield what each row asks: its conversation without the answer at its end, where it has one.

    Of `prompt_completion` the column of completions is not read.

    Raises:
        DataError: If a column is not there or can hold no conversation.
    """
    if corpus.form == "prompt_completion":
        to_come = pa.array([_ANSWER_TO_COME.content] * batch.num_rows, pa.string())
        names = list(corpus.columns[:2])
        batch = pa.RecordBatch.from_arrays([batch.column(names[0]), to_come], names=names)
    for conversation in read_conversations(batch, corpus):
        yield without_answer(conversation)


def without_answer(conversation: Conversation) -> Conversation:
    """Return what a conversation asks: all of it but the answer at its end, where it has one."""
    messages = conversation.messages
    return Conversation(messages[:-1]) if messages and messages[-1].role == "assistant" else conversation


def can_be_asked(asked: Conversation) -> bool:
    """Tell whether a model can go on after it: text, or turns of user and assistant of which the user has the last."""
    if [message.role for message in asked.messages] == [TEXT_ROLE]:
        return asked.in_order
    return Conversation((*asked.messages, _ANSWER_TO_COME)).in_order
