from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.parquet import ParquetWriter
from pipelines.errors import CheckBroken, DataError, IntegrityError, QualityFailed, SpecError
from pipelines.records import Ingested, Partition, Window, sha256_of
from pipelines.spec.environment import Environment
from pipelines.spec.model import ClassicSpec
from pipelines.spec.quality import ExpectationSpec, Quality
from pipelines.steps import validate as step
from pipelines.steps.context import Context
from pipelines.steps.validate import validate
from pipelines.store.base import Store
from pipelines.store.memory import MemoryStore

GOOD = {
    "id": [1, 2, 3, 4],
    "x": [0.5, 1.5, 2.5, 3.5],
    "n": [1, 2, 3, 4],
    "kind": ["a", "b", "a", "b"],
    "y": [True, False, True, False],
}
BAD = {
    "id": [5, 6, 7, 7],
    "x": [-1.0, 0.5, float("inf"), 1.0],
    "n": [1, None, 3, 4],
    "kind": ["a", "<b>&", "a", "a"],
    "y": [True, None, True, True],
}

X_IS_POSITIVE = ("column_values_to_be_between", {"column": "x", "min_value": 0, "max_value": 100, "mostly": 0.5})
ID_IS_UNIQUE = ("column_values_to_be_unique", {"column": "id", "mostly": 0.5})
KIND_IS_KNOWN = ("column_values_to_be_in_set", {"column": "kind", "value_set": ["a", "b"], "mostly": 0.5})


def ingested_in(store: Store, tables: Sequence[dict[str, Any] | pa.Table]) -> Ingested:
    """Store tables as partitions, the way ingest does."""
    partitions = []
    for number, given in enumerate(tables, start=1):
        table = given if isinstance(given, pa.Table) else pa.table(given)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.parquet"
            with ParquetWriter(path, table.schema) as writer:
                writer.write(table)
            data = path.read_bytes()
        name, sha256 = f"2013-{number:02}", sha256_of(data)
        key = f"tiny/partitions/{name}/{sha256}.parquet"
        store.write(key, data)
        fields = {"name": name, "key": key, "content_sha256": sha256}
        partitions.append(Partition(**fields, num_rows=table.num_rows, size_bytes=len(data)))
    num_rows = sum(partition.num_rows for partition in partitions)
    return Ingested(
        model="tiny",
        window=Window(),
        source="a test",
        partitions=tuple(partitions),
        new=(),
        changed=(),
        num_rows=num_rows,
    )


@pytest.fixture
def context(spec: ClassicSpec, tmp_path: Path) -> Callable[..., Context]:
    """Make a context with an empty store and a spec with these expectations, written without 'expect_'."""
    settings = {"name": "test", "home": tmp_path, "store": {"uri": "memory://"}}
    mlflow = {"tracking_uri": "http://127.0.0.1:9", "artifact_root": "file:///nowhere"}
    environment = Environment.model_validate({**settings, "mlflow": mlflow})

    def make(*expectations: tuple[str, dict[str, Any]], warn: bool = False, budget: float = 1.0) -> Context:
        severity = "warning" if warn else "critical"
        specs = [
            ExpectationSpec(type=f"expect_{kind}", kwargs=kwargs, severity=severity) for kind, kwargs in expectations
        ]
        quality = Quality(expectations=tuple(specs), max_quarantined_share=budget)
        return Context(spec.model_copy(update={"quality": quality}), environment, MemoryStore())

    return make


def read(store: Store, partition: Partition) -> pa.Table:
    data = store.read(partition.key)
    assert sha256_of(data) == partition.content_sha256
    assert len(data) == partition.size_bytes
    table = pq.read_table(pa.BufferReader(data))
    assert table.num_rows == partition.num_rows
    return table


def test_bad_rows_go_to_quarantine_with_their_reasons_and_the_clean_rows_go_on(context: Callable[..., Context]) -> None:
    where = context(X_IS_POSITIVE, ID_IS_UNIQUE, KIND_IS_KNOWN)
    ingested = ingested_in(where.store, [GOOD, BAD])
    validated = validate(where, ingested)

    [clean], [bad] = validated.partitions[1:], validated.quarantined
    assert read(where.store, clean).to_pylist() == []
    assert read(where.store, bad)["reasons"].to_pylist() == [
        ["values_to_be_between(x)"],
        ["values_to_be_in_set(kind)"],
        ["values_to_be_between(x)", "values_to_be_unique(id)"],
        ["values_to_be_unique(id)"],
    ]
    assert (validated.num_rows_in, validated.num_rows_bad) == (8, 4)
    assert [check.bad_rows for check in validated.checks] == [2, 2, 1]
    assert {check.status for check in validated.checks} == {"passed"}
    assert validated.raw == ingested.partitions


def test_a_partition_without_bad_rows_stays_the_raw_object(context: Callable[..., Context]) -> None:
    where = context(X_IS_POSITIVE)
    ingested = ingested_in(where.store, [GOOD, BAD])
    validated = validate(where, ingested)

    assert validated.partitions[0] == ingested.partitions[0]
    assert validated.partitions[1].key.startswith("tiny/clean/2013-02/")
    assert [info.key for info in where.store.list("tiny/clean/2013-01/")] == []


def test_the_clean_rows_keep_the_raw_columns_and_their_types(context: Callable[..., Context]) -> None:
    where = context(X_IS_POSITIVE)
    table = pa.table(BAD).append_column("t", pa.array([1, 2, 3, 4], pa.timestamp("ms", "America/New_York")))
    validated = validate(where, ingested_in(where.store, [table]))

    assert read(where.store, validated.partitions[0]).schema.equals(table.schema)


def test_validating_again_gives_the_same_and_stores_nothing_new(context: Callable[..., Context]) -> None:
    where = context(X_IS_POSITIVE, ID_IS_UNIQUE)
    ingested = ingested_in(where.store, [GOOD, BAD])
    first = validate(where, ingested)
    before = {info.key: where.store.read(info.key) for info in where.store.list()}

    assert validate(where, ingested) == first
    assert {info.key: where.store.read(info.key) for info in where.store.list()} == before


def test_a_warning_is_reported_and_sets_no_row_aside(context: Callable[..., Context]) -> None:
    where = context(("column_values_to_be_between", {"column": "x", "min_value": 0}), warn=True)
    ingested = ingested_in(where.store, [BAD])
    validated = validate(where, ingested)

    assert validated.partitions == ingested.partitions
    assert validated.quarantined == ()
    assert [(check.status, check.severity, check.bad_rows) for check in validated.checks] == [("failed", "warning", 1)]


def test_over_the_models_budget_the_run_stops_after_report_and_quarantine(context: Callable[..., Context]) -> None:
    where = context(X_IS_POSITIVE, budget=0.1)
    with pytest.raises(QualityFailed) as raised:
        validate(where, ingested_in(where.store, [GOOD, BAD]))

    assert str(raised.value).startswith(
        "tiny: the data is refused. 2 of 8 rows are bad (25 %), at most 10 % may be. "
        "Nothing was trained; 2 rows are in quarantine, the report is memory:///tiny/reports/quality/"
    )
    assert raised.value.report_key is not None
    assert b"Data refused" in where.store.read(raised.value.report_key)
    assert len(list(where.store.list("tiny/quarantine/"))) == 1


def test_over_a_checks_budget_the_message_shows_count_share_bound_and_rows(context: Callable[..., Context]) -> None:
    kind, kwargs = X_IS_POSITIVE
    where = context((kind, {**kwargs, "mostly": 0.9}), ("column_mean_to_be_between", {"column": "n", "min_value": 9}))
    with pytest.raises(QualityFailed) as raised:
        validate(where, ingested_in(where.store, [GOOD, BAD]))

    assert (
        "values_to_be_between(x): 2 of 8 rows are bad (25 %), at most 10 % may be, such as x=-1, id=5 | x=inf, id=7; "
        "mean_to_be_between(n) is 2.57143, must be at least 9. Nothing was trained"
    ) in str(raised.value)


def test_a_check_on_the_table_fails_the_run_and_sets_no_row_aside(context: Callable[..., Context]) -> None:
    where = context(("table_row_count_to_be_between", {"min_value": 100}))
    with pytest.raises(QualityFailed, match=r"table_row_count_to_be_between\(\) is 8, must be at least 100"):
        validate(where, ingested_in(where.store, [GOOD, BAD]))

    assert list(where.store.list("tiny/quarantine/")) == []


@pytest.mark.parametrize("warn", [False, True])
def test_a_check_that_crashes_stops_the_run_as_broken_also_when_it_only_warns(
    context: Callable[..., Context], warn: bool
) -> None:
    where = context(("column_values_to_be_between", {"column": "kind", "min_value": 0}), warn=warn)
    with pytest.raises(CheckBroken) as raised:
        validate(where, ingested_in(where.store, [GOOD, BAD]))

    assert str(raised.value).startswith(
        "tiny: whether the data is good is not known. values_to_be_between(kind): Column values, min_value"
    )
    assert raised.value.report_key is not None
    assert b"A check is broken" in where.store.read(raised.value.report_key)


def test_a_misspelt_column_is_named_with_its_nearest_match_and_those_that_are(context: Callable[..., Context]) -> None:
    where = context(("column_values_to_not_be_null", {"column": "kin"}), ID_IS_UNIQUE)
    with pytest.raises(CheckBroken) as raised:
        validate(where, ingested_in(where.store, [GOOD]))

    columns = ", ".join(GOOD)
    found = f"values_to_not_be_null(kin): no column is named 'kin'; did you mean 'kind'? One of: {columns}"
    assert found in str(raised.value)


def test_rows_in_quarantine_that_were_not_counted_are_a_broken_check(
    context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = step._row_tests
    monkeypatch.setattr(
        step,
        "_row_tests",
        lambda *given: {**tests(*given), "values_to_be_unique(id)": tests(*given)["values_to_be_between(x)"]},
    )
    where = context(X_IS_POSITIVE, ID_IS_UNIQUE, KIND_IS_KNOWN)
    ingested = ingested_in(where.store, [GOOD, BAD, {**GOOD, "id": [1, 8, 9, 10]}])

    with pytest.raises(CheckBroken, match="Great Expectations counted 4 bad rows, quarantine holds 2"):
        validate(where, ingested)


def test_all_of_it_missing_infinite_or_of_ten_thousand_levels_is_judged(context: Callable[..., Context]) -> None:
    levels = 10_000
    table = pa.table(
        {
            "id": range(levels),
            "x": pa.nulls(levels, pa.float64()),
            "n": [float("inf")] * levels,
            "kind": [f"<script>{number}</script>" for number in range(levels)],
            "y": pa.nulls(levels),
        }
    )
    where = context(
        X_IS_POSITIVE,
        ID_IS_UNIQUE,
        ("column_values_to_be_between", {"column": "n", "max_value": 1, "mostly": 0.0}),
        ("column_unique_value_count_to_be_between", {"column": "kind", "min_value": levels}),
        ("column_values_to_be_null", {"column": "y"}),
        (
            "column_values_to_be_in_set",
            {"column": "kind", "value_set": [f"<script>{n}</script>" for n in range(9_999)], "mostly": 0.9},
        ),
    )
    validated = validate(where, ingested_in(where.store, [table]))

    assert [check.bad_rows for check in validated.checks] == [0, 0, levels, None, 0, 1]
    page = where.store.read(validated.report_key).decode()
    assert "<script" not in page
    assert "&lt;script&gt;9999&lt;/script&gt;" in page


def test_no_partitions_are_nothing_to_judge(context: Callable[..., Context]) -> None:
    where = context(X_IS_POSITIVE)
    with pytest.raises(DataError, match="there is no partition from a test"):
        validate(where, ingested_in(where.store, []))


def test_a_partition_without_rows_passes_what_asks_for_none(context: Callable[..., Context]) -> None:
    where = context(X_IS_POSITIVE, ID_IS_UNIQUE)
    validated = validate(where, ingested_in(where.store, [pa.table(GOOD).slice(0, 0)]))

    assert (validated.num_rows_in, validated.num_rows_bad) == (0, 0)


def test_a_spec_without_expectations_lets_every_row_through(context: Callable[..., Context]) -> None:
    where = context(budget=0.0)
    ingested = ingested_in(where.store, [GOOD, BAD])
    validated = validate(where, ingested)

    assert validated.partitions == ingested.partitions
    assert validated.checks == ()


def test_an_expectation_that_is_none_is_refused_before_data_is_read(context: Callable[..., Context]) -> None:
    where = context(("column_values_to_be_uniqe", {"column": "id"}))
    with pytest.raises(SpecError, match=r"tiny\.yaml: .*did you mean 'expect_column_values_to_be_unique'"):
        validate(where, ingested_in(where.store, [GOOD]))


def test_a_partition_of_another_type_is_named(context: Callable[..., Context]) -> None:
    where = context(X_IS_POSITIVE)
    with pytest.raises(DataError, match="Partition 2013-02 has other columns than 2013-01: n is string and not int64"):
        validate(where, ingested_in(where.store, [GOOD, {**GOOD, "n": ["1", "2", "3", "4"]}]))


def test_a_partition_that_was_altered_is_refused(context: Callable[..., Context]) -> None:
    where = context(X_IS_POSITIVE)
    ingested = ingested_in(where.store, [GOOD])
    key = ingested.partitions[0].key
    where.store.write(key, where.store.read(key)[:-1] + b"?")

    with pytest.raises(IntegrityError, match="was altered"):
        validate(where, ingested)
