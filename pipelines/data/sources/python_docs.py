"""Questions and answers about Python, made from the documentation that ships with Python itself.

The docstrings of the standard library's files are read without running them; modules written in C have no such files
and are asked. The language reference comes from `pydoc_data.topics`. Everything is in the order of names, so one
version of Python always gives the same rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from pipelines.data.sources.python_objects import Documented, compiled_objects, language_sections, source_objects
from pipelines.records import Window, sha256_of

BATCH_ROWS = 1024
LONGEST_ANSWER = 1500  # characters; a docstring that goes on is cut at the end of a paragraph
_FEWEST_WORDS = 5
_FIND_ONE_IN = 4  # of the functions; the answer is but a signature
_SCHEMA = pa.schema(
    {
        "document": pa.string(),
        "subject": pa.string(),
        "question": pa.string(),
        "messages": pa.list_(pa.struct({"role": pa.string(), "content": pa.string()})),
    }
)
_DESCRIBE = {
    "function": ("What does `{0}` do?", "What is `{0}` for?", "Explain `{0}`.", "What does the function `{0}` do?"),
    "method": ("What does `{0}` do?", "What does the method `{0}` do?", "When would I call `{0}`?"),
    "attribute": ("What is `{0}`?", "What does `{0}` hold?", "What does the attribute `{0}` tell?"),
    "class": ("What is `{0}`?", "What is the class `{0}` for?", "What does `{0}` stand for?"),
    "module": ("What is the module `{0}` for?", "What does Python's `{0}` module do?", "Describe the module `{0}`."),
    "section": (
        "What does Python's language reference say on {0}?",
        "Explain {0} in Python.",
        "How does Python do {0}?",
    ),
}
_ARGUMENTS = ("Which arguments does `{0}` take?", "How is `{0}` called?", "What is the signature of `{0}`?")
_FIND = (
    'Which {1} of `{2}` is described as "{3}"?',
    'In `{2}`, which {1} does this: "{3}"?',
    'What is the {1} in `{2}` whose documentation begins "{3}"?',
)


def read_python_docs(window: Window) -> pa.RecordBatchReader:
    """Return conversations about Python's standard library and language, in the order of names.

    `document` is the module, or the topic of the language reference; `subject` is what is asked about, such as
    `textwrap.fill`; `question` is the question, unique; `messages` is the conversation in OpenAI's chat form. The rows
    have no time: the window must be open.

    Source: the docstrings of https://docs.python.org/3/library/ and `pydoc_data.topics`, as they are installed.
    """
    del window  # the documentation is of one version and has no time
    return pa.RecordBatchReader.from_batches(_SCHEMA, _batches(_rows()))


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    while batch := list(islice(rows, BATCH_ROWS)):
        yield pa.RecordBatch.from_pylist(batch, _SCHEMA)


def _rows() -> Iterator[dict[str, Any]]:
    """Yield each question once; a docstring that stands at several objects answers for the first of them."""
    asked: set[str] = set()
    answered: set[str] = set()
    for item in _objects():
        for question, answer in _questions(item):
            words = sha256_of(answer.split())
            if question not in asked and words not in answered:
                asked.add(question)
                answered.add(words)
                messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
                yield {"document": item.module, "subject": item.name, "question": question, "messages": messages}


def _objects() -> Iterator[Documented]:
    named: set[str] = set()
    for objects in (source_objects(), compiled_objects(), language_sections()):
        for item in objects:
            if item.name not in named:  # a C module may only speed up what a file documents
                named.add(item.name)
                yield item


def _questions(item: Documented) -> Iterator[tuple[str, str]]:
    answer = shortened(item.text)
    if len(answer.split()) < _FEWEST_WORDS:
        return
    yield _chosen(_DESCRIBE[item.kind], item.name).format(item.name), answer
    if item.kind not in {"function", "method"}:
        return
    if len(item.arguments) > 1 and (told := _on_arguments(item)):
        yield _chosen(_ARGUMENTS, item.name).format(item.name), told
    first = item.text.partition("\n")[0].strip().rstrip(".")
    if item.signature and 30 <= len(first) <= 160 and '"' not in first and _number(item.name) % _FIND_ONE_IN == 0:
        yield _chosen(_FIND, item.name).format("", item.kind, item.module, first), f"`{item.signature}`"


def _on_arguments(item: Documented) -> str | None:
    """Return the signature and what the docstring says with the arguments' names, if it says anything."""
    name = re.compile(rf"\b({'|'.join(map(re.escape, item.arguments))})\b")
    told = [paragraph for paragraph in item.text.split("\n\n") if name.search(paragraph)]
    return shortened("\n\n".join([f"`{item.signature}`", *told])) if told else None


def shortened(text: str) -> str:
    """Return the leading paragraphs of a text that fit in `LONGEST_ANSWER`, or as much of the first as does."""
    kept = ""
    for paragraph in text.strip().split("\n\n"):
        longer = f"{kept}\n\n{paragraph.rstrip()}" if kept else paragraph.rstrip()
        if len(longer) > LONGEST_ANSWER:
            break
        kept = longer
    return kept or text[:LONGEST_ANSWER].rpartition("\n")[0].rstrip()


def _chosen(forms: tuple[str, ...], name: str) -> str:
    return forms[_number(name) % len(forms)]


def _number(name: str) -> int:
    return int(sha256_of(name.encode())[:8], 16)
