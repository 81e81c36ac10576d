"""A YAML file means what it looks like, or is refused with the line."""

from __future__ import annotations

import pytest

from pipelines.errors import SpecError
from pipelines.spec.document import dotted, read_document


def value_of(text: str) -> object:
    return read_document("a.yaml", text.encode()).value["a"]


def refusal(data: str | bytes) -> tuple[int | None, str, str]:
    with pytest.raises(SpecError) as caught:
        read_document("a.yaml", data.encode() if isinstance(data, str) else data)
    problem = caught.value.problems[0]
    assert problem.file == "a.yaml"
    return problem.line, problem.key, problem.found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("'true'", "true"),
        ('"12"', "12"),
        ("12", 12),
        ("-3", -3),
        ("007", 7),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1e400", "1e400"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("12:30:00", "12:30:00"),
        ("2013-01-01", "2013-01-01"),
        ("1_000", "1_000"),
        ("9" * 400, "9" * 400),
        ("a: b", {"a": "b"}),
        ("[1, x]", [1, "x"]),
    ],
)
def test_a_plain_word_is_what_it_looks_like(text: str, value: object) -> None:
    found = value_of(f"a: {text}" if not text.startswith("a:") else f"a: {{{text}}}")
    assert found == value
    assert type(found) is type(value)


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert read_document("a.yaml", b"\xef\xbb\xbfa: 1").value == {"a": 1}


def test_a_single_value_can_be_repeated_by_alias() -> None:
    assert read_document("a.yaml", b"a: &x 5\nb: *x").value == {"a": 5, "b": 5}


@pytest.mark.parametrize(
    ("data", "line", "key", "found"),
    [
        ("", 1, "(file)", "nothing"),
        ("# only a comment\n", 1, "(file)", "nothing"),
        ("- a\n", 1, "(file)", "a list"),
        ("word\n", 1, "(file)", "a str"),
        (b"a: 1\nb: \xff\n", 2, "(file)", "byte 0xff"),
        ("a: 1\nb:\n\tc: 2\n", 3, "(file)", "a tab in the indentation"),
        ("a: 1\nb: 2\na: 3\n", 3, "a", "a key that is already on line 1"),
        ("b:\n  - {x: 1, x: 2}\n", 2, "b[0].x", "a key that is already on line 2"),
        ("a: 1\n---\nb: 2\n", 2, "(file)", "a second document"),
        ("a: &x [1]\nb: *x\n", 2, "b", "*x"),
        ("a: &x [*x]\n", 1, "a[0]", "*x"),
        ("a: !!python/object:os.system b\n", 1, "a", "the tag tag:yaml.org,2002:python/object:os.system"),
        ("? [1]\n: 2\n", 1, "(file)", "a key that is no single word"),
        ("a: [1\n", 2, "(file)", "broken YAML: did not find expected ',' or ']' while parsing a flow sequence"),
    ],
)
def test_a_file_that_is_no_plain_mapping_is_refused(data: str | bytes, line: int, key: str, found: str) -> None:
    assert refusal(data) == (line, key, found)


@pytest.mark.parametrize("text", ["a: \x00", "[" * 100_000, "- " * 100_000, "{a: " * 100_000, "? " * 100_000])
def test_a_hostile_file_is_refused_and_crashes_nothing(text: str) -> None:
    assert refusal(text)


def test_all_problems_of_a_file_are_told_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        read_document("a.yaml", b"a: 1\na: 2\nb: 1\nb: 2\n")
    assert [problem.line for problem in caught.value.problems] == [2, 4]


def test_the_line_of_what_is_not_there_is_the_line_of_what_is_around_it() -> None:
    document = read_document("a.yaml", b"a:\n  b:\n    - x\n    - y\n")
    assert [document.line(path) for path in [("a",), ("a", "b", 1), ("a", "b", 7), ("a", "c"), ("z",)]] == [
        1,
        4,
        2,
        1,
        1,
    ]


def test_a_path_is_written_as_people_write_it() -> None:
    assert dotted(("gates", "rules", 0, "metric")) == "gates.rules[0].metric"
