"""How rows become conversations, and what is taken out of them before anything learns from them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pipelines.spec.base import Column, Section

GROUP_COLUMN = "group"
"""The derived column that names the group of near-duplicates of a conversation: a holdout is cut between groups."""

CONVERSATION_COLUMNS = ("messages", GROUP_COLUMN)
"""What every conversation has once it is prepared; the other derived columns are for Great Expectations to judge."""


class NearDuplicates(Section):
    """When two conversations are the same in other words: the similarity of their sets of word shingles."""

    similarity: float = Field(
        0.8, gt=0.0, lt=1.0, description="Jaccard similarity from which rows are near-duplicates."
    )
    shingle_words: int = Field(5, ge=1, le=50, description="Words of one shingle.")
    keep_one: bool = Field(True, description="Keep only the first of a group of near-duplicates; exact ones always.")


class Privacy(Section):
    """What personal data is looked for, and what is done with it."""

    entities: tuple[str, ...] = Field(
        ("EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS", "US_SSN"),
        description="Presidio's names of what is personal.",
    )
    action: Literal["redact", "count"] = Field("redact", description="'redact' puts <ENTITY> in its place.")
    spacy_model: str | None = Field(None, description="An installed spaCy model, to find names of people too.")
    minimum_score: float = Field(0.5, ge=0.0, le=1.0, description="Presidio's confidence from which a finding counts.")


class Corpus(Section):
    """The form of the source's rows, and what is done with them."""

    form: Literal["messages", "prompt_completion", "text"] = Field(
        "messages",
        description="'messages': OpenAI's chat form, a list or its JSON; else two columns, or one of plain text.",
    )
    messages_column: Column = Field("messages", description="messages: the column of the list.")
    prompt_column: Column = Field("prompt", description="prompt_completion: the column of what is asked.")
    completion_column: Column = Field("completion", description="prompt_completion: the column of the answer.")
    text_column: Column = Field("text", description="text: the column of the text, all of which is learnt.")
    system_prompt: str | None = Field(None, description="Put before every conversation that has no system message.")
    document_column: Column | None = Field(None, description="What a row was cut from: rows of one stay on one side.")
    near_duplicates: NearDuplicates = Field(NearDuplicates(), description="When rows are the same in other words.")
    privacy: Privacy = Field(Privacy(), description="Personal data.")
    allowed_words: tuple[str, ...] = Field((), description="Listed as profane, but meant well here: 'kill', 'strip'.")
    decontaminate_words: int = Field(
        13, ge=5, le=50, description="Training rows that share this many words in a row with an evaluation item go."
    )

    @property
    def columns(self) -> tuple[Column, ...]:
        """The source's columns that make a conversation."""
        made_of = {
            "messages": (self.messages_column,),
            "prompt_completion": (self.prompt_column, self.completion_column),
            "text": (self.text_column,),
        }[self.form]
        return made_of if self.document_column is None else (*made_of, self.document_column)

    @model_validator(mode="after")
    def _has_two_columns(self) -> Corpus:
        if self.form == "prompt_completion" and self.prompt_column == self.completion_column:
            raise ValueError(f"'prompt_column' and 'completion_column' are both {self.prompt_column!r}")
        return self
