"""The documentation that ships with Python, as questions and answers."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pyarrow as pa
import pytest

from pipelines.data.sources.python_docs import LONGEST_ANSWER, read_python_docs, shortened
from pipelines.records import Window


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return read_python_docs(Window()).read_all()


def answers_of(rows: pa.Table, subject: str) -> dict[str, str]:
    found = [row["messages"] for row in rows.to_pylist() if row["subject"] == subject]
    return {messages[0]["content"]: messages[1]["content"] for messages in found}


def test_there_are_thousands_of_conversations_about_hundreds_of_documents(rows: pa.Table) -> None:
    assert 4_000 < rows.num_rows < 8_000
    assert len(set(rows["document"].to_pylist())) > 200


def test_each_row_asks_and_answers_once_and_no_question_comes_twice(rows: pa.Table) -> None:
    for messages, question in zip(rows["messages"].to_pylist(), rows["question"].to_pylist(), strict=True):
        assert [message["role"] for message in messages] == ["user", "assistant"]
        assert messages[0]["content"] == question
        assert messages[1]["content"].strip()
        assert len(messages[1]["content"]) <= LONGEST_ANSWER
    assert len(set(rows["question"].to_pylist())) == rows.num_rows


def test_an_answer_is_in_the_words_of_the_docstring(rows: pa.Table) -> None:
    answers = answers_of(rows, "textwrap.fill")
    assert any("Reformat the single paragraph in 'text'" in answer for answer in answers.values())
    assert any(answer.startswith("`textwrap.fill(text, width=70, **kwargs)`") for answer in answers.values())


def test_modules_written_in_c_and_the_language_are_documented_too(rows: pa.Table) -> None:
    assert any("accumulated" in answer for answer in answers_of(rows, "itertools.accumulate").values())
    assert answers_of(rows, "str.split")
    assert "reference.for" in set(rows["document"].to_pylist())


def test_what_a_module_does_not_name_as_public_is_not_asked_about(rows: pa.Table) -> None:
    assert not answers_of(rows, "http.server.test")
    assert not any("._" in subject for subject in rows["subject"].to_pylist())


def test_the_rows_are_the_same_every_time(rows: pa.Table) -> None:
    assert read_python_docs(Window()).read_all().equals(rows)


def test_no_module_of_files_is_run() -> None:
    code = (
        "import sys; from pipelines.data.sources.python_docs import read_python_docs; "
        "from pipelines.records import Window; read_python_docs(Window()).read_all(); "
        "print(sorted({'antigravity', 'this', 'turtle', 'tkinter', 'webbrowser', 'smtpd'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_long_docstring_ends_with_a_paragraph() -> None:
    paragraph = "\n".join(textwrap.wrap("word " * 100, 79))
    text = "\n\n".join([paragraph] * 5)
    assert shortened(text) == "\n\n".join([paragraph] * 2)
    assert len(shortened("line\n" * 1000)) <= LONGEST_ANSWER


def test_a_program_with_hooks_of_its_own_reads_the_same_documentation(
    rows: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def foreign(*_: object) -> None:
        """Speak of something that is not Python's."""

    for hook in ("excepthook", "displayhook", "breakpointhook", "unraisablehook"):
        monkeypatch.setattr(sys, hook, foreign)
    assert read_python_docs(Window()).read_all().equals(rows)
