"""Write conversations as tokens the way the model reads them when it answers, and mark what is to be learnt.

The chat template is rendered once for each order of roles, with marks in the place of the contents, so that what comes
from the template and what somebody typed are never confused: only the template's own text can become control tokens.
An answer begins a new piece for the tokenizer, as it does when the model writes it after the prompt.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from pipelines.errors import UsageError
from pipelines.llm.corpus.conversations import TEXT_ROLE, Conversation, Message

IGNORED = -100
"""The label of a token that is not learnt, which torch's cross entropy leaves out."""

_MARK = re.compile("\ue000([0-9]+)\ue001")
_BORDER = "\ue002"  # where a prompt ends and the model goes on
_EDGE = "\t\n\t"  # around a mark: gone from the rendered text where the template trims a content


@dataclass(frozen=True)
class Encoded:
    """A conversation as tokens.

    `ids` are shape (n,); `learnt` (n,) is True on the tokens of the answers and on the one that ends each; `turns` are
    the places, ascending and beginning with 0, at which a new exchange of user and assistant begins.
    """

    ids: np.ndarray
    learnt: np.ndarray
    turns: tuple[int, ...]


@dataclass(frozen=True)
class _Piece:
    """A part of a rendered conversation that is tokenised in one go: texts, or one control token."""

    parts: tuple[str | int, ...]  # text of the template, or the number of the message whose content stands here
    control: int | None = None
    learnt: bool = False

    @property
    def has_content(self) -> bool:
        return any(isinstance(part, int) for part in self.parts)


@dataclass(frozen=True)
class _Skeleton:
    pieces: tuple[_Piece, ...]
    trims: tuple[tuple[bool, bool], ...]  # of each message: at its beginning, at its end


class ChatEncoder:
    """The tokenizer and the chat template of one model.

    Raises:
        UsageError: If answers cannot be told apart in what the template writes, or the tokenizer reads it otherwise
            than piece by piece.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._backend = copy.deepcopy(self._tokenizer.backend_tokenizer)
        self._backend.encode_special_tokens = True  # what somebody typed stays text
        self._backend.no_truncation()
        self._backend.no_padding()
        self._controls = {
            token.content: number for number, token in self._tokenizer.added_tokens_decoder.items() if token.special
        }
        found = sorted(self._controls, key=len, reverse=True)
        self._control = re.compile(f"({'|'.join(map(re.escape, [*found, _BORDER]))})")
        self._skeletons: dict[tuple[str, ...], _Skeleton] = {}
        self._prove()

    @property
    def end_id(self) -> int:
        """The token that ends a text."""
        return int(self._tokenizer.eos_token_id)

    @property
    def pad_id(self) -> int:
        """The token that fills what is left of a sequence; often the one that ends a text."""
        number = self._tokenizer.pad_token_id
        return int(self.end_id if number is None else number)

    def encode(self, conversations: Sequence[Conversation]) -> list[Encoded]:
        """Return conversations, each in order, as tokens.

        Raises:
            UsageError: If the template cannot write such an order of roles.
        """
        pieces = [self._pieces(one) for one in conversations]
        texts = [text for each in pieces for piece, text in each if piece.control is None]
        encodings = iter(self._backend.encode_batch_fast(texts, add_special_tokens=False))
        return [self._joined(each, encodings) for each in pieces]

    def _pieces(self, conversation: Conversation) -> list[tuple[_Piece, str]]:
        roles = tuple(message.role for message in conversation.messages)
        if roles == (TEXT_ROLE,):
            return [
                (_Piece((0,), learnt=True), conversation.messages[0].content),
                (_Piece((), control=self.end_id, learnt=True), ""),
            ]
        if roles not in self._skeletons:
            self._skeletons[roles] = self._skeleton(roles)
        skeleton = self._skeletons[roles]
        contents = [
            _trimmed(message.content, trims)
            for message, trims in zip(conversation.messages, skeleton.trims, strict=True)
        ]
        return [
            (piece, "".join(contents[part] if isinstance(part, int) else part for part in piece.parts))
            for piece in skeleton.pieces
        ]

    def _joined(self, pieces: Sequence[tuple[_Piece, str]], encodings: Iterator[Any]) -> Encoded:
        ids: list[int] = []
        learnt: list[bool] = []
        turns = [0]
        answered = False
        for piece, _ in pieces:
            if answered and not piece.learnt and (piece.control is not None or piece.has_content):
                turns.append(len(ids))
                answered = False
            found = [piece.control] if piece.control is not None else next(encodings).ids
            ids += found
            learnt += [piece.learnt] * len(found)
            answered = answered or (piece.learnt and piece.control is not None)
        length = len(learnt) - learnt[::-1].index(True) if any(learnt) else len(learnt)  # nothing follows from the rest
        return Encoded(np.array(ids[:length], np.int32), np.array(learnt[:length], bool), tuple(turns))

    def _skeleton(self, roles: tuple[str, ...]) -> _Skeleton:
        marked = [(role, f"{_EDGE}\ue000{number}\ue001{_EDGE}") for number, role in enumerate(roles)]
        rendered = self._with_borders(marked)
        trims = tuple(
            (
                f"{_EDGE}\ue000{number}\ue001" not in rendered,
                f"\ue000{number}\ue001{_EDGE}" not in rendered,
            )
            for number in range(len(roles))
        )
        rendered = rendered.replace(f"{_EDGE}\ue000", "\ue000").replace(f"\ue001{_EDGE}", "\ue001")
        marks = [int(number) for number in _MARK.findall(rendered)]
        if marks != list(range(len(roles))):
            raise UsageError(
                f"The chat template writes the messages {marks} of a conversation of {len(roles)} "
                f"({', '.join(roles)}); needed is each once and in order. Nothing was tokenised."
            )
        return _Skeleton(tuple(self._cut(rendered)), trims)

    def _with_borders(self, marked: Sequence[tuple[str, str]]) -> str:
        """Return the conversation as the template writes it, with a border where each answer begins."""
        rendered = self._render(marked)
        for number, (role, content) in reversed(list(enumerate(marked))):
            if role == "assistant" and content.strip() in rendered:
                before = rendered.partition(content.strip())[0].removesuffix(_EDGE)
                prompt = self._render(marked[:number], add_generation_prompt=True)
                is_prompt = before.startswith(prompt) and not self._control.search(before, len(prompt))
                place = len(prompt) if is_prompt else len(before)
                rendered = f"{rendered[:place]}{_BORDER}{rendered[place:]}"
        return rendered

    def _cut(self, rendered: str) -> Iterator[_Piece]:
        """Cut a rendered conversation at control tokens and where prompts end; a control token ends an answer."""
        waiting: list[str | int] = []
        in_answer = False
        for part in self._parts(rendered):
            if part == _BORDER:
                if waiting:
                    yield _Piece(tuple(waiting))
                waiting, in_answer = [], True
            elif isinstance(part, str) and part in self._controls:
                if waiting:
                    yield _Piece(tuple(waiting), learnt=in_answer)
                yield _Piece((), self._controls[part], learnt=in_answer)
                waiting, in_answer = [], False
            else:
                waiting.append(part)
        if in_answer:
            raise UsageError(
                "The chat template ends an answer with no special token: the model could never learn to stop. Nothing "
                "was tokenised."
            )
        if waiting:
            yield _Piece(tuple(waiting))

    def _parts(self, rendered: str) -> Iterator[str | int]:
        for place, text in enumerate(_MARK.split(rendered)):
            if place % 2:
                yield int(text)
            else:
                yield from (part for part in self._control.split(text) if part)

    def _render(self, messages: Sequence[tuple[str, str]], add_generation_prompt: bool = False) -> str:
        chat = [{"role": role, "content": content} for role, content in messages]
        try:
            return str(
                self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=add_generation_prompt)
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:  # a template is a program
            roles = ", ".join(role for role, _ in messages)
            raise UsageError(f"The chat template refuses the roles {roles}: {error}. Nothing was tokenised.") from error

    def _prove(self) -> None:
        """Compare a conversation with what the tokenizer makes of all its text at once."""
        messages = [("user", "What is 7 + 5, in  words?"), ("assistant", "Twelve.\n\nThat is 12.")]
        messages += [("user", "Thanks, Ünal 你好!"), ("assistant", "You are welcome.")]
        ours = self.encode([Conversation(tuple(Message(role, content) for role, content in messages))])[0]
        theirs = self._tokenizer(self._render(messages), add_special_tokens=False)["input_ids"]
        if list(ours.ids) != list(theirs)[: len(ours.ids)]:
            raise UsageError(
                f"The tokenizer {type(self._tokenizer).__name__} reads a conversation otherwise than piece by piece "
                f"({len(ours.ids)} and {len(theirs)} tokens of a probe): what is an answer cannot be told. Nothing was "
                "tokenised."
            )


def _trimmed(text: str, trims: tuple[bool, bool]) -> str:
    text = text.lstrip() if trims[0] else text
    return text.rstrip() if trims[1] else text
