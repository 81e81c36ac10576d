from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.data.quality import quarantine
from pipelines.data.quality.findings import RowTest
from pipelines.data.quality.judge import judge
from pipelines.data.quality.quarantine import separate
from pipelines.data.quality.rows import Rows
from pipelines.data.quality.suite import build_suite, check_names
from pipelines.spec.quality import Quality

Make = Callable[..., Quality]
With = Callable[..., Any]

TABLE = pa.table({"n": [1, None, 3, 3, -5, 6], "s": ["a", "b", None, "a", "é", "c<b>"]})


def separated(rows: Rows, tests: dict[str, RowTest]) -> list[tuple[pa.Table, pa.Table] | None]:
    """Return the clean and the bad rows of each file; None where nothing was written."""
    found: list[tuple[pa.Table, pa.Table] | None] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(len(rows.paths)):
            parts = separate(rows, number, tests, Path(folder))
            found.append(parts and (pq.read_table(parts.clean), pq.read_table(parts.bad)))
            if parts:
                clean, bad = found[-1] or ()
                assert (parts.num_clean, parts.num_bad) == (clean.num_rows, bad.num_rows)
    return found


def test_every_bad_row_goes_aside_with_all_its_reasons_and_the_others_keep_their_order(with_rows: With) -> None:
    tests = {"small": RowTest("coalesce(n < 3, false)"), "a": RowTest("coalesce(s = 'a', false)")}
    [parts] = with_rows([TABLE], lambda rows: separated(rows, tests))
    clean, bad = parts

    assert clean.to_pylist() == TABLE.take([1, 2, 5]).to_pylist()
    assert bad.drop_columns("reasons").to_pylist() == TABLE.take([0, 3, 4]).to_pylist()
    assert bad["reasons"].to_pylist() == [["small", "a"], ["a"], ["small"]]
    assert bad["reasons"].type == pa.list_(pa.string())


def test_a_file_without_bad_rows_is_not_written_again(with_rows: With) -> None:
    tests = {"small": RowTest("coalesce(n < 0, false)")}
    found = with_rows([TABLE.slice(0, 3), TABLE.slice(3)], lambda rows: separated(rows, tests))

    assert found[0] is None
    assert found[1] is not None
    assert with_rows([TABLE], lambda rows: separated(rows, {})) == [None]


def test_when_every_row_is_bad_the_clean_file_is_empty_and_keeps_its_columns(with_rows: With) -> None:
    [parts] = with_rows([TABLE], lambda rows: separated(rows, {"all": RowTest("true")}))

    assert parts[0].num_rows == 0
    assert parts[0].schema.equals(TABLE.schema)
    assert parts[1].num_rows == 6


def test_a_column_named_reasons_keeps_its_name(with_rows: With) -> None:
    table = TABLE.append_column("reasons", TABLE["n"])
    [(_, bad)] = with_rows([table], lambda rows: separated(rows, {"all": RowTest("true")}))

    assert bad.schema.names == ["n", "s", "reasons", "reasons_"]
    assert bad["reasons_"].to_pylist() == [["all"]] * 6


def test_more_checks_than_bits_in_a_word_keep_their_names(with_rows: With) -> None:
    tests = {f"check {number}": RowTest(f"coalesce(n = {number}, false)") for number in range(130)}
    [(_, bad)] = with_rows([TABLE], lambda rows: separated(rows, tests))
    table = pa.table({"n": [0, 61, 62, 63, 124, 129, 200]})
    [(clean, far)] = with_rows([table], lambda rows: separated(rows, tests))

    assert bad["reasons"].to_pylist() == [["check 1"], ["check 3"], ["check 3"], ["check 6"]]
    assert far["reasons"].to_pylist() == [[f"check {number}"] for number in (0, 61, 62, 63, 124, 129)]
    assert clean["n"].to_pylist() == [200]


def test_rows_beyond_one_batch_are_found_in_their_places(with_rows: With, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "ROW_GROUP_ROWS", 7)
    table = pa.table({"n": range(100)})
    tests = {"third": RowTest("n % 3 = 0"), "tail": RowTest("n > 90")}
    [(clean, bad)] = with_rows([table], lambda rows: separated(rows, tests))

    wrong = [number for number in range(100) if number % 3 == 0 or number > 90]
    assert bad["n"].to_pylist() == wrong
    assert clean["n"].to_pylist() == [number for number in range(100) if number not in wrong]
    assert bad["reasons"].to_pylist()[-3:] == [["tail"], ["tail"], ["third", "tail"]]


def test_the_bytes_depend_on_the_rows_and_not_on_how_many_threads_wrote_them(with_rows: With) -> None:
    table = pa.table({"n": range(300_000), "s": [f"text {number % 1000}" for number in range(300_000)]})
    tests = {"third": RowTest("n % 3 = 0"), "seventh": RowTest("n % 7 = 0")}

    def written(threads: int) -> tuple[bytes, bytes]:
        def call(rows: Rows) -> tuple[bytes, bytes]:
            rows.run(f"SET threads = {threads}")
            with tempfile.TemporaryDirectory() as folder:
                parts = separate(rows, 0, tests, Path(folder))
                assert parts is not None
                return parts.clean.read_bytes(), parts.bad.read_bytes()

        result: tuple[bytes, bytes] = with_rows([table], call)
        return result

    assert written(1) == written(4)


numbers = st.one_of(st.none(), st.integers(-3, 3))
texts = st.one_of(st.none(), st.sampled_from(["", "a", "ab", "é", "<i>", "\n"]))
tables = st.lists(st.tuples(numbers, numbers, texts), max_size=12).map(
    lambda rows: pa.table(
        {name: pa.array([row[place] for row in rows], kind) for place, (name, kind) in enumerate(COLUMNS.items())}
    )
)
COLUMNS = {"a": pa.int64(), "b": pa.int64(), "s": pa.string()}


@settings(max_examples=30, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(table=tables, cut=st.integers(0, 12))
def test_quarantine_holds_for_each_check_the_rows_that_great_expectations_counted(
    with_rows: With, quality_of: Make, table: pa.Table, cut: int
) -> None:
    quality = quality_of(
        ("column_values_to_not_be_null", {"column": "a"}),
        ("column_values_to_be_between", {"column": "a", "min_value": 0}),
        ("column_values_to_be_unique", {"column": "b"}),
        ("compound_columns_to_be_unique", {"column_list": ["a", "s"]}),
        ("column_values_to_match_regex", {"column": "s", "regex": r"^\w$"}),
        ("column_values_to_match_regex", {"column": "s", "regex": r"a(?=b)"}),
        ("column_value_lengths_to_equal", {"column": "a", "value": 1}),
        ("column_pair_values_a_to_be_greater_than_b", {"column_A": "a", "column_B": "b"}),
        ("select_column_values_to_be_unique_within_record", {"column_list": ["a", "b"]}),
        (
            "column_values_to_be_in_set",
            {
                "column": "b",
                "value_set": [1, 2],
                "row_condition": {"type": "nullity", "column": {"name": "a"}, "is_null": False},
            },
        ),
    )
    names = check_names(quality)

    def counted(rows: Rows) -> tuple[dict[str, int], dict[str, int], int]:
        findings = judge(rows, build_suite(quality, "spec.yaml"))
        assert {finding.status for finding in findings} <= {"passed", "failed"}
        tests = {name: finding.rows for name, finding in zip(names, findings, strict=True)}
        with tempfile.TemporaryDirectory() as folder:
            parts = [separate(rows, number, tests, Path(folder)) for number in range(len(rows.paths))]
            held = [pq.read_table(part.bad) for part in parts if part]
        found = [reason for table in held for reasons in table["reasons"].to_pylist() for reason in reasons]
        expected = {name: finding.num_bad for name, finding in zip(names, findings, strict=True)}
        return {name: found.count(name) for name in names}, expected, len(found)

    held, expected, _ = with_rows([table.slice(0, cut), table.slice(cut)], counted)
    assert held == expected
